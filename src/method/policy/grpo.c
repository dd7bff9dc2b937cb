/* GRPO and what became of it: advantages within a completion group, ratios to the policy that wrote, a clip or a soft
 * gate, and a normaliser. Invariant: with no gradient between, the ratio is exactly 1. Costs elementwise passes. */
#include <math.h>

#include "method/policy/policy.h"

typedef enum { GRPO, BNPO, DRGRPO, DAPO, LUSPO, CISPO, SAPO, VESPO } loss_type;
typedef enum { TOKEN, SEQUENCE } ratio_level;
typedef enum { GROUP, NONE } reward_scale;
static const char *const losses[] = {"grpo", "bnpo", "drgrpo", "dapo", "luspo", "cispo", "sapo", "vespo", NULL};
static const char *const ratios[] = {"token", "sequence", NULL};
static const char *const scales[] = {"group", "none", NULL};

typedef struct grpo_config {
  int loss, ratio, scale;
  double beta, epsilon_low, epsilon_high, delta;
} grpo_config;

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(grpo_config, loss, "dapo", losses, "the token's loss and what sums are divided by"),
    COHORT_CHOICE(grpo_config, ratio, "token", ratios,
                  "whose ratio to the old policy: a token's own, or the mean log-ratio of its completion (GSPO)"),
    COHORT_REAL_ATLEAST(grpo_config, beta, "0", 0, "weight of the KL to the reference; 0: there is no reference",
                        .sweep_low = 0.001, .sweep_high = 0.1, .sweep_log = true),
    COHORT_REAL_RANGE(grpo_config, epsilon_low, "0.2", 0, false, 1, false, "how far below 1 a ratio still counts"),
    COHORT_REAL_ATLEAST(grpo_config, epsilon_high, "0.2", 0,
                        "how far above 1 a ratio still counts; of cispo the largest ratio itself"),
    COHORT_REAL_ATLEAST(grpo_config, delta, "0", 0, "largest ratio of any sign of the advantage; 0: none"),
    COHORT_CHOICE(grpo_config, scale, "group", scales,
                  "what centred rewards are divided by: the deviation within their group, or nothing"),
    {.name = NULL},
};

static bool needs_reference(const void *config) { return ((const grpo_config *)config)->beta > 0; }

static void advantages(const void *config, int64_t count, const double *reward, double *advantage) {
  const grpo_config *own = config;
  double mean = 0, squares = 0;
  for (int64_t i = 0; i < count; i++) mean += reward[i] / (double)count;
  for (int64_t i = 0; i < count; i++) squares += (reward[i] - mean) * (reward[i] - mean);
  const double deviation = count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
  for (int64_t i = 0; i < count; i++) advantage[i] = (reward[i] - mean) / (own->scale == GROUP ? deviation + 1e-4 : 1);
}

static cohort_value at_most(cohort_graph *graph, cohort_value x, double bound) {
  return cohort_graph_binary(graph, COHORT_OP_MINIMUM, x, cohort_graph_constant(graph, bound));
}

static cohort_value clamp(cohort_graph *graph, cohort_value x, double low, double high) {
  return at_most(graph, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, x, cohort_graph_constant(graph, low)), high);
}

static cohort_value exponential(cohort_graph *graph, cohort_value x) {
  return cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, x);
}

/* One number or another by the sign of the advantage. */
static cohort_value by_sign(cohort_graph *graph, cohort_value positive, double yes, double no) {
  return cohort_graph_shift(graph, cohort_graph_scale(graph, positive, yes - no), no);
}

/* min(min(w, delta) A, clamp(w) A). */
static cohort_value clipped_gain(const grpo_config *own, cohort_graph *graph, cohort_value ratio,
                                 cohort_value advantage) {
  const cohort_value inside = clamp(graph, ratio, 1 - own->epsilon_low, 1 + own->epsilon_high);
  const cohort_value bounded = own->delta > 0 ? at_most(graph, ratio, own->delta) : ratio;
  return cohort_graph_binary(graph, COHORT_OP_MINIMUM, cohort_graph_multiply(graph, bounded, advantage),
                             cohort_graph_multiply(graph, inside, advantage));
}

/* 4 / t sigmoid(t (w - 1)) A. */
static cohort_value soft_gain(cohort_graph *graph, cohort_value ratio, cohort_value advantage) {
  static const double positive = 1, other = 1.05;
  const cohort_value above = cohort_graph_less(graph, cohort_graph_constant(graph, 0), advantage);
  const cohort_value heat = by_sign(graph, above, positive, other),
                     cold = by_sign(graph, above, 4 / positive, 4 / other);
  const cohort_value gate = cohort_graph_unary(
      graph, COHORT_OP_SIGMOID, cohort_graph_multiply(graph, heat, cohort_graph_shift(graph, ratio, -1)));
  return cohort_graph_multiply(graph, cohort_graph_multiply(graph, gate, cold), advantage);
}

/* The gamma weight of a completion by all its tokens' ratios: e^(b + k s - b e^s). */
static cohort_value gamma_weight(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value log_ratio,
                                 cohort_value advantage) {
  static const double most = 20, least = 1e-8;
  const cohort_value sum = cohort_policy_total(graph, fields, clamp(graph, log_ratio, -most, most));
  const cohort_value s = cohort_policy_spread(graph, fields, clamp(graph, sum, log(least), most));
  const cohort_value whole = cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), advantage);
  const cohort_value k = by_sign(graph, whole, 2, 3), b = by_sign(graph, whole, 3, 2);
  const cohort_value rise = cohort_graph_add(graph, b, cohort_graph_multiply(graph, k, s));
  return exponential(graph, cohort_graph_subtract(graph, rise, cohort_graph_multiply(graph, b, exponential(graph, s))));
}

