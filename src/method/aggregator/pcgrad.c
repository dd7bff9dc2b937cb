/* PCGrad (Yu et al., 2020): gradients that conflict are projected, in a drawn order, from inner products alone.
 * Objectives cubed, on scalars. */
#include "method/aggregator/aggregator.h"

/* A visiting order of 0 ... n-1, drawn by Fisher and Yates. */
static void draw_order(cohort_random_key key, int n, int *order) {
  for (int i = 0; i < n; i++) order[i] = i;
  for (int i = n - 1; i > 0; i--) {
    const int j = (int)cohort_random_below(cohort_random_word(key, 0, (uint64_t)i), (uint32_t)i + 1);
    const int swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
}

/* Gradient i minus its conflicts: as coefficients of the gradients, so inner products are all it takes. */
static void project(int n, int i, const double *products, const int *order, double *coefficients) {
  for (int k = 0; k < n; k++) coefficients[k] = k == i;
  for (int visit = 0; visit < n; visit++) {
    const int j = order[visit];
    if (j == i) continue;
    double inner = 0;
    for (int k = 0; k < n; k++) inner += coefficients[k] * products[k * n + j];
    const double square = products[j * n + j];
    if (inner < 0 && square > 0) coefficients[j] -= inner / square;
  }
}

static void weigh(const cohort_aggregation *aggregation, double *weights) {
  const int objectives = aggregation->objectives;
  int order[COHORT_MAX_OBJECTIVES];
  double coefficients[COHORT_MAX_OBJECTIVES];
  for (int k = 0; k < objectives; k++) weights[k] = 0;
  for (int i = 0; i < objectives; i++) {
    draw_order(cohort_random_key_derive(aggregation->key, (uint64_t)i), objectives, order);
    project(objectives, i, aggregation->products, order, coefficients);
    for (int k = 0; k < objectives; k++) weights[k] += coefficients[k];
  }
}

static const cohort_aggregator functions = {.weigh = weigh, .needs_products = true};

static const cohort_method pcgrad = {
    .family = "aggregator",
    .key = "pcgrad",
    .summary = "each gradient loses what conflicts with the others; then the sum",
    .title = "Gradient Surgery for Multi-Task Learning",
    .source = "Yu, Kumar, Gupta, Levine, Hausman and Finn, NeurIPS 2020, Algorithm 1",
    .formula =
        "for each i: p = g_i; for j != i in random order: if <p, g_j> < 0: p -= <p, g_j> / |g_j|^2 g_j; "
        "direction = sum of the p",
    .functions = &functions,
};

const cohort_method *const cohort_aggregator_pcgrad[] = {&pcgrad, NULL};
