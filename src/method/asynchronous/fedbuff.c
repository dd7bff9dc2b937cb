/* FedBuff (Nguyen et al., 2022): changes are gathered in a buffer; the server steps when it is full. */
#include "method/asynchronous/asynchronous.h"

typedef struct fedbuff_config {
  int64_t buffer, concurrency;
  int staleness, shares;
  double slope, grace;
} fedbuff_config;

enum { EQUAL, SAMPLES };
static const char *const shares[] = {"equal", "samples", NULL};

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(fedbuff_config, buffer, "10", 1, 1e6, "changes that make a step of the server",
                         .unit = "clients"),
    COHORT_INTEGER_RANGE(fedbuff_config, concurrency, "0", 0, 1e6, "clients that train at once; 0: clients_per_round",
                         .unit = "clients"),
    COHORT_CHOICE(fedbuff_config, staleness, "polynomial", cohort_staleness_names,
                  "factor by the delay: constant; polynomial (delay + 1)^-slope; hinge 1 / (slope (delay - grace) + 1) "
                  "behind `grace`"),
    COHORT_REAL_ATLEAST(fedbuff_config, slope, "0.5", 0, "of polynomial and hinge"),
    COHORT_REAL_ATLEAST(fedbuff_config, grace, "4", 0, "delay up to which a hinge is 1", .unit = "steps"),
    COHORT_CHOICE(fedbuff_config, shares, "equal", shares, "of the changes in a buffer, before the factor"),
    {.name = NULL},
};

static int64_t concurrency(const void *config, int64_t wanted) {
  const int64_t own = ((const fedbuff_config *)config)->concurrency;
  return own ? own : wanted;
}

static int64_t buffer(const void *config, int64_t wanted) {
  (void)wanted;
  return ((const fedbuff_config *)config)->buffer;
}

static double weight(const void *config, int64_t delay) {
  const fedbuff_config *own = config;
  return cohort_staleness(own->staleness, own->slope, own->grace, delay);
}

static bool by_samples(const void *config) { return ((const fedbuff_config *)config)->shares == SAMPLES; }

static const cohort_asynchronous functions = {
    .concurrency = concurrency, .buffer = buffer, .weight = weight, .by_samples = by_samples};

static const cohort_method fedbuff = {
    .family = "asynchronous",
    .key = "fedbuff",
    .summary = "changes are gathered in a buffer; the server steps when it is full",
    .title = "Federated Learning with Buffered Asynchronous Aggregation",
    .source = "Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek and Huba, AISTATS 2022, Algorithm 1 and section 5",
    .formula = "when K changes have arrived: w += learning_rate / K sum_i s(delay_i) delta_i",
    .config_size = sizeof(fedbuff_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_asynchronous_fedbuff[] = {&fedbuff, NULL};
