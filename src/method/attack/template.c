/* A complete attack to start from: copy this file to src/method/attack/NAME.c, build, and NAME is a method like any
 * other: in `cohort methods attack`, in `cohort probe attack NAME`, in configs (federated.attack). As it stands
 * malicious clients send a multiple of their change. An attack on labels has `label` instead (labelflip.c), one that
 * must know the honest clients' changes has `join` (innerproduct.c). */
#include "method/attack/attack.h"

typedef struct own_config {
  double share, scale;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_ATTACK_SHARE(own_config),
    COHORT_REAL_ATLEAST(own_config, scale, "10", 0, "length of what is sent, in lengths of the change"),
    {.name = NULL},
};

static cohort_attack_change change(const void *config) {
  return (cohort_attack_change){.scale = ((const own_config *)config)->scale};
}

static const cohort_attack functions = {.change = change};

static const cohort_method method = {
    .family = "attack",
    .key = COHORT_FILE_KEY,
    .summary = "malicious clients send a multiple of their change (a template)",
    .source = "the template of the family attack",
    .formula = "sent = scale x_i",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(attack, COHORT_FILE) = {&method, NULL};
