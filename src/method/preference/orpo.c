/* ORPO: likelihood of the chosen and a logistic loss on the log odds ratio, without a reference. */
#include "method/preference/preference.h"

typedef struct orpo_config {
  double beta;
} orpo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(orpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "weight of the odds ratio's loss (the paper's lambda)",
     .sweep_low = 0.01, .sweep_high = 1, .sweep_log = true},
    {.name = NULL},
};

/* log(p / (1 - p)) of a completion whose tokens have log p in the mean. A completion that is certain, or has no tokens,
 * has finite odds: p counts as at most 1 - 1e-6. */
static cohort_value log_odds(cohort_graph *graph, cohort_value mean) {
  const cohort_value most = cohort_graph_constant(graph, 1 - 1e-6);
  const cohort_value probability =
      cohort_graph_binary(graph, COHORT_OP_MINIMUM, cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, mean), most);
  const cohort_value other = cohort_graph_unary(graph, COHORT_OP_NEGATE, probability);
  return cohort_graph_subtract(graph, mean, cohort_graph_unary(graph, COHORT_OP_LOG1P, other));
}

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const orpo_config *settings = config;
  const cohort_value mean = cohort_graph_divide(graph, fields->policy, fields->length);
  const cohort_value odds = log_odds(graph, mean);
  const cohort_value ratio =
      cohort_graph_subtract(graph, cohort_preference_side(graph, odds, 0), cohort_preference_side(graph, odds, 1));
  const cohort_value likelihood = cohort_preference_side(graph, fields->policy, 0);
  return (cohort_preference_outputs){
      .loss = cohort_graph_scale(graph, cohort_graph_log_sigmoid(graph, ratio), -settings->beta),
      .token_loss = cohort_graph_scale(graph, likelihood, -1),
      .reward = cohort_graph_scale(graph, mean, settings->beta),
      .column = {ratio}};
}

static const cohort_preference functions = {.build = build, .column = {"preference/log_odds_ratio"}};

static const cohort_method orpo = {
    .family = "preference",
    .key = "orpo",
    .summary = "odds ratio preference optimization: likelihood of the chosen and the odds ratio's loss, no reference",
    .title = "ORPO: Monolithic Preference Optimization without Reference Model",
    .source =
        "Hong, Lee and Thorne, ORPO: Monolithic Preference Optimization without Reference Model, EMNLP 2024, equations "
        "6 "
        "and 7; the likelihood is a mean over all chosen tokens of the batch, as in TRL's ORPOTrainer",
    .formula =
        "m = log pi / length; o = m - log(1 - e^m); -sum log pi(chosen) / tokens of all chosen - beta log "
        "sigmoid(o(chosen) "
        "- o(rejected)); reward = beta m",
    .config_size = sizeof(orpo_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_TOKENS,
    .functions = &functions,
};

const cohort_method *const cohort_preference_orpo[] = {&orpo, NULL};
