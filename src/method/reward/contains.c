/* 1 where a text stands in the completion. One search a completion. */
#include <string.h>

#include "method/reward/reward.h"

typedef struct contains_config {
  const char *text;
} contains_config;

static const cohort_parameter parameters[] = {
    COHORT_TEXT(contains_config, text, NULL, "what the completion shall contain"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  if (*((const contains_config *)config)->text) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "text is empty, which every completion contains; give a text");
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const char *wanted = ((const contains_config *)config)->text;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++)
    reward[i] = memmem(batch->completion[i].text, batch->completion[i].bytes, wanted, strlen(wanted)) != NULL;
}

static const cohort_reward functions = {.score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "1 for a completion that contains a text, else 0",
    .source = "folklore",
    .formula = "r = 1 if text stands in the completion, else 0",
    .config_size = sizeof(contains_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