/* A factor that takes no gradient, times A times the policy's log-probability. */
static cohort_value weighted_gain(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value factor) {
  const cohort_value fixed = cohort_graph_stop_gradient(graph, factor);
  return cohort_graph_multiply(graph, cohort_graph_multiply(graph, fixed, fields->advantage), fields->policy);
}

/* [N]: what a token gains. */
static cohort_value gain(const grpo_config *own, cohort_graph *graph, const cohort_policy_fields *fields,
                         cohort_value log_ratio, cohort_value ratio) {
  switch ((loss_type)own->loss) {
    case CISPO:
      return weighted_gain(graph, fields, at_most(graph, ratio, own->epsilon_high));
    case SAPO:
      return soft_gain(graph, ratio, fields->advantage);
    case VESPO:
      return weighted_gain(graph, fields, gamma_weight(graph, fields, log_ratio, fields->advantage));
    case GRPO:
    case BNPO:
    case DRGRPO:
    case DAPO:
    case LUSPO:
      break;
  }
  return clipped_gain(own, graph, ratio, fields->advantage);
}

/* [N] -> [C], so that the mean over completions is the batch's loss. */
static cohort_value normalise(const grpo_config *own, cohort_graph *graph, const cohort_policy_fields *fields,
                              cohort_value tokens) {
  const cohort_value sums = cohort_policy_total(graph, fields, tokens);
  switch ((loss_type)own->loss) {
    case GRPO:
    case SAPO:
      return cohort_graph_divide(graph, sums, fields->length);
    case DRGRPO:
      return cohort_graph_scale(graph, sums, 1 / (double)fields->limit);
    case LUSPO:
      return sums;
    case BNPO:
    case DAPO:
    case CISPO:
    case VESPO:
      break;
  }
  return cohort_graph_multiply(graph, sums, fields->token_share);
}

/* e^d - d - 1 with d = reference - policy. */
static cohort_value divergence(cohort_graph *graph, const cohort_policy_fields *fields) {
  const cohort_value d = cohort_graph_subtract(graph, fields->reference, fields->policy);
  return cohort_graph_shift(graph, cohort_graph_subtract(graph, exponential(graph, d), d), -1);
}

/* Tokens whose ratio the clip holds back. */
static cohort_value held_back(const grpo_config *own, cohort_graph *graph, cohort_value ratio, cohort_value advantage) {
  const cohort_value zero = cohort_graph_constant(graph, 0);
  const cohort_value low = cohort_graph_less(graph, ratio, cohort_graph_constant(graph, 1 - own->epsilon_low));
  const cohort_value high = cohort_graph_less(graph, cohort_graph_constant(graph, 1 + own->epsilon_high), ratio);
  return cohort_graph_add(graph, cohort_graph_multiply(graph, low, cohort_graph_less(graph, advantage, zero)),
                          cohort_graph_multiply(graph, high, cohort_graph_less(graph, zero, advantage)));
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const grpo_config *own = config;
  const cohort_value log_ratio = cohort_graph_subtract(graph, fields->policy, fields->old);
  const cohort_value level = own->ratio == TOKEN
                                 ? log_ratio
                                 : cohort_policy_spread(graph, fields, cohort_policy_mean(graph, fields, log_ratio));
  const cohort_value ratio = exponential(graph, level);
  cohort_value loss = cohort_graph_scale(graph, gain(own, graph, fields, log_ratio, ratio), -1);
  cohort_policy_outputs out = {.column = {COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE}};
  if (own->loss <= LUSPO)
    out.column[0] = cohort_policy_mean(graph, fields, held_back(own, graph, ratio, fields->advantage));
  if (own->beta > 0) {
    const cohort_value kl = divergence(graph, fields);
    loss = cohort_graph_add(graph, loss, cohort_graph_scale(graph, kl, own->beta));
    out.column[1] = cohort_policy_mean(graph, fields, kl);
  }
  out.loss = normalise(own, graph, fields, loss);
  return out;
}

static const cohort_policy functions = {.needs_reference = needs_reference,
                                        .advantages = advantages,
                                        .build = build,
                                        .column = {"policy/clipped", "policy/kl"}};

static const cohort_method grpo = {
    .family = "policy",
    .key = "grpo",
    .summary =
        "group relative policy optimization, with the losses that came after it: GSPO, Dr. GRPO, DAPO, CISPO ...",
    .title = "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models",
    .source =
        "Shao et al., DeepSeekMath, 2024, section 4.1; the other losses, scales and defaults as TRL's GRPOTrainer",
    .formula =
        "A = (r - mean) / (deviation + 1e-4) in the group (scale=none: r - mean); w = exp(policy - old); a token's "
        "loss "
        "-min(min(w, delta) A, clamp(w, 1 - epsilon_low, 1 + epsilon_high) A); cispo -stop(min(w, epsilon_high)) A "
        "policy; sapo -4 / t sigmoid(t (w - 1)) A, t = 1 or 1.05 by the sign of A; vespo -stop(e^(b + k s - b e^s)) A "
        "policy, s the sum of log w, k, b = 2, 3 or 3, 2; plus beta (e^(reference - policy) - (reference - policy) - "
        "1). "
        "Means: grpo, sapo over a completion's tokens, then completions; bnpo, dapo, cispo, vespo over all tokens; "
        "drgrpo over completions times the longest allowed; luspo sums of tokens over completions",
    .config_size = sizeof(grpo_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_policy_grpo[] = {&grpo, NULL};
