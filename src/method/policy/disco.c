/* Discriminative constrained optimisation: within a group those with a reward of 1 are to score above those of 0; the
 * policy is held to the one that wrote by a squared hinge on the batch's KL. Invariant: groups of one kind of reward
 * give nothing. Costs elementwise passes, and an exchange of two numbers between lanes. */
#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct disco_config {
  cohort_shaping shaping;
  int score, negatives;
  double temperature, penalty, delta;
} disco_config;

enum { LIKELIHOOD, RATIO };
enum { LOG_MEAN_EXP, MEAN };
static const char *const scores[] = {"likelihood", "ratio", NULL};
static const char *const means[] = {"log_mean_exp", "mean", NULL};

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(disco_config, score, "likelihood", scores,
                  "of a completion: the mean of its tokens' log-probabilities, or of their ratios to the old policy"),
    COHORT_CHOICE(disco_config, negatives, "log_mean_exp", means,
                  "of those with reward 0: temperature log mean exp(s / temperature), or the mean (DisCO-b)"),
    COHORT_REAL_ABOVE(disco_config, temperature, "10", 0, "how little the highest scores among them stand out"),
    COHORT_REAL_ATLEAST(disco_config, penalty, "1000", 0, "weight of the constraint"),
    COHORT_REAL_ATLEAST(disco_config, delta, "1e-4", 0, "KL of a token up to which the policy is free"),
    COHORT_SHAPING(disco_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) { return cohort_shaping_needs(&((const disco_config *)config)->shaping); }

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const disco_config *)config)->shaping, state);
}

static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  cohort_experience_shape(&((const disco_config *)config)->shaping, rollouts, out);
  cohort_experience_spread(rollouts, out->score, out->advantage);
}

/* [C]: 1 where the score is that number, else 0. */
static cohort_value marked(cohort_graph *graph, const cohort_policy_fields *fields, double number) {
  return cohort_graph_equal(graph, fields->score, cohort_graph_constant(graph, number));
}

static cohort_value at_least_one(cohort_graph *graph, cohort_value count) {
  return cohort_graph_binary(graph, COHORT_OP_MAXIMUM, count, cohort_graph_constant(graph, 1));
}

/* What a completion of reward 1 is held against: [C], one number a group. `count`: those of reward 0, at least 1. */
static cohort_value others(const disco_config *own, cohort_graph *graph, const cohort_policy_fields *fields,
                           cohort_value s, cohort_value wrong, cohort_value count) {
  if (own->negatives == MEAN) {
    const cohort_value sum = cohort_policy_group_total(graph, fields, cohort_graph_multiply(graph, s, wrong));
    return cohort_graph_divide(graph, sum, count);
  }
  const cohort_value e =
      cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_scale(graph, s, 1 / own->temperature));
  const cohort_value sum = cohort_policy_group_total(graph, fields, cohort_graph_multiply(graph, e, wrong));
  const cohort_value none = cohort_graph_less_equal(graph, sum, cohort_graph_constant(graph, 0));
  const cohort_value mean = cohort_graph_divide(graph, cohort_graph_add(graph, sum, none), count);
  return cohort_graph_scale(graph, cohort_graph_unary(graph, COHORT_OP_LOG, mean), own->temperature);
}

/* [C]: the gap of those of reward 1, so that its mean over completions is that over groups of the mean of theirs. */
static cohort_value gap(const disco_config *own, cohort_graph *graph, const cohort_policy_fields *fields,
                        cohort_value s) {
  const cohort_value right = marked(graph, fields, 1), wrong = marked(graph, fields, 0);
  const cohort_value ones = cohort_graph_shift(graph, cohort_graph_scale(graph, fields->score, 0), 1);
  const cohort_value size = cohort_policy_group_total(graph, fields, ones);
  const cohort_value rights = at_least_one(graph, cohort_policy_group_total(graph, fields, right));
  const cohort_value wrongs = cohort_policy_group_total(graph, fields, wrong);
  const cohort_value some = cohort_graph_less(graph, cohort_graph_constant(graph, 0), wrongs);
  const cohort_value weight =
      cohort_graph_divide(graph, cohort_graph_multiply(graph, cohort_graph_multiply(graph, right, some), size), rights);
  const cohort_value base = others(own, graph, fields, s, wrong, at_least_one(graph, wrongs));
  return cohort_graph_multiply(graph, weight, cohort_graph_subtract(graph, s, base));
}

/* [N]: w - log w - 1. */
static cohort_value token_kl(cohort_graph *graph, const cohort_policy_fields *fields) {
  return cohort_clip_divergence(graph, fields->old, fields->policy);
}

/* [C]: stop(penalty max(KL - delta, 0)) KL, whose KL is that of all the batch's tokens. */
static cohort_value constraint(const disco_config *own, cohort_graph *graph, const cohort_policy_fields *fields) {
  const cohort_value kl = cohort_policy_total(graph, fields, token_kl(graph, fields));
  const cohort_value sum =
      cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, cohort_graph_stop_gradient(graph, kl)));
  const cohort_value count = cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, fields->mask));
  const cohort_value over =
      cohort_graph_shift(graph, cohort_graph_divide(graph, sum, at_least_one(graph, count)), -own->delta);
  const cohort_value factor = cohort_graph_stop_gradient(
      graph,
      cohort_graph_scale(graph, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, over, cohort_graph_constant(graph, 0)),
                         own->penalty));
  return cohort_graph_multiply(graph, cohort_graph_multiply(graph, kl, fields->token_share), factor);
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const disco_config *own = config;
  cohort_value of_token = fields->policy;
  if (own->score == RATIO)
    of_token =
        cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_subtract(graph, fields->policy, fields->old));
  const cohort_value s = cohort_policy_mean(graph, fields, of_token);
  return (cohort_policy_outputs){
      .loss = cohort_graph_subtract(graph, constraint(own, graph, fields), gap(own, graph, fields, s)),
      .column = {cohort_policy_token_mean(graph, fields, token_kl(graph, fields))}};
}

static const cohort_policy functions = {.asks = asks,
                                        .state = {"policy/kl_coefficient"},
                                        .begin = begin,
                                        .experience = experience,
                                        .build = build,
                                        .column = {"policy/kl"}};

static const cohort_method disco = {
    .family = "policy",
    .key = "disco",
    .summary = "right completions are told from wrong ones, under a constraint on the KL",
    .title = "DisCO: Reinforcing Large Reasoning Models with Discriminative Constrained Optimization",
    .source = "Li et al., 2025, sections 4.1 to 4.3, and the authors' code for the constraint",
    .formula =
        "-(mean over right ones of s - temperature log mean over wrong ones of exp(s / temperature)), mean over "
        "groups; "
        "plus stop(penalty max(KL - delta, 0)) KL, KL = mean over all tokens of w - log w - 1, w = exp(policy - old)",
    .config_size = sizeof(disco_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_policy_disco[] = {&disco, NULL};
