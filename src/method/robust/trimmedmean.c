/* The trimmed mean of each coordinate (Yin et al., 2018): without the largest and the smallest values. Costs a sort of
 * the clients' values of every coordinate. */
#include "method/robust/robust.h"

typedef struct trimmedmean_config {
  double byzantine;
} trimmedmean_config;

static const cohort_parameter parameters[] = {
    COHORT_ROBUST_BYZANTINE(trimmedmean_config, "0.2"),
    {.name = NULL},
};

static int byzantine(const void *config, int clients) {
  return cohort_robust_byzantine(((const trimmedmean_config *)config)->byzantine, clients);
}

static cohort_status check(const void *config, cohort_error *error) {
  return cohort_robust_check_byzantine(((const trimmedmean_config *)config)->byzantine, error);
}

static bool combines(const void *config, int clients) { return byzantine(config, clients) > 0; }

static void trim(const cohort_robust_round *round, int chosen, int64_t n, const double *const *value, double *out) {
  const int off = byzantine(round->config, chosen);
  for (int64_t e = 0; e < n; e++) out[e] = value[off][e];
  for (int k = off + 1; k < chosen - off; k++)
    for (int64_t e = 0; e < n; e++) out[e] += value[k][e];
  for (int64_t e = 0; e < n; e++) out[e] /= chosen - 2 * off;
}

static const cohort_robust functions = {
    .combine = trim, .combines = combines, .byzantine = byzantine, .most_byzantine = cohort_robust_minority};

static const cohort_method trimmedmean = {
    .family = "robust",
    .key = "trimmedmean",
    .summary = "of each coordinate the mean over clients without the largest and smallest values",
    .title = "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates",
    .source = "Yin, Chen, Ramchandran and Bartlett, ICML 2018, definition 2",
    .formula = "joined_k = mean of x_ik over clients i without the f largest and f smallest; with f = 0 the mean",
    .config_size = sizeof(trimmedmean_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_robust_trimmedmean[] = {&trimmedmean, NULL};
