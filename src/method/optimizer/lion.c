/* Lion (Chen et al., 2023): the sign of an interpolated momentum. Elementwise: a range needs its own gradient and state
 * alone, so it may be cut anywhere. */
#include "method/optimizer/optimizer_real.h"

typedef struct lion_config {
  double learning_rate, beta1, beta2, weight_decay;
} lion_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(lion_config, "1e-4", 1e-5, 1e-2, "step size: every element moves by this"),
    COHORT_REAL_UNIT(lion_config, beta1, "0.9", "share of the average in the direction"),
    COHORT_REAL_UNIT(lion_config, beta2, "0.99", "decay of the gradient's average"),
    COHORT_DECOUPLED_DECAY(lion_config, "0", .sweep_low = 1e-2, .sweep_high = 10, .sweep_log = true),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "average", .meaning = "average of the gradient"},
    {.name = NULL},
};

typedef struct constants {
  real keep, rate, beta1, rest1, beta2, rest2, scale;
} constants;

static void step_range(int64_t n, constants c, real *restrict w, const real *restrict gradient,
                       real *restrict average) {
  for (int64_t i = 0; i < n; i++) {
    const real g = c.scale * gradient[i];
    const real direction = c.beta1 * average[i] + c.rest1 * g;
    const real up = direction > 0 ? c.rate : (real)0;
    const real down = direction < 0 ? c.rate : (real)0;
    average[i] = c.beta2 * average[i] + c.rest2 * g;
    w[i] = c.keep * w[i] - (up - down);
  }
}

static void update(const cohort_update *u) {
  const lion_config *config = u->config;
  const constants c = {
      .keep = (real)(1 - u->learning_rate * u->weight_decay),
      .rate = (real)u->learning_rate,
      .beta1 = (real)config->beta1,
      .rest1 = (real)(1 - config->beta1),
      .beta2 = (real)config->beta2,
      .rest2 = (real)(1 - config->beta2),
      .scale = (real)u->gradient_scale,
  };
  step_range(u->elements, c, u->parameters, u->gradient, u->state[0]);
}

static const cohort_optimizer functions = {.update = update};

static const cohort_method lion = {
    .family = "optimizer",
    .key = "lion",
    .summary = "the sign of an interpolated average of the gradient, with decoupled decay",
    .title = "Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
    .source =
        "Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, Algorithm 2; Chen, Liu, Liang "
        "and Liu, Lion Secretly Solves Constrained Optimization, ICLR 2024",
    .formula =
        "u = sign(beta1 m + (1 - beta1) g), sign(0) = 0; w -= learning_rate (u + weight_decay w); "
        "m = beta2 m + (1 - beta2) g",
    .config_size = sizeof(lion_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(lion) = {&lion, NULL};
