/* A complete robust aggregation to start from: copy this file to src/method/robust/NAME.c, build, and NAME is a method
 * like any other: in `cohort methods robust`, in `cohort probe robust NAME`, in configs (federated.robust), and under
 * the contract tests. As it stands changes that are longer than the median length are left out.
 *
 * It sees inner products of the changes, never a change: |x_i|^2 stands on the diagonal. A method that goes coordinate
 * by coordinate has `combine` (trimmedmean.c), one that needs both has both (bulyan.c). */
#include "method/robust/robust.h"

typedef struct own_config {
  double tolerance;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ATLEAST(own_config, tolerance, "1", 0, "largest length that counts, in medians"),
    {.name = NULL},
};

static double median_length(const cohort_robust_round *round) {
  double *sorted = round->work;
  for (int i = 0; i < round->clients; i++) {
    const double length = sqrt(round->products[(int64_t)i * round->rows + i]);
    int at = i;
    for (; at > 0 && sorted[at - 1] > length; at--) sorted[at] = sorted[at - 1];
    sorted[at] = length;
  }
  return sorted[round->clients / 2];
}

/* share[i] 1 for those to keep, 0 for others; then their weights, of sum 1. */
static void weigh(const cohort_robust_round *round, double *share) {
  const double most = ((const own_config *)round->config)->tolerance * median_length(round);
  for (int i = 0; i < round->clients; i++)
    share[i] = sqrt(round->products[(int64_t)i * round->rows + i]) <= most * (1 + 1e-9);
  cohort_robust_share_weights(round, share);
}

static const cohort_robust functions = {.share = weigh, .products = true};

static const cohort_method method = {
    .family = "robust",
    .key = COHORT_FILE_KEY,
    .summary = "the weighted mean of changes that are not long (a template)",
    .source = "the template of the family robust",
    .formula = "joined = sum w_i x_i / sum w_i over clients with |x_i| <= tolerance median |x|",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(robust, COHORT_FILE) = {&method, NULL};
