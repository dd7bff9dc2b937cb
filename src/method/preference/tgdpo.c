/* DPO whose log-ratios are sums over tokens with weights: by a guide's rewards (TGDPO), by the turn (DMPO), by the
 * place in the completion (LD-DPO), or with some tokens left out (PRefLexOR). */
#include "method/preference/pair/pair.h"

typedef struct weighed_config {
  double beta, alpha, gamma;
} weighed_config;

#define BETA                                                                                              \
  {                                                                                                       \
    COHORT_FIELD(weighed_config, beta, COHORT_PARAMETER_REAL),                                            \
        .standard = "0.1", .minimum = 0, .minimum_open = true, .maximum = INFINITY, .maximum_open = true, \
        .meaning = "strength of the pull towards the reference", .sweep_low = 0.01, .sweep_high = 0.5,    \
        .sweep_log = true                                                                                 \
  }

static const cohort_parameter tgdpo_parameters[] = {
    BETA,
    COHORT_REAL_ATLEAST(weighed_config, alpha, "0.5", 0, "how much the guide's rewards weigh; 0: DPO"),
    {.name = NULL},
};
static const cohort_parameter dmpo_parameters[] = {
    BETA,
    COHORT_REAL_RANGE(weighed_config, gamma, "0.7", 0, true, 1, false, "discount of a turn"),
    {.name = NULL},
};
static const cohort_parameter lddpo_parameters[] = {
    BETA,
    COHORT_REAL_RANGE(weighed_config, alpha, "0.5", 0, false, 1, false,
                      "weight of tokens past the shorter completion's length; 1: DPO"),
    {.name = NULL},
};
static const cohort_parameter beta_alone[] = {BETA, {.name = NULL}};

static const cohort_field guides[] = {
    {COHORT_NAMED_FIELD("guide"), .owner = COHORT_FIELD_TOKEN,
     .meaning = "log-probability of the token under a model that has been trained by DPO"},
    {.name = NULL},
};
static const cohort_field thoughts[] = {
    {COHORT_NAMED_FIELD("thinking"), .owner = COHORT_FIELD_TOKEN, .meaning = "1: a token of the reasoning, left out"},
    {.name = NULL},
};

static cohort_value token_ratio(cohort_graph *graph, const cohort_preference_fields *fields) {
  return cohort_graph_subtract(graph, fields->policy_token, fields->reference_token);
}

/* From each completion's weighed log-ratio, [C]. */
static cohort_preference_outputs make(cohort_graph *graph, double beta, cohort_value ratio) {
  const cohort_value reward = cohort_graph_scale(graph, ratio, beta);
  return (cohort_preference_outputs){.loss = cohort_preference_smoothed(graph, cohort_pair_margin(graph, reward), 0),
                                     .token_loss = COHORT_NO_VALUE,
                                     .reward = reward};
}

/* [C]: 1 of the chosen, -1 of the rejected. */
static cohort_value signs(cohort_graph *graph, int64_t completions) {
  const cohort_value zero =
      cohort_graph_broadcast(graph, cohort_graph_constant(graph, 0), COHORT_SHAPE(completions / 2, 1));
  const cohort_value parts[2] = {cohort_graph_shift(graph, zero, 1), cohort_graph_shift(graph, zero, -1)};
  return cohort_graph_reshape(graph, cohort_graph_concat(graph, 1, 2, parts), COHORT_SHAPE(completions));
}

static cohort_preference_outputs build_tgdpo(const void *config, cohort_graph *graph,
                                             const cohort_preference_fields *fields) {
  const weighed_config *own = config;
  const cohort_value guide =
      cohort_graph_subtract(graph, cohort_preference_field(fields, "guide"), fields->reference_token);
  const cohort_value sign = cohort_graph_gather(graph, signs(graph, fields->completions), fields->segments);
  const cohort_value turned =
      cohort_graph_multiply(graph, sign, cohort_graph_scale(graph, guide, own->alpha * own->beta));
  const cohort_value weight = cohort_graph_multiply(graph, cohort_graph_shift(graph, turned, 1), fields->mask);
  const cohort_value ratio = cohort_graph_multiply(graph, weight, token_ratio(graph, fields));
  return make(graph, own->beta, cohort_preference_total(graph, fields, ratio));
}

