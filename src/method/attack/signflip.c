/* Sign flip: malicious clients send their own change the other way round. */
#include "method/attack/attack.h"

typedef struct signflip_config {
  double share, scale;
} signflip_config;

static const cohort_parameter parameters[] = {
    COHORT_ATTACK_SHARE(signflip_config),
    COHORT_REAL_ATLEAST(signflip_config, scale, "1", 0, "length of what is sent, in lengths of the change"),
    {.name = NULL},
};

static cohort_attack_change change(const void *config) {
  return (cohort_attack_change){.scale = -((const signflip_config *)config)->scale};
}

static const cohort_attack functions = {.change = change};

static const cohort_method signflip = {
    .family = "attack",
    .key = "signflip",
    .summary = "malicious clients send minus their change",
    .title =
        "RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from Heterogeneous Datasets",
    .source = "Li, Xu, Chen, Giannakis and Ling, AAAI 2019, section 5 (sign-flipping attack)",
    .formula = "sent = -scale x_i",
    .config_size = sizeof(signflip_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_attack_signflip[] = {&signflip, NULL};
