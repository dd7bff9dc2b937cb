/* The geometric median by the smoothed Weiszfeld algorithm (Pillutla et al., 2022). Its points are weighted means of
 * the changes, so that distances follow from the changes' inner products: an iteration costs clients^2, whatever the
 * size of a change. */
#include "method/robust/robust.h"

typedef struct geometricmedian_config {
  int64_t iterations;
  double epsilon;
} geometricmedian_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(geometricmedian_config, iterations, "1000", 0, 1e6,
                         "steps at most, fewer once they change nothing; 0 leaves the weighted mean"),
    COHORT_REAL_ABOVE(geometricmedian_config, epsilon, "1e-6", 0,
                      "distances below it count as it: the smoothing, in units of a change's norm"),
    {.name = NULL},
};

/* |x_i - z| for z = sum_j s_j x_j with sum s = 1; own[j] = <x_j, z>, square = <z, z>. */
static double distance(const cohort_robust_round *round, const double *own, double square, int i) {
  const double d = round->products[(int64_t)i * round->rows + i] - 2 * own[i] + square;
  return d > 0 ? sqrt(d) : 0;
}

/* One step from shares s; returns how far a share has moved at most. */
static double step(const cohort_robust_round *round, double epsilon, double *s) {
  const int clients = round->clients;
  double *own = round->work, *next = own + clients;
  double square = 0, sum = 0, moved = 0;
  for (int i = 0; i < clients; i++) {
    own[i] = 0;
    for (int j = 0; j < clients; j++) own[i] += round->products[(int64_t)i * round->rows + j] * s[j];
    square += s[i] * own[i];
  }
  for (int i = 0; i < clients; i++) sum += next[i] = round->weight[i] / fmax(epsilon, distance(round, own, square, i));
  for (int i = 0; i < clients; i++) {
    next[i] /= sum;
    moved = fmax(moved, fabs(next[i] - s[i]));
    s[i] = next[i];
  }
  return moved;
}

static void weigh(const cohort_robust_round *round, double *share) {
  const geometricmedian_config *own = round->config;
  double sum = 0;
  for (int i = 0; i < round->clients; i++) sum += share[i] = round->weight[i];
  if (own->iterations == 0) return;
  for (int i = 0; i < round->clients; i++) share[i] /= sum;
  for (int64_t k = 0; k < own->iterations; k++)
    if (step(round, own->epsilon, share) < 1e-15) break;
}

static const cohort_robust functions = {.share = weigh, .products = true};

static const cohort_method geometricmedian = {
    .family = "robust",
    .key = "geometricmedian",
    .summary = "the point of the least weighted sum of distances to all changes (RFA)",
    .title = "Robust Aggregation for Federated Learning",
    .source = "Pillutla, Kakade and Harchaoui, IEEE Transactions on Signal Processing 2022, algorithm 2",
    .formula =
        "z = sum w_i x_i / sum w_i; then b_i = w_i / max(epsilon, |x_i - z|), z = sum b_i x_i / sum b_i, again "
        "and again; joined = z",
    .config_size = sizeof(geometricmedian_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_robust_geometricmedian[] = {&geometricmedian, NULL};
