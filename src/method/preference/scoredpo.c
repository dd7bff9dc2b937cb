/* DPO on pairs with numbers beside their completions: scores that weigh each side (Score-DPO), rewards of other
 * objectives that the margin must make up for (MODPO), visits of a tree search that say how sure a pair is (MCTS-DPO).
 */
#include "method/preference/pair/pair.h"

typedef struct scored_config {
  double beta, weight;
} scored_config;

#define BETA                                                                                              \
  {                                                                                                       \
    COHORT_FIELD(scored_config, beta, COHORT_PARAMETER_REAL),                                             \
        .standard = "0.1", .minimum = 0, .minimum_open = true, .maximum = INFINITY, .maximum_open = true, \
        .meaning = "strength of the pull towards the reference", .sweep_low = 0.01, .sweep_high = 0.5,    \
        .sweep_log = true                                                                                 \
  }

static const cohort_parameter beta_alone[] = {BETA, {.name = NULL}};
static const cohort_parameter modpo_parameters[] = {
    BETA,
    COHORT_REAL_RANGE(scored_config, weight, "0.5", 0, true, 1, false,
                      "of the objective that the pairs are about; the other's reward has 1 less this"),
    {.name = NULL},
};

static const cohort_field scores[] = {
    {COHORT_NAMED_FIELD("score"), .owner = COHORT_FIELD_COMPLETION, .meaning = "how good it is, from 0 to 1"},
    {.name = NULL},
};
static const cohort_field rewards[] = {
    {COHORT_NAMED_FIELD("score"), .owner = COHORT_FIELD_COMPLETION,
     .meaning = "reward of the completion by the other objective, or their weighted sum"},
    {.name = NULL},
};
static const cohort_field visits[] = {
    {COHORT_NAMED_FIELD("visit"), .owner = COHORT_FIELD_COMPLETION,
     .meaning = "how often the search came to this completion, above 0"},
    {.name = NULL},
};

static cohort_value negative(cohort_graph *graph, cohort_value x) { return cohort_graph_scale(graph, x, -1); }

static cohort_preference_outputs build_score(const void *config, cohort_graph *graph,
                                             const cohort_preference_fields *fields) {
  const double beta = ((const scored_config *)config)->beta;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), beta);
  const cohort_value score = cohort_preference_field(fields, "score");
  const cohort_value poor = cohort_graph_shift(graph, negative(graph, cohort_preference_side(graph, score, 1)), 1);
  const cohort_value chosen =
      cohort_graph_multiply(graph, cohort_preference_side(graph, score, 0), cohort_preference_side(graph, reward, 0));
  const cohort_value rejected = cohort_graph_multiply(graph, poor, cohort_preference_side(graph, reward, 1));
  return (cohort_preference_outputs){
      .loss = cohort_preference_smoothed(graph, cohort_graph_subtract(graph, chosen, rejected), 0),
      .token_loss = COHORT_NO_VALUE,
      .reward = reward};
}

static cohort_preference_outputs build_modpo(const void *config, cohort_graph *graph,
                                             const cohort_preference_fields *fields) {
  const scored_config *own = config;
  const cohort_value ratio = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), own->beta);
  const cohort_value other = cohort_graph_scale(graph, cohort_preference_field(fields, "score"), 1 - own->weight);
  const cohort_value reward = cohort_pair_weighed(graph, cohort_graph_subtract(graph, ratio, other), 1 / own->weight);
  return (cohort_preference_outputs){.loss = cohort_preference_smoothed(graph, cohort_pair_margin(graph, reward), 0),
                                     .token_loss = COHORT_NO_VALUE,
                                     .reward = reward};
}

