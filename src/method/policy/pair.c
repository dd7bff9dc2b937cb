/* Losses on pairs of completions of one prompt: their log-ratios to the policy that wrote regress the difference of
 * their rewards (REBEL), or the better one is preferred as in DPO (online DPO). Invariant: only differences of rewards
 * within a pair count. Costs elementwise passes. */
#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct pair_config {
  cohort_shaping shaping;
  double eta, beta, clip, ratio_clip;
  int loss;
} pair_config;

enum { SIGMOID, IPO };
static const char *const losses[] = {"sigmoid", "ipo", NULL};

static const cohort_parameter rebel_parameters[] = {
    COHORT_REAL_ABOVE(pair_config, eta, "1", 0, "how much a difference of rewards is worth in log-probability"),
    COHORT_SHAPING(pair_config, shaping, "0.05"),
    {.name = NULL},
};
static const cohort_parameter p3o_parameters[] = {
    COHORT_REAL_ATLEAST(pair_config, beta, "0.05", 0, "weight of the KL to the reference"),
    COHORT_REAL_ABOVE(pair_config, clip, "0.2", 0, "how far a pair's log-ratio may move before it is held"),
    COHORT_REAL_RANGE(pair_config, ratio_clip, "5", 1, false, INFINITY, true,
                      "largest ratio of a pair to the old policy, and 1 over the smallest"),
    COHORT_SHAPING(pair_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter onlinedpo_parameters[] = {
    COHORT_REAL_ABOVE(pair_config, beta, "0.1", 0, "how hard the policy is held to the reference"),
    COHORT_CHOICE(pair_config, loss, "sigmoid", losses, "of DPO, or IPO's square"),
    COHORT_SHAPING(pair_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) { return cohort_shaping_needs(&((const pair_config *)config)->shaping); }

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const pair_config *)config)->shaping, state);
}

/* A completion's shaped reward is its score. */
static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  cohort_experience_shape(&((const pair_config *)config)->shaping, rollouts, out);
}

/* The first minus the second. */
static cohort_value difference(cohort_graph *graph, cohort_value completions) {
  return cohort_graph_subtract(graph, cohort_policy_side(graph, completions, 0),
                               cohort_policy_side(graph, completions, 1));
}

/* log pi(first) / base(first) - log pi(second) / base(second), sums over tokens: [C / 2]. */
static cohort_value log_ratio(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value base) {
  return difference(graph, cohort_policy_total(graph, fields, cohort_graph_subtract(graph, fields->policy, base)));
}

/* A pair's loss for each of its two. */
static cohort_policy_outputs give(cohort_graph *graph, cohort_value loss) {
  return (cohort_policy_outputs){.loss = cohort_policy_both(graph, cohort_graph_scale(graph, loss, 2))};
}

static cohort_policy_outputs rebel_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const pair_config *own = config;
  const cohort_value gap =
      cohort_graph_subtract(graph, cohort_graph_scale(graph, log_ratio(graph, fields, fields->old), 1 / own->eta),
                            difference(graph, fields->score));
  return give(graph, cohort_graph_multiply(graph, gap, gap));
}

/* Of a pair: u = log pi/reference(first) - the second's; q = its rewards' difference - beta u, at the weights as they
 * are; the pair's ratio to the old policy. Held on u: the joint clip. */
static cohort_policy_outputs p3o_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const pair_config *own = config;
  const cohort_value u = log_ratio(graph, fields, fields->reference);
  const cohort_value moved =
      cohort_policy_total(graph, fields, cohort_graph_subtract(graph, fields->policy, fields->old));
  const cohort_value both =
      cohort_graph_add(graph, cohort_policy_side(graph, moved, 0), cohort_policy_side(graph, moved, 1));
  const cohort_value ratio = cohort_clip_between(graph, cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, both),
                                                 1 / own->ratio_clip, own->ratio_clip);
  const cohort_value q =
      cohort_graph_subtract(graph, difference(graph, fields->score), cohort_graph_scale(graph, u, own->beta));
  const cohort_value factor =
      cohort_graph_stop_gradient(graph, cohort_graph_scale(graph, cohort_graph_multiply(graph, q, ratio), -0.5));
  const cohort_value step = difference(graph, moved);
  const cohort_value held = cohort_graph_add(graph, cohort_graph_subtract(graph, u, step),
                                             cohort_clip_between(graph, step, -own->clip, own->clip));
  return give(graph, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, cohort_graph_multiply(graph, factor, u),
                                         cohort_graph_multiply(graph, factor, held)));
}

