/* LAMB: Adam's direction, each tensor's step as long as the tensor. Two passes: averages and both norms; then the step,
 * whose direction is made again from the averages instead of being stored. */
#include "method/optimizer/optimizer_real.h"

typedef struct lamb_config {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
} lamb_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(lamb_config, "1e-2", 1e-4, 0.1, "step size, relative to the norm of a tensor"),
    COHORT_MOMENTS(lamb_config, "0.9", "0.999", "1e-6"),
    {COHORT_FIELD(lamb_config, weight_decay, COHORT_PARAMETER_REAL), .standard = "1e-2", .minimum = 0,
     .maximum = INFINITY, .maximum_open = true, .meaning = "decay, part of the direction and of its norm",
     .sweep_low = 1e-4, .sweep_high = 0.3, .sweep_log = true},
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "first", .meaning = "average of the gradient"},
    {.name = "second", .meaning = "average of the squared gradient"},
    {.name = NULL},
};

enum { WEIGHTS, DIRECTION };
static const cohort_pass_sum sums[] = {
    [WEIGHTS] = {.name = "weights", .pass = 0, .over = COHORT_OWNER_TENSOR},
    [DIRECTION] = {.name = "direction", .pass = 0, .over = COHORT_OWNER_TENSOR},
    {.name = NULL},
};

typedef struct constants {
  real beta1, rest1, beta2, rest2, factor, root, epsilon, scale, decay, rate;
} constants;

static void average_range(int64_t n, constants c, const real *restrict gradient, real *restrict first,
                          real *restrict second) {
  for (int64_t i = 0; i < n; i++) {
    const real g = c.scale * gradient[i];
    first[i] = c.beta1 * first[i] + c.rest1 * g;
    second[i] = c.beta2 * second[i] + c.rest2 * (g * g);
  }
}

static void direction_range(int64_t n, constants c, const real *restrict w, const real *restrict first,
                            const real *restrict second, real *restrict direction) {
  for (int64_t i = 0; i < n; i++)
    direction[i] = c.factor * first[i] / (COHORT_SQRT(second[i]) * c.root + c.epsilon) + c.decay * w[i];
}

static void step_range(int64_t n, real rate, real *restrict w, const real *restrict direction) {
  for (int64_t i = 0; i < n; i++) w[i] -= rate * direction[i];
}

/* A tensor that is zero, or does not move, is stepped as Adam steps it. */
static double trust(const cohort_update *u) {
  const double weights = sqrt(*u->sum[WEIGHTS]), direction = sqrt(*u->sum[DIRECTION]);
  return weights > 0 && direction > 0 ? weights / direction : 1;
}

static void update(const cohort_update *u) {
  enum { BLOCK = 1024 };
  const lamb_config *config = u->config;
  const constants c = {
      .beta1 = (real)config->beta1,
      .rest1 = (real)(1 - config->beta1),
      .beta2 = (real)config->beta2,
      .rest2 = (real)(1 - config->beta2),
      .factor = (real)(1 / (1 - pow(config->beta1, (double)u->step))),
      .root = (real)(1 / sqrt(1 - pow(config->beta2, (double)u->step))),
      .epsilon = (real)config->epsilon,
      .scale = (real)u->gradient_scale,
      .decay = (real)u->weight_decay,
      .rate = u->pass ? (real)(u->learning_rate * trust(u)) : 0,
  };
  const real *gradient = u->gradient;
  real *w = u->parameters, *first = u->state[0], *second = u->state[1], direction[BLOCK];
  for (int64_t at = 0; at < u->elements; at += BLOCK) {
    const int64_t n = u->elements - at < BLOCK ? u->elements - at : BLOCK;
    if (u->pass == 0) average_range(n, c, gradient + at, first + at, second + at);
    direction_range(n, c, w + at, first + at, second + at, direction);
    if (u->pass == 0) {
      *u->sum[WEIGHTS] += u->kernels->dot(w + at, w + at, n);
      *u->sum[DIRECTION] += u->kernels->dot(direction, direction, n);
    } else {
      step_range(n, c.rate, w + at, direction);
    }
  }
}

static const cohort_optimizer functions = {.update = update, .passes = 2, .sums = sums};

static const cohort_method lamb = {
    .family = "optimizer",
    .key = "lamb",
    .summary = "Adam with decay, each tensor's step scaled to the tensor's norm",
    .title = "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
    .source = "You et al., ICLR 2020, Algorithm 2, with the identity for phi",
    .formula =
        "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
        "u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay w; "
        "w -= learning_rate (|w| / |u|) u, norms of the tensor, the ratio 1 where either is 0",
    .config_size = sizeof(lamb_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(lamb) = {&lamb, NULL};
