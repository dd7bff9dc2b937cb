/* CAGrad: near the mean gradient, the direction that is best for the objective that gains least. On the simplex
 * <g_w, g_0> + s |g_w| is to be least, s = c |g_0|. With |g_w| = min over t of (|g_w|^2 / t + t) / 2 that is, for each
 * t, the point of the hull of the g_i + (t / s) g_0 next to zero; t is right when it is |g_w|, which a bracket of one
 * number finds. Cost: the inner products, and some twenty such points. */
#include <math.h>

#include "kernel/quadratic.h"
#include "method/aggregator/aggregator.h"

typedef struct cagrad_config {
  double c;
} cagrad_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ATLEAST(cagrad_config, c, "0.5", 0, "radius around the mean gradient, in units of its norm",
                        .sweep_low = 0.1, .sweep_high = 0.9),
    {.name = NULL},
};

enum { MOST = COHORT_MAX_OBJECTIVES };

typedef struct problem {
  int n;
  const double *products;
  double mean[MOST];  /* <g_i, g_0> */
  double mean_square; /* |g_0|^2 */
  double radius;      /* s */
} problem;

static double square_of(const problem *p, const double *w) {
  double sum = 0;
  for (int i = 0; i < p->n; i++)
    for (int j = 0; j < p->n; j++) sum += w[i] * p->products[i * p->n + j] * w[j];
  return sum > 0 ? sum : 0;
}

/* The weights that belong to t; returns |g_w| - t. */
static double weights_at(const problem *p, double t, double *w) {
  const double ahead = t / p->radius;
  double shifted[MOST * MOST];
  for (int i = 0; i < p->n; i++)
    for (int j = 0; j < p->n; j++)
      shifted[i * p->n + j] =
          p->products[i * p->n + j] + ahead * (p->mean[i] + p->mean[j]) + ahead * ahead * p->mean_square;
  cohort_least_on_simplex(p->n, shifted, w);
  return sqrt(square_of(p, w)) - t;
}

/* By the rule of false position, an end that stays losing half its weight (Illinois). */
static void find(const problem *p, double low, double high, double *w) {
  double at_low = weights_at(p, low, w), at_high = weights_at(p, high, w);
  if (at_low <= 0) {
    (void)weights_at(p, low, w);
    return;
  }
  int side = 0;
  for (int i = 0; i < 200 && at_high < 0 && high - low > 1e-15 * high; i++) {
    const double t = (low * at_high - high * at_low) / (at_high - at_low), here = weights_at(p, t, w);
    if (here == 0) return;
    if (here > 0) {
      low = t;
      at_low = here;
      if (side > 0) at_high /= 2;
      side = 1;
    } else {
      high = t;
      at_high = here;
      if (side < 0) at_low /= 2;
      side = -1;
    }
  }
}

static void weigh(const cohort_aggregation *aggregation, double *weights) {
  const cagrad_config *config = aggregation->config;
  problem p = {.n = aggregation->objectives, .products = aggregation->products};
  double largest = 0, w[MOST];
  for (int i = 0; i < p.n; i++) {
    for (int j = 0; j < p.n; j++) p.mean[i] += p.products[i * p.n + j] / p.n;
    p.mean_square += p.mean[i] / p.n;
    largest = fmax(largest, sqrt(p.products[i * p.n + i]));
    weights[i] = 1.0 / p.n;
  }
  p.radius = config->c * sqrt(fmax(p.mean_square, 0));
  if (p.radius <= 1e-12 * largest) return; /* nothing to go away from */
  find(&p, 1e-9 * largest, largest, w);
  const double norm = sqrt(square_of(&p, w));
  /* Where the hull holds zero, no direction is better for all. */
  if (norm <= 2e-9 * largest) return;
  for (int i = 0; i < p.n; i++) weights[i] += p.radius / norm * w[i];
}

static const cohort_aggregator functions = {.weigh = weigh, .needs_products = true};

static const cohort_method cagrad = {
    .family = "aggregator",
    .key = "cagrad",
    .summary = "near the mean gradient, the direction that is best for the objective that gains least",
    .title = "Conflict-Averse Gradient Descent for Multi-task Learning",
    .source = "Liu, Liu, Jin, Stone and Liu, NeurIPS 2021, Algorithm 1, not divided by 1 + c^2; solved exactly",
    .formula =
        "g_0: the mean of the g_i; w >= 0 of sum 1 makes <g_w, g_0> + c |g_0| |g_w| least, g_w = sum_i w_i g_i; "
        "direction = g_0 + c |g_0| / |g_w| g_w",
    .config_size = sizeof(cagrad_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_aggregator_cagrad[] = {&cagrad, NULL};
