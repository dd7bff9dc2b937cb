/* A template, to be copied: REINFORCE with the group's mean reward as baseline. Costs elementwise passes. */
#include "method/policy/experience/experience.h"

typedef struct template_config {
  double strength;
} template_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(template_config, strength, "1", 0, "factor on the advantages"),
    {.name = NULL},
};

static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  static const cohort_shaping plain = {.kl = 0};
  const template_config *own = config;
  cohort_experience_shape(&plain, rollouts, out);
  cohort_experience_centre(COHORT_BASELINE_GROUP, rollouts, out->score);
  for (int64_t c = 0; c < rollouts->completions; c++) out->score[c] *= own->strength;
  cohort_experience_spread(rollouts, out->score, out->advantage);
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  (void)config;
  const cohort_value gain = cohort_graph_multiply(graph, fields->advantage, fields->policy);
  return (cohort_policy_outputs){.loss = cohort_graph_scale(graph, cohort_policy_total(graph, fields, gain), -1)};
}

static const cohort_policy functions = {.experience = experience, .build = build};

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
