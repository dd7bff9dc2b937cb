/* UPGrad: every gradient, projected so that it conflicts with none, then the mean. A quadratic program an objective,
 * solved exactly on the inner products. Cost: these, and n^5 / 3 operations at most. */
#include "kernel/quadratic.h"
#include "method/aggregator/aggregator.h"

/* The projection of g_i / n is v'g with the least v'Kv, v >= e_i / n: v = e_i / n + x, x >= 0. */
static void weigh(const cohort_aggregation *aggregation, double *weights) {
  const int n = aggregation->objectives;
  double f[COHORT_MAX_OBJECTIVES], x[COHORT_MAX_OBJECTIVES];
  for (int j = 0; j < n; j++) weights[j] = 0;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) f[j] = -aggregation->products[i * n + j] / n;
    cohort_least_nonnegative(n, aggregation->products, f, x);
    for (int j = 0; j < n; j++) weights[j] += x[j] + (j == i ? 1.0 / n : 0);
  }
}

static const cohort_aggregator functions = {.weigh = weigh, .needs_products = true};

static const cohort_method upgrad = {
    .family = "aggregator",
    .key = "upgrad",
    .summary = "the mean of the gradients, each projected to conflict with none",
    .title = "Jacobian Descent for Multi-Objective Optimization",
    .source = "Quinton and Rey, 2024, section 3; without the regularisation of the authors' library",
    .formula =
        "p_i: the nearest x to g_i with <g_j, x> >= 0 for every j; direction = mean of the p_i; "
        "in weights: v_i >= e_i / n that makes |sum_j v_ij g_j| least, weights = sum_i v_i",
    .functions = &functions,
};

const cohort_method *const cohort_aggregator_upgrad[] = {&upgrad, NULL};
