/* Noise: malicious clients send random numbers, or add them to their change. */
#include "method/attack/attack.h"

typedef struct gaussian_config {
  double share, deviation;
  bool added;
} gaussian_config;

static const cohort_parameter parameters[] = {
    COHORT_ATTACK_SHARE(gaussian_config),
    COHORT_REAL_ATLEAST(gaussian_config, deviation, "1", 0, "standard deviation of each number"),
    COHORT_BOOLEAN(gaussian_config, added, "false", "to the client's change; false: in its place"),
    {.name = NULL},
};

static cohort_attack_change change(const void *config) {
  const gaussian_config *own = config;
  return (cohort_attack_change){.scale = own->added ? 1 : 0, .deviation = own->deviation};
}

static const cohort_attack functions = {.change = change};

static const cohort_method gaussian = {
    .family = "attack",
    .key = "gaussian",
    .summary = "malicious clients send noise",
    .title = "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
    .source = "Blanchard, El Mhamdi, Guerraoui and Stainer, NeurIPS 2017, section 6 (Gaussian attack)",
    .formula = "sent = deviation e, or x_i + deviation e, with e standard normal",
    .config_size = sizeof(gaussian_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_attack_gaussian[] = {&gaussian, NULL};
