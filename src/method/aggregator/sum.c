/* The plain sum of the objectives, which needs no inner products: one backward pass serves all. */
#include "method/aggregator/aggregator.h"

typedef struct sum_config {
  cohort_numbers weights;
} sum_config;

static const cohort_parameter parameters[] = {
    COHORT_NUMBERS(sum_config, weights, "factor of each loss, in the order of `losses`; null: 1 for all"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const cohort_numbers *given = &((const sum_config *)config)->weights;
  for (int i = 0; i < given->count; i++)
    if (given->value[i] != 0) return COHORT_DONE;
  return given->count ? cohort_fail(error, COHORT_BAD_CONFIG, "weights are all 0; give one of another value")
                      : COHORT_DONE;
}

static int objectives_of(const void *config) { return ((const sum_config *)config)->weights.count; }

static void weigh(const cohort_aggregation *aggregation, double *weights) {
  const cohort_numbers *given = &((const sum_config *)aggregation->config)->weights;
  for (int i = 0; i < aggregation->objectives; i++) weights[i] = given->count ? given->value[i] : 1;
}

static const cohort_aggregator functions = {.weigh = weigh, .objectives = objectives_of, .fixed = true};

static const cohort_method sum = {
    .family = "aggregator",
    .key = "sum",
    .summary = "the sum of the objectives' gradients, weighted",
    .source = "folklore",
    .formula = "direction = sum_i w_i g_i, w = weights",
    .config_size = sizeof(sum_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_aggregator_sum[] = {&sum, NULL};
