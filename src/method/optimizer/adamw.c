/* AdamW (Loshchilov and Hutter, 2019): Adam with decay apart from the gradient. Elementwise: a range needs its own
 * gradient and state alone, so it may be cut anywhere. */
#include "method/optimizer/adaptive_real.h"

typedef struct adamw_config {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
} adamw_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(adamw_config, "1e-3", 1e-5, 1e-2, "step size"),
    COHORT_MOMENTS(adamw_config, "0.9", "0.999", "1e-8"),
    COHORT_DECOUPLED_DECAY(adamw_config, "1e-2", .sweep_low = 1e-4, .sweep_high = 0.3, .sweep_log = true),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "first", .meaning = "average of the gradient"},
    {.name = "second", .meaning = "average of the squared gradient"},
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"weight_decay=0", "adam", "weight_decay=0"},
    {.settings = NULL, .method = NULL},
};

static void update(const cohort_update *u) {
  const adamw_config *config = u->config;
  const cohort_adaptive settings = {config->beta1, config->beta2, config->epsilon, true, true};
  cohort_adaptive_update(u, settings, cohort_adaptive_mean);
}

static const cohort_optimizer functions = {.update = update};

static const cohort_method adamw = {
    .family = "optimizer",
    .key = "adamw",
    .summary = "Adam with decoupled weight decay",
    .title = "Decoupled Weight Decay Regularization",
    .source =
        "Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, Algorithm 2; as torch.optim.AdamW",
    .formula =
        "w *= 1 - learning_rate weight_decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
        "w -= learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)",
    .config_size = sizeof(adamw_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(adamw) = {&adamw, NULL};
