#include "method/aggregator/aggregator.h"

static void weigh(const cohort_aggregation *aggregation, double *weights) {
  for (int i = 0; i < aggregation->objectives; i++) weights[i] = 1;
}

static const cohort_aggregator functions = {.weigh = weigh, .needs_products = false};

static const cohort_method sum = {
    .family = "aggregator",
    .key = "sum",
    .summary = "the sum of the objectives' gradients",
    .source = "folklore",
    .formula = "direction = sum_i g_i",
    .functions = &functions,
};

const cohort_method *const cohort_aggregator_sum[] = {&sum, NULL};
