/* The clip and its kin. Invariant: with no gradient between, the ratio is exactly 1; masked tokens give nothing. Costs
 * elementwise passes over the tokens. */
#include "method/policy/clip/clip.h"

#include <math.h>

const char *const cohort_clip_losses[] = {"grpo", "bnpo", "drgrpo", "dapo", "luspo", "cispo", "sapo", "vespo", NULL};
const char *const cohort_clip_ratios[] = {"token", "sequence", "sum", NULL};

static cohort_value at_most(cohort_graph *graph, cohort_value x, double bound) {
  return cohort_graph_binary(graph, COHORT_OP_MINIMUM, x, cohort_graph_constant(graph, bound));
}

cohort_value cohort_clip_between(cohort_graph *graph, cohort_value x, double low, double high) {
  return at_most(graph, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, x, cohort_graph_constant(graph, low)), high);
}

static cohort_value exponential(cohort_graph *graph, cohort_value x) {
  return cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, x);
}

/* One number or another by the sign of the advantage. */
static cohort_value by_sign(cohort_graph *graph, cohort_value positive, double yes, double no) {
  return cohort_graph_shift(graph, cohort_graph_scale(graph, positive, yes - no), no);
}

cohort_value cohort_clip_gain(const cohort_clip *own, cohort_graph *graph, cohort_value ratio, cohort_value advantage) {
  const cohort_value inside = cohort_clip_between(graph, ratio, 1 - own->low, 1 + own->high);
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
  const cohort_value sum = cohort_policy_total(graph, fields, cohort_clip_between(graph, log_ratio, -most, most));
  const cohort_value s = cohort_policy_spread(graph, fields, cohort_clip_between(graph, sum, log(least), most));
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
static cohort_value gain(const cohort_clip *own, cohort_graph *graph, const cohort_policy_fields *fields,
                         cohort_value log_ratio, cohort_value ratio) {
  switch ((cohort_clip_loss)own->loss) {
    case COHORT_CLIP_CISPO:
      return weighted_gain(graph, fields, at_most(graph, ratio, own->high));
    case COHORT_CLIP_SAPO:
      return soft_gain(graph, ratio, fields->advantage);
    case COHORT_CLIP_VESPO:
      return weighted_gain(graph, fields, gamma_weight(graph, fields, log_ratio, fields->advantage));
    case COHORT_CLIP_GRPO:
    case COHORT_CLIP_BNPO:
    case COHORT_CLIP_DRGRPO:
    case COHORT_CLIP_DAPO:
    case COHORT_CLIP_LUSPO:
      break;
  }
  return cohort_clip_gain(own, graph, ratio, fields->advantage);
}

/* [N] -> [C], so that the mean over completions is the batch's loss. */
static cohort_value normalise(const cohort_clip *own, cohort_graph *graph, const cohort_policy_fields *fields,
                              cohort_value tokens) {
  const cohort_value sums = cohort_policy_total(graph, fields, tokens);
  switch ((cohort_clip_loss)own->loss) {
    case COHORT_CLIP_GRPO:
    case COHORT_CLIP_SAPO:
      return cohort_graph_divide(graph, sums, fields->length);
    case COHORT_CLIP_DRGRPO:
      return cohort_graph_scale(graph, sums, 1 / (double)fields->limit);
    case COHORT_CLIP_LUSPO:
      return sums;
    case COHORT_CLIP_BNPO:
    case COHORT_CLIP_DAPO:
    case COHORT_CLIP_CISPO:
    case COHORT_CLIP_VESPO:
      break;
  }
  return cohort_graph_multiply(graph, sums, fields->token_share);
}

cohort_value cohort_clip_divergence(cohort_graph *graph, cohort_value policy, cohort_value reference) {
  const cohort_value d = cohort_graph_subtract(graph, reference, policy);
  return cohort_graph_shift(graph, cohort_graph_subtract(graph, exponential(graph, d), d), -1);
}

cohort_value cohort_clip_held(const cohort_clip *own, cohort_graph *graph, cohort_value ratio, cohort_value advantage) {
  const cohort_value zero = cohort_graph_constant(graph, 0);
  const cohort_value low = cohort_graph_less(graph, ratio, cohort_graph_constant(graph, 1 - own->low));
  const cohort_value high = cohort_graph_less(graph, cohort_graph_constant(graph, 1 + own->high), ratio);
  return cohort_graph_add(graph, cohort_graph_multiply(graph, low, cohort_graph_less(graph, advantage, zero)),
                          cohort_graph_multiply(graph, high, cohort_graph_less(graph, zero, advantage)));
}

cohort_value cohort_clip_ratio_of(const cohort_clip *own, cohort_graph *graph, const cohort_policy_fields *fields) {
  cohort_value level = cohort_graph_subtract(graph, fields->policy, fields->old);
  if (own->ratio == COHORT_RATIO_SEQUENCE)
    level = cohort_policy_spread(graph, fields, cohort_policy_mean(graph, fields, level));
  if (own->ratio == COHORT_RATIO_SUM)
    level = cohort_policy_spread(graph, fields, cohort_policy_total(graph, fields, level));
  return exponential(graph, level);
}

unsigned cohort_clip_needs(const cohort_clip *clip) { return clip->beta > 0 ? COHORT_POLICY_REFERENCE : 0; }

cohort_policy_outputs cohort_clip_build(const cohort_clip *own, cohort_graph *graph,
                                        const cohort_policy_fields *fields) {
  const cohort_value log_ratio = cohort_graph_subtract(graph, fields->policy, fields->old);
  const cohort_value ratio = cohort_clip_ratio_of(own, graph, fields);
  cohort_value loss = cohort_graph_scale(graph, gain(own, graph, fields, log_ratio, ratio), -1);
  cohort_policy_outputs out = {.column = {COHORT_NO_VALUE, COHORT_NO_VALUE}};
  if (own->loss <= COHORT_CLIP_LUSPO)
    out.column[0] = cohort_policy_token_mean(graph, fields, cohort_clip_held(own, graph, ratio, fields->advantage));
  if (own->beta > 0) {
    const cohort_value kl = cohort_clip_divergence(graph, fields->policy, fields->reference);
    loss = cohort_graph_add(graph, loss, cohort_graph_scale(graph, kl, own->beta));
    out.column[1] = cohort_policy_token_mean(graph, fields, kl);
  }
  out.loss = normalise(own, graph, fields, loss);
  return out;
}
