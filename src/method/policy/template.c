/* A template, to be copied: REINFORCE with the group's mean reward as baseline. Costs elementwise passes. */
#include "method/policy/policy.h"

typedef struct template_config {
  double strength;
} template_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(template_config, strength, "1", 0, "factor on the advantages"),
    {.name = NULL},
};

static void advantages(const void *config, int64_t count, const double *reward, double *advantage) {
  const template_config *own = config;
  double mean = 0;
  for (int64_t i = 0; i < count; i++) mean += reward[i] / (double)count;
  for (int64_t i = 0; i < count; i++) advantage[i] = own->strength * (reward[i] - mean);
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  (void)config;
  const cohort_value gain = cohort_graph_multiply(graph, fields->advantage, fields->policy);
  return (cohort_policy_outputs){.loss = cohort_graph_scale(graph, cohort_policy_total(graph, fields, gain), -1),
                                 .column = {COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE}};
}

static const cohort_policy functions = {.advantages = advantages, .build = build};

static const cohort_method method = {
    .family = "policy",
    .key = COHORT_FILE_KEY,
    .summary = "REINFORCE with a baseline of the completion group (a template)",
    .source = "the template of the family policy",
    .formula = "A = strength (r - mean of the group); loss = -A sum of log pi over the tokens",
    .config_size = sizeof(template_config),
    .parameters = parameters,
    .functions = &functions,
};

#define METHODS_(file) cohort_policy_##file
#define METHODS(file) METHODS_(file)
const cohort_method *const METHODS(COHORT_FILE)[] = {&method, NULL};