/* The share of flips is that of the rejected in the pair's visits. */
static cohort_preference_outputs build_mcts(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  const double beta = ((const scored_config *)config)->beta;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), beta);
  const cohort_value visit = cohort_preference_field(fields, "visit"), margin = cohort_pair_margin(graph, reward);
  const cohort_value chosen = cohort_preference_side(graph, visit, 0),
                     rejected = cohort_preference_side(graph, visit, 1);
  const cohort_value least = cohort_graph_constant(graph, 1e-12); /* of an empty place, which has no visits */
  const cohort_value sum =
      cohort_graph_binary(graph, COHORT_OP_MAXIMUM, cohort_graph_add(graph, chosen, rejected), least);
  const cohort_value flipped = cohort_graph_divide(graph, rejected, sum);
  const cohort_value right = cohort_preference_smoothed(graph, margin, 0);
  const cohort_value wrong = cohort_preference_smoothed(graph, negative(graph, margin), 0);
  const cohort_value excess = cohort_graph_multiply(graph, flipped, cohort_graph_subtract(graph, wrong, right));
  return (cohort_preference_outputs){
      .loss = cohort_graph_add(graph, right, excess), .token_loss = COHORT_NO_VALUE, .reward = reward};
}

static const cohort_preference score_functions = {.build = build_score, .fields = scores},
                               modpo_functions = {.build = build_modpo, .fields = rewards},
                               mcts_functions = {.build = build_mcts, .fields = visits};

static const cohort_method scoredpo = {
    .family = "preference",
    .key = "scoredpo",
    .summary = "Score-DPO: each side's log-ratio weighed by its score",
    .title = "ScoreFlow: Mastering LLM Agent Workflows via Score-based Preference Optimization",
    .source =
        "Wang et al., ScoreFlow: Mastering LLM Agent Workflows via Score-based Preference Optimization, 2025, the "
        "Score-DPO loss; as its authors' DPOtrainer.py. Sampling pairs by (s_w - s_l)^3 is left to the data",
    .formula =
        "r = beta (log pi - log ref), s the data's score; -log sigmoid(s(chosen) r(chosen) - (1 - s(rejected)) "
        "r(rejected)); reward = r",
    .config_size = sizeof(scored_config),
    .parameters = beta_alone,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &score_functions,
};

static const cohort_method modpo = {
    .family = "preference",
    .key = "modpo",
    .summary = "multi-objective DPO: DPO on one objective's pairs, less the margin of the others' rewards",
    .title = "Beyond One-Preference-Fits-All Alignment: Multi-Objective Direct Preference Optimization",
    .source =
        "Zhou et al., Beyond One-Preference-Fits-All Alignment: Multi-Objective Direct Preference Optimization, "
        "Findings of ACL 2024, equation 9; as modpo_loss of its authors for two objectives",
    .formula =
        "w = weight, s the data's score of the other objective; r = (beta (log pi - log ref) - (1 - w) s) / w; -log "
        "sigmoid(r(chosen) - r(rejected)); reward = r",
    .config_size = sizeof(scored_config),
    .parameters = modpo_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &modpo_functions,
};

static const cohort_method mcts_dpo = {
    .family = "preference",
    .key = "mcts_dpo",
    .summary = "DPO on pairs of a tree search: a pair counts as flipped by the share of visits of its rejected",
    .title = "Monte Carlo Tree Search Boosts Reasoning via Iterative Preference Learning",
    .source =
        "Xie et al., Monte Carlo Tree Search Boosts Reasoning via Iterative Preference Learning, 2024, the loss of "
        "section 2.2; the search itself is left to who makes the data",
    .formula =
        "h = beta ((log pi/ref)(chosen) - (log pi/ref)(rejected)); a = 1 / (visit(chosen) / visit(rejected) + 1); "
        "-(1 - a) log sigmoid(h) - a log sigmoid(-h); reward = beta (log pi - log ref)",
    .config_size = sizeof(scored_config),
    .parameters = beta_alone,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &mcts_functions,
};

const cohort_method *const cohort_preference_scoredpo[] = {&scoredpo, &modpo, &mcts_dpo, NULL};
