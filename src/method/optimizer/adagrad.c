/* Adagrad (Duchi, Hazan and Singer, 2011). Elementwise: a range needs its own gradient and state alone, so it may be
 * cut anywhere. */
#include "method/optimizer/optimizer_real.h"

typedef struct adagrad_config {
  double learning_rate, learning_rate_decay, initial_accumulator, epsilon, weight_decay;
} adagrad_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(adagrad_config, "1e-2", 1e-4, 1, "step size"),
    COHORT_REAL_ATLEAST(adagrad_config, learning_rate_decay, "0", 0,
                        "the step size is divided by 1 + (t - 1) times this at step t"),
    COHORT_REAL_ATLEAST(adagrad_config, initial_accumulator, "0", 0, "first value of the sum of squared gradients"),
    COHORT_REAL_ABOVE(adagrad_config, epsilon, "1e-10", 0, "added to the root in the denominator"),
    COHORT_REAL_ATLEAST(adagrad_config, weight_decay, "0", 0,
                        "L2 penalty: this times the parameter joins the gradient"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "sum", .initial_parameter = "initial_accumulator", .meaning = "sum of the squared gradients"},
    {.name = NULL},
};

static void step_range(int64_t n, real rate, real decay, real scale, real epsilon, real *restrict w,
                       const real *restrict gradient, real *restrict sum) {
  for (int64_t i = 0; i < n; i++) {
    const real g = scale * gradient[i] + decay * w[i];
    const real s = sum[i] + g * g;
    sum[i] = s;
    w[i] -= rate * g / (COHORT_SQRT(s) + epsilon);
  }
}

static void update(const cohort_update *u) {
  const adagrad_config *config = u->config;
  const double rate = u->learning_rate / (1 + (double)(u->step - 1) * config->learning_rate_decay);
  step_range(u->elements, (real)rate, (real)u->weight_decay, (real)u->gradient_scale, (real)config->epsilon,
             u->parameters, u->gradient, u->state[0]);
}

static const cohort_optimizer functions = {.update = update};

static const cohort_method adagrad = {
    .family = "optimizer",
    .key = "adagrad",
    .summary = "steps divided by the root of the sum of squared gradients",
    .title = "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    .source = "Duchi, Hazan and Singer, JMLR 12, 2011 (diagonal form); as torch.optim.Adagrad",
    .formula =
        "g = gradient + weight_decay w; s += g^2; "
        "w -= learning_rate / (1 + (t - 1) learning_rate_decay) g / (sqrt(s) + epsilon); "
        "s starts at initial_accumulator",
    .config_size = sizeof(adagrad_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(adagrad) = {&adagrad, NULL};
