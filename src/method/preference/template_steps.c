/* A complete loss on completions in steps to start from: copy this file to src/method/preference/NAME.c, as template.c
 * says. As it stands a pair's log-ratios are summed by step, and the steps weighed by a softmax of the scores that the
 * data give each: -log sigmoid of beta times the difference of the two weighed sums. */
#include "method/preference/preference.h"

typedef struct own_config {
  double beta;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(own_config, beta, "0.1", 0, "strength of the pull towards the reference"),
    {.name = NULL},
};

static const cohort_field own_fields[] = {
    {COHORT_NAMED_FIELD("score"), .owner = COHORT_FIELD_STEP, .meaning = "how good the step is"},
    {.name = NULL},
};

/* Completions have different numbers of steps; a step that is not there has weight 0. */
static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const own_config *settings = config;
  const cohort_value ratio = cohort_graph_subtract(graph, fields->policy_token, fields->reference_token);
  const cohort_value weight = cohort_graph_unary(
      graph, COHORT_OP_EXPONENTIAL,
      cohort_preference_log_softmax(graph, cohort_preference_field(fields, "score"), fields->step_present));
  const cohort_value steps = cohort_graph_multiply(graph, weight, cohort_preference_step_total(graph, fields, ratio));
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_steps(graph, fields, steps), settings->beta);
  const cohort_value margin =
      cohort_graph_subtract(graph, cohort_preference_side(graph, reward, 0), cohort_preference_side(graph, reward, 1));
  return (cohort_preference_outputs){
      .loss = cohort_preference_smoothed(graph, margin, 0), .token_loss = COHORT_NO_VALUE, .reward = reward};
}

static const cohort_preference functions = {.build = build, .fields = own_fields};

static const cohort_method method = {
    .family = "preference",
    .key = COHORT_FILE_KEY,
    .summary = "pairs in steps, weighed by their scores (a template)",
    .source = "the template of the family preference for steps",
    .formula =
        "w = softmax of a completion's scores; reward = beta sum over steps of w (log pi - log ref)(step); -log "
        "sigmoid(reward(chosen) - reward(rejected))",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_EACH_TOKEN | COHORT_NEEDS_STEPS,
    .functions = &functions,
};

COHORT_METHOD_FILE(preference, COHORT_FILE) = {&method, NULL};
