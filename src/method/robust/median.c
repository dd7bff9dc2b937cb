/* The median of each coordinate (Yin et al., 2018). Costs a sort of the clients' values of every coordinate. */
#include "method/robust/robust.h"

static void middle(const cohort_robust_round *round, int chosen, int64_t n, const double *const *value, double *out) {
  (void)round;
  const double *low = value[(chosen - 1) / 2], *high = value[chosen / 2];
  for (int64_t e = 0; e < n; e++) out[e] = 0.5 * (low[e] + high[e]);
}

static const cohort_robust functions = {.combine = middle};

static const cohort_method median = {
    .family = "robust",
    .key = "median",
    .summary = "of each coordinate the median over clients",
    .title = "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates",
    .source = "Yin, Chen, Ramchandran and Bartlett, ICML 2018, definition 1",
    .formula = "joined_k = median of x_ik over clients i, of an even number the mean of the middle two",
    .functions = &functions,
};

const cohort_method *const cohort_robust_median[] = {&median, NULL};