/* [C, S]: gamma^t (1 - gamma^(T - t)) / (1 - gamma^T), T the completion's turns; 0 where there is none. */
static cohort_value discounts(cohort_graph *graph, const cohort_preference_fields *fields, double gamma) {
  const cohort_shape one = COHORT_SHAPE(1, fields->steps);
  const cohort_value turn =
      cohort_graph_reshape(graph, cohort_graph_cast(graph, cohort_graph_iota(graph, fields->steps)), one);
  const cohort_value turns =
      cohort_graph_binary(graph, COHORT_OP_MAXIMUM, cohort_graph_sum(graph, fields->step_present, 2),
                          cohort_graph_constant(graph, 1)); /* [C, 1] */
  const cohort_value left = cohort_graph_subtract(graph, turns, turn);
  cohort_value weight;
  if (gamma == 1) {
    weight = cohort_graph_divide(graph, left, turns);
  } else {
    const double rate = log(gamma);
    const cohort_value start = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_scale(graph, turn, rate));
    const cohort_value ahead = cohort_graph_unary(graph, COHORT_OP_EXPM1, cohort_graph_scale(graph, left, rate));
    const cohort_value whole = cohort_graph_unary(graph, COHORT_OP_EXPM1, cohort_graph_scale(graph, turns, rate));
    weight = cohort_graph_multiply(graph, start, cohort_graph_divide(graph, ahead, whole));
  }
  return cohort_graph_select(graph, fields->step_present, weight, cohort_graph_constant(graph, 0));
}

static cohort_preference_outputs build_dmpo(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  const weighed_config *own = config;
  const cohort_value turns = cohort_preference_step_total(graph, fields, token_ratio(graph, fields));
  const cohort_value weighed = cohort_graph_multiply(graph, turns, discounts(graph, fields, own->gamma));
  return make(graph, own->beta, cohort_preference_steps(graph, fields, weighed));
}

/* A token's number in its completion, from 1: rows of a completion stand together. */
static cohort_value places(cohort_graph *graph, const cohort_preference_fields *fields) {
  const cohort_value lengths = cohort_preference_total(graph, fields, fields->mask);
  const cohort_value before = cohort_graph_subtract(graph, cohort_graph_cumsum(graph, lengths, 0, false), lengths);
  return cohort_graph_subtract(graph, cohort_graph_cumsum(graph, fields->mask, 0, false),
                               cohort_graph_gather(graph, before, fields->segments));
}

static cohort_preference_outputs build_lddpo(const void *config, cohort_graph *graph,
                                             const cohort_preference_fields *fields) {
  const weighed_config *own = config;
  const cohort_value lengths = cohort_preference_total(graph, fields, fields->mask);
  const cohort_value shorter = cohort_graph_binary(graph, COHORT_OP_MINIMUM, cohort_preference_side(graph, lengths, 0),
                                                   cohort_preference_side(graph, lengths, 1));
  const cohort_shape column = COHORT_SHAPE(fields->completions / 2, 1);
  const cohort_value one = cohort_graph_reshape(graph, shorter, column), both[2] = {one, one};
  const cohort_value shared =
      cohort_graph_reshape(graph, cohort_graph_concat(graph, 1, 2, both), COHORT_SHAPE(fields->completions));
  const cohort_value within =
      cohort_graph_less_equal(graph, places(graph, fields), cohort_graph_gather(graph, shared, fields->segments));
  const cohort_value weight = cohort_graph_shift(graph, cohort_graph_scale(graph, within, 1 - own->alpha), own->alpha);
  const cohort_value ratio =
      cohort_graph_multiply(graph, cohort_graph_multiply(graph, weight, fields->mask), token_ratio(graph, fields));
  return make(graph, own->beta, cohort_preference_total(graph, fields, ratio));
}

static cohort_preference_outputs build_preflexor(const void *config, cohort_graph *graph,
                                                 const cohort_preference_fields *fields) {
  const cohort_value kept =
      cohort_graph_shift(graph, cohort_graph_scale(graph, cohort_preference_field(fields, "thinking"), -1), 1);
  const cohort_value ratio =
      cohort_graph_multiply(graph, cohort_graph_multiply(graph, kept, fields->mask), token_ratio(graph, fields));
  return make(graph, ((const weighed_config *)config)->beta, cohort_preference_total(graph, fields, ratio));
}

