/* Sophia: momentum over a running estimate of the Hessian's diagonal, clipped by element. Two states an element; in
 * every interval-th step a Hessian-vector product, or a gradient at drawn labels, is added to the gradient. */
#include "method/optimizer/optimizer_real.h"

typedef struct sophia_config {
  double learning_rate, beta1, beta2, gamma, epsilon, weight_decay;
  int64_t interval;
  int estimator;
} sophia_config;

enum { HUTCHINSON, GNB };
static const char *const estimators[] = {"hutchinson", "gnb", NULL};

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(sophia_config, "6e-4", 1e-5, 1e-2, "step size, the largest change of an element"),
    COHORT_REAL_UNIT(sophia_config, beta1, "0.96", "decay of the gradient's average"),
    COHORT_REAL_UNIT(sophia_config, beta2, "0.99", "decay of the curvature's average, at its refreshes"),
    COHORT_REAL_ABOVE(sophia_config, gamma, "0.01", 0, "factor on the curvature; larger clips less"),
    COHORT_REAL_ABOVE(sophia_config, epsilon, "1e-12", 0, "least denominator"),
    COHORT_DECOUPLED_DECAY(sophia_config, "0.1"),
    COHORT_INTEGER_RANGE(sophia_config, interval, "10", 1, 1e9, "steps between refreshes of the curvature"),
    COHORT_CHOICE(
        sophia_config, estimator, "hutchinson", estimators,
        "hutchinson: z * (H z), z of random signs (Sophia-H); gnb: b times the square of the gradient at labels "
        "drawn from the model (Sophia-G)"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "first", .meaning = "average of the gradient"},
    {.name = "curvature", .meaning = "average of the Hessian's diagonal"},
    {.name = NULL},
};

typedef struct constants {
  real keep, rate, beta1, rest1, beta2, rest2, gamma, epsilon, scale;
} constants;

static void average_curvature(int64_t n, constants c, const real *restrict diagonal, real *restrict h) {
  for (int64_t i = 0; i < n; i++) h[i] = c.beta2 * h[i] + c.rest2 * diagonal[i];
}

static void step_range(int64_t n, constants c, real *restrict w, const real *restrict gradient, real *restrict m,
                       const real *restrict h) {
  for (int64_t i = 0; i < n; i++) {
    m[i] = c.beta1 * m[i] + c.rest1 * (c.scale * gradient[i]);
    const real scaled = c.gamma * h[i], ratio = m[i] / (scaled > c.epsilon ? scaled : c.epsilon);
    const real clipped = ratio > 1 ? 1 : ratio < -1 ? -1 : ratio;
    w[i] = c.keep * w[i] - c.rate * clipped;
  }
}

static void update(const cohort_update *u) {
  const sophia_config *config = u->config;
  const constants c = {.keep = (real)(1 - u->learning_rate * u->weight_decay),
                       .rate = (real)u->learning_rate,
                       .beta1 = (real)config->beta1,
                       .rest1 = (real)(1 - config->beta1),
                       .beta2 = (real)config->beta2,
                       .rest2 = (real)(1 - config->beta2),
                       .gamma = (real)config->gamma,
                       .epsilon = (real)config->epsilon,
                       .scale = (real)u->gradient_scale};
  if (u->hvp_diagonal) average_curvature(u->elements, c, u->hvp_diagonal, u->state[1]);
  step_range(u->elements, c, u->parameters, u->gradient, u->state[0], u->state[1]);
}

static int64_t every(const void *config) { return ((const sophia_config *)config)->interval; }

static bool sampled(const void *config) { return ((const sophia_config *)config)->estimator == GNB; }

static const cohort_optimizer functions = {
    .update = update, .hvp_diagonal_every = every, .hvp_diagonal_sampled = sampled};

static const cohort_method sophia = {
    .family = "optimizer",
    .key = "sophiag",
    .summary = "momentum over the Hessian's diagonal, refreshed every few steps and clipped by element",
    .title = "Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training",
    .source = "Liu, Li, Hall, Liang and Ma, ICLR 2024, Algorithms 1, 2 and 3",
    .formula =
        "m = beta1 m + (1 - beta1) g; in steps 1, 1 + interval, ...: h = beta2 h + (1 - beta2) k, k = z (H z) or "
        "(gnb) b times the square of the gradient of the mean loss of b samples, or tokens, at drawn labels; "
        "w *= 1 - learning_rate weight_decay; w -= learning_rate clip(m / max(gamma h, epsilon), 1)",
    .config_size = sizeof(sophia_config),
    .parameters = parameters,
    .states = states,
    .needs = COHORT_NEEDS_HVP_DIAGONAL,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(sophiag) = {&sophia, NULL};