/* +1 where the first is better, else -1. */
static cohort_value winner(cohort_graph *graph, const cohort_policy_fields *fields) {
  const cohort_value first =
      cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), difference(graph, fields->score));
  return cohort_graph_shift(graph, cohort_graph_scale(graph, first, 2), -1);
}

static cohort_policy_outputs onlinedpo_build(const void *config, cohort_graph *graph,
                                             const cohort_policy_fields *fields) {
  const pair_config *own = config;
  const cohort_value margin =
      cohort_graph_multiply(graph, winner(graph, fields), log_ratio(graph, fields, fields->reference));
  if (own->loss == IPO) {
    const cohort_value gap = cohort_graph_shift(graph, margin, -1 / (2 * own->beta));
    return give(graph, cohort_graph_multiply(graph, gap, gap));
  }
  const cohort_value likely = cohort_graph_log_sigmoid(graph, cohort_graph_scale(graph, margin, own->beta));
  return give(graph, cohort_graph_scale(graph, likely, -1));
}

static const cohort_policy rebel_functions = {
    .asks = asks, .state = {"policy/kl_coefficient"}, .begin = begin, .experience = experience, .build = rebel_build};
static const cohort_policy p3o_functions = {
    .asks = asks, .state = {"policy/kl_coefficient"}, .begin = begin, .experience = experience, .build = p3o_build};
static const cohort_policy onlinedpo_functions = {.asks = asks,
                                                  .state = {"policy/kl_coefficient"},
                                                  .begin = begin,
                                                  .experience = experience,
                                                  .build = onlinedpo_build};

static const cohort_method rebel = {
    .family = "policy",
    .key = "rebel",
    .summary = "the difference of a pair's log-ratios regresses the difference of its rewards",
    .title = "REBEL: Reinforcement Learning via Regressing Relative Rewards",
    .source =
        "Gao et al., NeurIPS 2024, algorithm 1. Its public code multiplies the rewards by eta instead of dividing the "
        "log-ratios: eta^2 times this loss",
    .formula =
        "((log pi/old(first) - log pi/old(second)) / eta - (r(first) - r(second)))^2, mean over pairs; r minus kl "
        "times "
        "the KL",
    .config_size = sizeof(pair_config),
    .parameters = rebel_parameters,
    .needs = COHORT_POLICY_PAIRS,
    .functions = &rebel_functions,
};

static const cohort_method p3o = {
    .family = "policy",
    .key = "p3o",
    .summary = "the policy gradient of a pair's difference of rewards, with a clip on the pair",
    .title = "Pairwise Proximal Policy Optimization: Harnessing Relative Feedback for LLM Alignment",
    .source = "Wu et al., COLM 2024; the joint clip as in the authors' code (thwu1/trlx, P3OConfig.loss)",
    .formula =
        "u = log pi/reference(first) - log pi/reference(second), u0 the same of old; q = r(first) - r(second) - beta "
        "u, "
        "w = clamp(pi/old(first) pi/old(second), 1 / ratio_clip, ratio_clip), both without gradient; max(-q w u / 2, "
        "-q "
        "w clamp(u, u0 - clip, u0 + clip) / 2), mean over pairs",
    .config_size = sizeof(pair_config),
    .parameters = p3o_parameters,
    .needs = COHORT_POLICY_PAIRS | COHORT_POLICY_REFERENCE,
    .functions = &p3o_functions,
};

static const cohort_method onlinedpo = {
    .family = "policy",
    .key = "onlinedpo",
    .summary = "DPO on pairs that the policy has just written, labelled by their rewards",
    .title = NULL,
    .source =
        "Guo et al., Direct language model alignment from online AI feedback, 2024; TRL's OnlineDPOTrainer: of equal "
        "rewards the first is chosen",
    .formula =
        "-log sigmoid(beta (log pi/reference(better) - log pi/reference(worse))); ipo: (that difference - 1 / (2 "
        "beta))^2; mean over pairs",
    .config_size = sizeof(pair_config),
    .parameters = onlinedpo_parameters,
    .needs = COHORT_POLICY_PAIRS | COHORT_POLICY_REFERENCE,
    .functions = &onlinedpo_functions,
};

const cohort_method *const cohort_policy_pair[] = {&rebel, &p3o, &onlinedpo, NULL};