static const cohort_preference tgdpo_functions = {.build = build_tgdpo, .fields = guides},
                               dmpo_functions = {.build = build_dmpo}, lddpo_functions = {.build = build_lddpo},
                               preflexor_functions = {.build = build_preflexor, .fields = thoughts};

enum { WEIGHED_NEEDS = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_EACH_TOKEN };

static const cohort_method tgdpo = {
    .family = "preference",
    .key = "tgdpo",
    .summary = "token-level reward guidance: a token's log-ratio weighs by the reward that a guide gives it",
    .title = "TGDPO: Harnessing Token-Level Reward Guidance for Enhancing Direct Preference Optimization",
    .source =
        "Zhu et al., TGDPO: Harnessing Token-Level Reward Guidance for Enhancing Direct Preference Optimization, ICML "
        "2025; as dpo_loss of its authors' tgdpo/trainer.py",
    .formula =
        "g = beta (log guide - log ref) of a token; r = beta sum over tokens of (1 + alpha g) (log pi - log ref) for "
        "the "
        "chosen, (1 - alpha g) for the rejected; -log sigmoid(r(chosen) - r(rejected)); reward = r",
    .config_size = sizeof(weighed_config),
    .parameters = tgdpo_parameters,
    .needs = WEIGHED_NEEDS,
    .functions = &tgdpo_functions,
};

static const cohort_method dmpo = {
    .family = "preference",
    .key = "dmpo",
    .summary = "multi-turn DPO: the log-ratios of turns, weighed by a discount that the length of the dialogue scales",
    .title = "Direct Multi-Turn Preference Optimization for Language Agents",
    .source =
        "Shi et al., Direct Multi-Turn Preference Optimization for Language Agents, EMNLP 2024, equation 17; weights "
        "as in its authors' dmpo_trainer_efficient.py",
    .formula =
        "w(t) = gamma^t (1 - gamma^(T - t)) / (1 - gamma^T), T the completion's turns; (T - t) / T at gamma = 1; r = "
        "beta sum over turns of w(t) (log pi - log ref)(turn t); -log sigmoid(r(chosen) - r(rejected)); reward = r",
    .config_size = sizeof(weighed_config),
    .parameters = dmpo_parameters,
    .needs = WEIGHED_NEEDS | COHORT_NEEDS_STEPS,
    .functions = &dmpo_functions,
};

static const cohort_identity lddpo_identities[] = {{"alpha=1", "dpo", ""}, {NULL}};

static const cohort_method lddpo = {
    .family = "preference",
    .key = "lddpo",
    .summary = "length-desensitized DPO: tokens past the shorter completion's length weigh less",
    .title = "Length Desensitization in Direct Preference Optimization",
    .source =
        "Liu et al., Length Desensitization in Direct Preference Optimization, 2024; as TRL's DPOTrainer with ld_alpha",
    .formula =
        "r = beta sum over tokens of (log pi - log ref), times alpha past the length of the pair's shorter completion; "
        "-log sigmoid(r(chosen) - r(rejected)); reward = r",
    .config_size = sizeof(weighed_config),
    .parameters = lddpo_parameters,
    .needs = WEIGHED_NEEDS,
    .identities = lddpo_identities,
    .functions = &lddpo_functions,
};

static const cohort_method preflexor = {
    .family = "preference",
    .key = "preflexor",
    .summary = "DPO with the reasoning's tokens left out: what is thought is free, what is answered is compared",
    .title =
        "PRefLexOR: Preference-based Recursive Language Modeling for Exploratory Optimization of Reasoning and Agentic "
        "Thinking",
    .source =
        "Buehler, PRefLexOR: Preference-based Recursive Language Modeling for Exploratory Optimization of Reasoning "
        "and "
        "Agentic Thinking, 2024: masked thinking tokens in preference optimization; its data and agents are not built",
    .formula =
        "r = beta sum over tokens that are not of the reasoning of (log pi - log ref); -log sigmoid(r(chosen) - "
        "r(rejected)); reward = r",
    .config_size = sizeof(weighed_config),
    .parameters = beta_alone,
    .needs = WEIGHED_NEEDS,
    .functions = &preflexor_functions,
};

const cohort_method *const cohort_preference_tgdpo[] = {&tgdpo, &dmpo, &lddpo, &preflexor, NULL};
