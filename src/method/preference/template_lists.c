/* A complete loss on lists of completions to start from: copy this file to src/method/preference/NAME.c, as template.c
 * says. As it stands the policy's preferences among a prompt's completions, a softmax of beta (log pi - log ref), are
 * pulled to a softmax of their scores, which are a field of the data: cross-entropy, in the mean over lists. */
#include "method/preference/preference.h"

typedef struct own_config {
  double beta, temperature;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(own_config, beta, "0.1", 0, "strength of the pull towards the reference"),
    COHORT_REAL_ABOVE(own_config, temperature, "1", 0, "of the scores' softmax"),
    {.name = NULL},
};

static const cohort_field own_fields[] = {
    {COHORT_NAMED_FIELD("score"), .owner = COHORT_FIELD_COMPLETION, .meaning = "how good the completion is"},
    {.name = NULL},
};

/* Lists are of different lengths: what is not there has no part in a softmax. */
static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const own_config *settings = config;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), settings->beta);
  const cohort_value present = cohort_preference_table(graph, fields, fields->present);
  const cohort_value score =
      cohort_graph_scale(graph, cohort_preference_field(fields, "score"), 1 / settings->temperature);
  const cohort_value wanted =
      cohort_preference_log_softmax(graph, cohort_preference_table(graph, fields, score), present);
  const cohort_value has =
      cohort_preference_log_softmax(graph, cohort_preference_table(graph, fields, reward), present);
  const cohort_value each = cohort_graph_multiply(graph, cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, wanted),
                                                  cohort_graph_multiply(graph, has, present));
  const cohort_value sum = cohort_graph_reshape(graph, cohort_graph_sum(graph, each, 2), COHORT_SHAPE(fields->samples));
  return (cohort_preference_outputs){
      .loss = cohort_graph_scale(graph, sum, -1), .token_loss = COHORT_NO_VALUE, .reward = reward};
}

static const cohort_preference functions = {.build = build, .fields = own_fields};

static const cohort_method method = {
    .family = "preference",
    .key = COHORT_FILE_KEY,
    .summary = "lists of completions pulled to a softmax of their scores (a template)",
    .source = "the template of the family preference for lists",
    .formula =
        "reward = beta (log pi - log ref); -sum over the list of softmax(score / temperature) log "
        "softmax(reward)",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_LISTS,
    .functions = &functions,
};

COHORT_METHOD_FILE(preference, COHORT_FILE) = {&method, NULL};
