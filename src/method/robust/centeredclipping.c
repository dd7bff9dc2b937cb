/* Centered clipping (Karimireddy et al., 2021): changes are clipped about the last joined change. The server keeps that
 * one. A step's point is a sum of changes and of it, so that distances follow from inner products: an iteration costs
 * clients^2, whatever the size of a change. */
#include "method/robust/robust.h"

typedef struct centeredclipping_config {
  double radius;
  int64_t iterations;
} centeredclipping_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(centeredclipping_config, radius, "10", 0,
                      "largest distance from the last joined change that counts in full", .sweep_low = 0.01,
                      .sweep_high = 100, .sweep_log = true),
    COHORT_INTEGER_RANGE(centeredclipping_config, iterations, "1", 1, 1e6, "steps, each about the point of the last"),
    {.name = NULL},
};

/* One step from the point sum_j c_j x_j; returns whether any change was clipped. */
static bool step(const cohort_robust_round *round, double radius, double total, double *c) {
  const int clients = round->clients, rows = round->rows;
  double *own = round->work, *factor = own + rows;
  double square = 0, sum = 0;
  bool clipped = false;
  for (int i = 0; i < rows; i++) {
    own[i] = 0;
    for (int j = 0; j < rows; j++) own[i] += round->products[(int64_t)i * rows + j] * c[j];
    square += c[i] * own[i];
  }
  for (int i = 0; i < clients; i++) {
    const double d = round->products[(int64_t)i * rows + i] - 2 * own[i] + square;
    const bool far = d > radius * radius;
    factor[i] = round->weight[i] / total * (far ? radius / sqrt(d) : 1);
    sum += factor[i];
    clipped = clipped || far;
  }
  for (int i = 0; i < rows; i++) c[i] = c[i] * (1 - sum) + (i < clients ? factor[i] : 0);
  return clipped;
}

static void weigh(const cohort_robust_round *round, double *share) {
  const centeredclipping_config *own = round->config;
  double total = 0;
  for (int i = 0; i < round->clients; i++) total += round->weight[i];
  for (int i = 0; i < round->rows; i++) share[i] = i == round->clients;
  bool clipped = true;
  for (int64_t k = 0; k < own->iterations && clipped; k++) clipped = step(round, own->radius, total, share);
  if (clipped) return;
  for (int i = 0; i < round->clients; i++) share[i] = round->weight[i]; /* the mean */
  share[round->clients] = 0;
}

static const cohort_robust functions = {.share = weigh, .products = true, .recalls = true};

static const cohort_method centeredclipping = {
    .family = "robust",
    .key = "centeredclipping",
    .summary = "the mean of changes that are clipped about the last joined change",
    .title = "Learning from History for Byzantine Robust Optimization",
    .source = "Karimireddy, He and Jaggi, ICML 2021, equation 7 and algorithm 2",
    .formula =
        "v = the last joined change, at first 0; v += sum w_i (x_i - v) min(1, radius / |x_i - v|) with "
        "sum w = 1, `iterations` times; joined = v",
    .config_size = sizeof(centeredclipping_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_robust_centeredclipping[] = {&centeredclipping, NULL};
