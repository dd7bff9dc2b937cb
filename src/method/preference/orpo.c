/* Odds of a completion's mean token, without a reference: ORPO, which compares a pair's, and ASFT, which takes each
 * side alone; both beside the likelihood of the chosen. */
#include "method/preference/pair/pair.h"

typedef struct odds_config {
  double beta, scale, likelihood;
} odds_config;

#define ODDS_PARAMETERS(default_beta, text)                                                                      \
  {COHORT_FIELD(odds_config, beta, COHORT_PARAMETER_REAL),                                                       \
   .standard = default_beta,                                                                                     \
   .minimum = 0,                                                                                                 \
   .minimum_open = true,                                                                                         \
   .maximum = INFINITY,                                                                                          \
   .maximum_open = true,                                                                                         \
   .meaning = text,                                                                                              \
   .sweep_low = 0.01,                                                                                            \
   .sweep_high = 1,                                                                                              \
   .sweep_log = true},                                                                                           \
      COHORT_REAL_ABOVE(odds_config, scale, "1", 0,                                                              \
                        "of the log odds inside the sigmoid (the beta of Gorbatovski et al.)", .sweep_low = 0.1, \
                        .sweep_high = 10, .sweep_log = true),                                                    \
      COHORT_REAL_ATLEAST(odds_config, likelihood, "1", 0,                                                       \
                          "weight of the chosen's likelihood; 0: the second of two stages, after a run of sft")

static const cohort_parameter orpo_parameters[] = {
    ODDS_PARAMETERS("0.1", "weight of the odds ratio's loss (the paper's lambda)"), {.name = NULL}};
static const cohort_parameter asft_parameters[] = {
    ODDS_PARAMETERS("1", "weight of the two sides' losses (the paper's lambda)"), {.name = NULL}};

/* log(p / (1 - p)) of a completion whose tokens have log p in the mean. A completion that is certain, or has no tokens,
 * has finite odds: p counts as at most 1 - 1e-6. */
static cohort_value log_odds(cohort_graph *graph, cohort_value mean) {
  const cohort_value most = cohort_graph_constant(graph, 1 - 1e-6);
  const cohort_value probability =
      cohort_graph_binary(graph, COHORT_OP_MINIMUM, cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, mean), most);
  const cohort_value other = cohort_graph_unary(graph, COHORT_OP_NEGATE, probability);
  return cohort_graph_subtract(graph, mean, cohort_graph_unary(graph, COHORT_OP_LOG1P, other));
}

static cohort_preference_outputs make(const odds_config *own, cohort_graph *graph,
                                      const cohort_preference_fields *fields, bool sides) {
  const cohort_value mean = cohort_pair_mean(graph, fields, fields->policy);
  const cohort_value odds = log_odds(graph, mean), scaled = cohort_pair_weighed(graph, odds, own->scale);
  const cohort_value ratio = cohort_pair_margin(graph, odds);
  cohort_value loss;
  if (sides) {
    const cohort_value rejected = cohort_graph_scale(graph, cohort_preference_side(graph, scaled, 1), -1);
    loss = cohort_graph_add(graph, cohort_graph_log_sigmoid(graph, cohort_preference_side(graph, scaled, 0)),
                            cohort_graph_log_sigmoid(graph, rejected));
  } else {
    loss = cohort_graph_log_sigmoid(graph, cohort_pair_weighed(graph, ratio, own->scale));
  }
  return (cohort_preference_outputs){
      .loss = cohort_graph_scale(graph, loss, -own->beta),
      .token_loss = own->likelihood > 0
                        ? cohort_pair_weighed(graph, cohort_pair_likelihood(graph, fields), own->likelihood)
                        : COHORT_NO_VALUE,
      .reward = cohort_graph_scale(graph, mean, own->beta),
      .column = {ratio}};
}

static cohort_preference_outputs build_orpo(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  return make(config, graph, fields, false);
}

static cohort_preference_outputs build_asft(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  return make(config, graph, fields, true);
}

static const cohort_preference orpo_functions = {.build = build_orpo, .column = {"preference/log_odds_ratio"}},
                               asft_functions = {.build = build_asft, .column = {"preference/log_odds_ratio"}};

static const cohort_method orpo = {
    .family = "preference",
    .key = "orpo",
    .summary = "odds ratio preference optimization: likelihood of the chosen and the odds ratio's loss, no reference",
    .title = "ORPO: Monolithic Preference Optimization without Reference Model",
    .source =
        "Hong, Lee and Thorne, ORPO: Monolithic Preference Optimization without Reference Model, EMNLP 2024, equations "
        "6 and 7; the likelihood is a mean over all chosen tokens of the batch, as in TRL's ORPOTrainer; scale and the "
        "second stage (likelihood=0): Gorbatovski et al., The Differences Between Direct Alignment Algorithms are a "
        "Blur, 2025",
    .formula =
        "m = log pi / length; o = m - log(1 - e^m); -likelihood sum log pi(chosen) / tokens of all chosen - beta log "
        "sigmoid(scale (o(chosen) - o(rejected))); reward = beta m",
    .config_size = sizeof(odds_config),
    .parameters = orpo_parameters,
    .needs = COHORT_NEEDS_TOKENS,
    .functions = &orpo_functions,
};

static const cohort_method asft = {
    .family = "preference",
    .key = "asft",
    .summary = "aligned supervised fine-tuning: likelihood of the chosen, and each side's odds alone, no reference",
    .title = "ASFT: Aligned Supervised Fine-Tuning through Absolute Likelihood",
    .source =
        "Wang et al., ASFT: Aligned Supervised Fine-Tuning through Absolute Likelihood, 2024; the likelihood is a mean "
        "over all chosen tokens of the batch, as of orpo; scale and the second stage (likelihood=0): Gorbatovski et "
        "al., The Differences Between Direct Alignment Algorithms are a Blur, 2025",
    .formula =
        "m = log pi / length; o = m - log(1 - e^m); -likelihood sum log pi(chosen) / tokens of all chosen - beta (log "
        "sigmoid(scale o(chosen)) + log sigmoid(-scale o(rejected))); reward = beta m",
    .config_size = sizeof(odds_config),
    .parameters = asft_parameters,
    .needs = COHORT_NEEDS_TOKENS,
    .functions = &asft_functions,
};

const cohort_method *const cohort_preference_orpo[] = {&orpo, &asft, NULL};
