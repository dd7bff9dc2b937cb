/* Yogi (Zaheer et al., 2018): Adam whose second moment moves additively. Elementwise: a range needs its own gradient
 * and state alone, so it may be cut anywhere. */
#include "method/optimizer/adaptive_real.h"

typedef struct yogi_config {
  double learning_rate, beta1, beta2, epsilon, initial_accumulator, weight_decay;
  bool bias_correction;
} yogi_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(yogi_config, "1e-2", 1e-4, 1e-1, "step size"),
    COHORT_REAL_UNIT(yogi_config, beta1, "0.9", "decay of the gradient's average"),
    COHORT_REAL_UNIT(yogi_config, beta2, "0.999", "1 - beta2 is the largest relative change of the second moment"),
    COHORT_REAL_ABOVE(yogi_config, epsilon, "1e-3", 0, "added to the root in the denominator"),
    COHORT_REAL_ATLEAST(yogi_config, initial_accumulator, "1e-6", 0, "first value of the second moment"),
    COHORT_DECOUPLED_DECAY(yogi_config, "0"),
    COHORT_BOOLEAN(yogi_config, bias_correction, "true",
                   "divide both moments by 1 - beta^t (as optax and pytorch_optimizer; the paper does not)"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "first", .meaning = "average of the gradient"},
    {.name = "second", .initial_parameter = "initial_accumulator", .meaning = "second moment"},
    {.name = NULL},
};

/* The change never takes more than (1 - beta2) v from v, so v stays positive. */
static inline real next_second(real v, real square, real beta2, real rest) {
  (void)beta2;
  const real change = rest * square;
  const real above = v > square ? change : (real)0;
  const real below = v < square ? change : (real)0;
  return v - above + below;
}

static void update(const cohort_update *u) {
  const yogi_config *config = u->config;
  const cohort_adaptive settings = {config->beta1, config->beta2, config->epsilon, config->bias_correction, true};
  cohort_adaptive_update(u, settings, next_second);
}

static const cohort_optimizer functions = {.update = update};

static const cohort_method yogi = {
    .family = "optimizer",
    .key = "yogi",
    .summary = "Adam whose second moment changes additively, at a controlled rate",
    .title = "Adaptive Methods for Nonconvex Optimization",
    .source =
        "Zaheer, Reddi, Sachan, Kale and Kumar, NeurIPS 2018, Algorithm 2; bias correction as in optax and "
        "pytorch_optimizer, first moment from zero as in the paper",
    .formula =
        "w *= 1 - learning_rate weight_decay; m = beta1 m + (1 - beta1) g; "
        "v -= (1 - beta2) sign(v - g^2) g^2; "
        "w -= learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), "
        "without the divisions by 1 - beta^t when bias_correction is false; v starts at initial_accumulator",
    .config_size = sizeof(yogi_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(yogi) = {&yogi, NULL};
