/* Label flip: malicious clients train honestly on wrong labels. */
#include "method/attack/attack.h"

typedef struct labelflip_config {
  double share;
  int64_t from, to;
} labelflip_config;

static const cohort_parameter parameters[] = {
    COHORT_ATTACK_SHARE(labelflip_config),
    COHORT_INTEGER_RANGE(labelflip_config, from, "-1", -1, 1e6, "the class that becomes `to`; -1: all are reversed"),
    COHORT_INTEGER_RANGE(labelflip_config, to, "-1", -1, 1e6, "what it becomes"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const labelflip_config *own = config;
  if ((own->from < 0) == (own->to < 0)) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "from and to: give both, or none");
}

static int32_t label(const void *config, int32_t label, int32_t classes) {
  const labelflip_config *own = config;
  if (own->from < 0) return classes - 1 - label;
  return label == own->from && own->to < classes ? (int32_t)own->to : label;
}

static const cohort_attack functions = {.label = label};

static const cohort_method labelflip = {
    .family = "attack",
    .key = "labelflip",
    .summary = "malicious clients train with wrong labels",
    .title = "Data Poisoning Attacks Against Federated Learning Systems",
    .source =
        "Tolpegin, Truex, Gursoy and Liu, ESORICS 2020, section 3 (one class); Fang, Cao, Jia and Gong, USENIX "
        "Security 2020, section 4 (all)",
    .formula = "class c is trained as classes - 1 - c, or class `from` as `to`",
    .config_size = sizeof(labelflip_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_attack_labelflip[] = {&labelflip, NULL};
