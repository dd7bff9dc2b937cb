/* Stochastic gradient descent with momentum, Nesterov's too. Elementwise: a range needs its own gradient and state
 * alone, so it may be cut anywhere. */
#include "method/optimizer/optimizer_real.h"

typedef struct sgd_config {
  double learning_rate, momentum, weight_decay;
  bool nesterov;
} sgd_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(sgd_config, "1e-2", 1e-3, 1, "step size"),
    {COHORT_FIELD(sgd_config, momentum, COHORT_PARAMETER_REAL), .standard = "0", .minimum = 0, .maximum = 1,
     .maximum_open = true, .meaning = "share of the last velocity that is kept", .sweep_low = 0, .sweep_high = 0.99},
    COHORT_REAL_ATLEAST(sgd_config, weight_decay, "0", 0, "L2 penalty: this times the parameter joins the gradient"),
    COHORT_BOOLEAN(sgd_config, nesterov, "false", "look ahead along the velocity (needs momentum > 0)"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "velocity", .meaning = "momentum buffer: decayed sum of the gradients"},
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const sgd_config *own = config;
  if (own->nesterov && own->momentum <= 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "nesterov needs momentum; set momentum above 0 or nesterov: false");
  return COHORT_DONE;
}

static void step_range(int64_t n, real rate, real momentum, real decay, real scale, real ahead, real *restrict w,
                       const real *restrict gradient, real *restrict velocity) {
  for (int64_t i = 0; i < n; i++) {
    const real g = scale * gradient[i] + decay * w[i];
    const real v = momentum * velocity[i] + g;
    velocity[i] = v;
    w[i] -= rate * (ahead * g + (ahead != 0 ? momentum * v : v));
  }
}

static void update(const cohort_update *u) {
  const sgd_config *config = u->config;
  step_range(u->elements, (real)u->learning_rate, (real)config->momentum, (real)u->weight_decay,
             (real)u->gradient_scale, config->nesterov ? 1 : 0, u->parameters, u->gradient, u->state[0]);
}

static const cohort_optimizer functions = {.update = update};

static const cohort_method sgd = {
    .family = "optimizer",
    .key = "sgd",
    .summary = "stochastic gradient descent with momentum, Nesterov's variant and L2 decay",
    .source = "Polyak 1964; Nesterov 1983; the form of Sutskever et al., ICML 2013, as in torch.optim.SGD",
    .formula =
        "g = gradient + weight_decay w; v = momentum v + g; "
        "w -= learning_rate (nesterov ? g + momentum v : v)",
    .config_size = sizeof(sgd_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .check = check,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(sgd) = {&sgd, NULL};
