/* Adam (Kingma and Ba, 2015), decay added to the gradient. Elementwise: a range needs its own gradient and state alone,
 * so it may be cut anywhere. */
#include "method/optimizer/adaptive_real.h"

typedef struct adam_config {
  double learning_rate, beta1, beta2, epsilon, weight_decay, initial_second;
  bool bias_correction;
} adam_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(adam_config, "1e-3", 1e-5, 1e-2, "step size"),
    COHORT_MOMENTS(adam_config, "0.9", "0.999", "1e-8"),
    COHORT_REAL_ATLEAST(adam_config, weight_decay, "0", 0, "L2 penalty: this times the parameter joins the gradient"),
    COHORT_BOOLEAN(adam_config, bias_correction, "true", "divide both averages by 1 - beta^t"),
    COHORT_REAL_ATLEAST(adam_config, initial_second, "0", 0, "first value of the squared gradient's average"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "first", .meaning = "average of the gradient"},
    {.name = "second", .initial_parameter = "initial_second", .meaning = "average of the squared gradient"},
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"weight_decay=0", "adamw", "weight_decay=0"},
    {.settings = NULL, .method = NULL},
};

static void update(const cohort_update *u) {
  const adam_config *config = u->config;
  const cohort_adaptive settings = {config->beta1, config->beta2, config->epsilon, config->bias_correction, false};
  cohort_adaptive_update(u, settings, cohort_adaptive_mean);
}

static const cohort_optimizer functions = {.update = update};

static const cohort_method adam = {
    .family = "optimizer",
    .key = "adam",
    .summary = "adaptive moments, with L2 decay",
    .title = "Adam: A Method for Stochastic Optimization",
    .source = "Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, Algorithm 1; as torch.optim.Adam",
    .formula =
        "g = gradient + weight_decay w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
        "w -= learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), "
        "without the divisions by 1 - beta^t when bias_correction is false; v starts at initial_second",
    .config_size = sizeof(adam_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(adam) = {&adam, NULL};
