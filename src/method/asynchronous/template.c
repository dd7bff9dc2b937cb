/* A complete asynchronous server to start from: copy this file to src/method/asynchronous/NAME.c, build, and NAME is a
 * method like any other: in `cohort methods asynchronous`, in `cohort probe asynchronous`, in configs
 * (federated.asynchronous) and under the contract tests. As it stands two changes make a step, and old ones halve. */
#include "method/asynchronous/asynchronous.h"

static int64_t concurrency(const void *config, int64_t wanted) {
  (void)config;
  return wanted;
}

static int64_t buffer(const void *config, int64_t wanted) {
  (void)config, (void)wanted;
  return 2;
}

static double weight(const void *config, int64_t delay) {
  (void)config;
  return pow(0.5, (double)delay);
}

static const cohort_asynchronous functions = {.concurrency = concurrency, .buffer = buffer, .weight = weight};

static const cohort_method method = {
    .family = "asynchronous",
    .key = COHORT_FILE_KEY,
    .summary = "pairs of changes, of which old ones halve (a template)",
    .source = "the template of the family asynchronous",
    .formula = "w += learning_rate / 2 sum_i 2^-delay_i delta_i",
    .functions = &functions,
};

COHORT_METHOD_FILE(asynchronous, COHORT_FILE) = {&method, NULL};
