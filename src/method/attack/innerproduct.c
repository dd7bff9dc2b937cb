/* Inner product manipulation (Xie et al., 2019): malicious clients send minus a multiple of the honest mean, so that
 * the joined change turns against it. Acts at the join. */
#include "method/attack/attack.h"

typedef struct innerproduct_config {
  double share, epsilon;
} innerproduct_config;

static const cohort_parameter parameters[] = {
    COHORT_ATTACK_SHARE(innerproduct_config),
    COHORT_REAL_ATLEAST(innerproduct_config, epsilon, "10", 0,
                        "length of what is sent, in lengths of the honest mean; the plain mean turns round above "
                        "(1 - share) / share",
                        .sweep_low = 0.1, .sweep_high = 100, .sweep_log = true),
    {.name = NULL},
};

static cohort_attack_join join(const void *config, int clients, int malicious) {
  (void)clients, (void)malicious;
  return (cohort_attack_join){.mean = -((const innerproduct_config *)config)->epsilon};
}

static const cohort_attack functions = {.join = join};

static const cohort_method innerproduct = {
    .family = "attack",
    .key = "innerproduct",
    .summary = "malicious clients send minus a multiple of the honest clients' mean",
    .title = "Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation",
    .source = "Xie, Koyejo and Gupta, UAI 2019, section 4",
    .formula = "sent = -epsilon m, with m the mean of the honest clients' changes",
    .config_size = sizeof(innerproduct_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_attack_innerproduct[] = {&innerproduct, NULL};
