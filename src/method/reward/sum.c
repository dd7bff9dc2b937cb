/* The weighted sum of other rewards. Costs a product for each of them. */
#include "method/reward/reward.h"

typedef struct sum_config {
  const cohort_document *of;
  cohort_numbers weights;
} sum_config;

static const cohort_parameter parameters[] = {
    {.name = "of",
     .type = COHORT_PARAMETER_TREE,
     .offset = offsetof(sum_config, of),
     .family = "reward",
     .meaning = "the rewards that are added: a list"},
    COHORT_NUMBERS(sum_config, weights, "factor of each reward; null: 1"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const sum_config *own = config;
  const int parts = own->of->kind == COHORT_LIST ? (int)own->of->count : 0;
  if (parts == 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "of is no list of rewards; write [{contains: ...}, ...]");
  if (own->weights.count && own->weights.count != parts)
    return cohort_fail(error, COHORT_BAD_CONFIG, "has %d rewards and %d weights; give each a weight, or none", parts,
                       own->weights.count);
  return COHORT_DONE;
}

static const cohort_document *parts(const void *config) { return ((const sum_config *)config)->of; }

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const sum_config *own = config;
  (void)opened;
  for (int64_t i = 0; i < batch->completions; i++) {
    reward[i] = 0;
    for (size_t p = 0; p < own->of->count; p++)
      reward[i] += (own->weights.count ? own->weights.value[p] : 1) * given[p][i];
  }
}

static const cohort_reward functions = {.parts = parts, .score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "the weighted sum of other rewards",
    .source = "folklore",
    .formula = "r = sum of w_k r_k",
    .config_size = sizeof(sum_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
