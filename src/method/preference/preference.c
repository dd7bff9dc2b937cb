/* The family's own part: what losses on completions share, and how a lane's objective is made of a method's outputs.
 * Invariant: an empty place gives exactly 0 to the objective, whatever finite loss it has. Costs no more than
 * elementwise passes over completions; a total reads every token once. */
#include "method/preference/preference.h"

#include "method/family.h"

cohort_value cohort_preference_side(cohort_graph *graph, cohort_value column, int side) {
  const int64_t pairs = cohort_shape_elements(cohort_graph_shape(graph, column)) / 2;
  const cohort_value table = cohort_graph_reshape(graph, column, COHORT_SHAPE(pairs, 2));
  return cohort_graph_reshape(graph, cohort_graph_slice(graph, table, 1, side, 1), COHORT_SHAPE(pairs));
}

cohort_value cohort_preference_log_ratio(cohort_graph *graph, const cohort_preference_fields *fields) {
  return cohort_graph_subtract(graph, fields->policy, fields->reference);
}

cohort_value cohort_preference_total(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value tokens) {
  return cohort_graph_segment_sum(graph, tokens, fields->segments, fields->completions);
}

cohort_value cohort_preference_smoothed(cohort_graph *graph, cohort_value margin, double flipped) {
  const cohort_value loss = cohort_graph_scale(graph, cohort_graph_log_sigmoid(graph, margin), flipped - 1);
  if (flipped == 0) return loss;
  const cohort_value opposite = cohort_graph_log_sigmoid(graph, cohort_graph_scale(graph, margin, -1));
  return cohort_graph_add(graph, loss, cohort_graph_scale(graph, opposite, -flipped));
}

cohort_preference_outputs cohort_preference_build(const cohort_method *method, const void *config, cohort_graph *graph,
                                                  const cohort_preference_fields *fields) {
  const cohort_preference *functions = method->functions;
  return functions->build(config, graph, fields);
}

cohort_value cohort_preference_rows(cohort_graph *graph, const cohort_preference_fields *fields,
                                    const cohort_preference_outputs *outputs) {
  if (outputs->token_loss == COHORT_NO_VALUE) return outputs->loss;
  return cohort_graph_add(graph, outputs->loss, cohort_graph_multiply(graph, outputs->token_loss, fields->token_share));
}

cohort_value cohort_preference_objective(cohort_graph *graph, const cohort_method *method,
                                         const cohort_preference_fields *fields,
                                         const cohort_preference_outputs *outputs) {
  if (method->needs & COHORT_NEEDS_BATCH) return cohort_graph_multiply(graph, outputs->loss, fields->first_lane);
  const cohort_value rows = cohort_preference_rows(graph, fields, outputs);
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, fields->weight));
}

static bool takes_completions(const cohort_method *method) { return (method->needs & COHORT_NEEDS_UNPAIRED) != 0; }
static bool takes_pairs(const cohort_method *method) { return !takes_completions(method); }
static bool takes_scores(const cohort_method *method) { return (method->needs & COHORT_NEEDS_SCORES) != 0; }
static bool takes_tokens(const cohort_method *method) { return !takes_scores(method); }
static bool takes_token_pairs(const cohort_method *method) { return takes_pairs(method) && takes_tokens(method); }
/* Each pair with a loss of its own. */
static bool takes_single_pairs(const cohort_method *method) {
  return takes_pairs(method) && !(method->needs & COHORT_NEEDS_BATCH);
}
static bool takes_pair_reference(const cohort_method *method) {
  return takes_pairs(method) && method->needs & COHORT_NEEDS_REFERENCE;
}
static bool takes_divergence(const cohort_method *method) {
  return takes_pairs(method) && method->needs & COHORT_NEEDS_DIVERGENCE;
}
static bool takes_mismatched(const cohort_method *method) {
  return takes_completions(method) && method->needs & COHORT_NEEDS_MISMATCHED;
}

static const cohort_probe_array inputs[] = {
    {"reward/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs"},
     .when = takes_scores,
     .meaning = "score of the completion that is preferred"},
    {"reward/rejected", COHORT_ARRAY_OF_REAL, {"pairs"}, .when = takes_scores, .meaning = "score of the other"},
    {"margin",
     COHORT_ARRAY_OF_REAL,
     {"pairs"},
     .optional = true,
     .when = takes_scores,
     .meaning = "how much better chosen is"},
    {"policy/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_token_pairs,
     .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"policy/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_token_pairs,
     .constraint = "value <= 0",
     .meaning = "see policy/chosen"},
    {"reference/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_pair_reference,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"reference/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_pair_reference,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_token_pairs,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"mask/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_token_pairs,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"kl/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_divergence,
     .constraint = "0 <= value",
     .meaning = "of every token: KL from the reference to the policy"},
    {"kl/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_divergence,
     .constraint = "0 <= value",
     .meaning = "see kl/chosen"},
    {"policy",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_completions,
     .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"reference",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_completions,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_completions,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"label",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .when = takes_completions,
     .constraint = "value = 0 or 1",
     .meaning = "1: desirable, 0: not"},
    {"policy_mismatched",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_mismatched,
     .constraint = "value <= 0",
     .meaning = "the policy's for completions of other prompts"},
    {"reference_mismatched",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_mismatched,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask_mismatched",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_mismatched,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of such a completion"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"gradient/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs"},
     .when = takes_scores,
     .meaning = "of loss with respect to reward/chosen"},
    {"gradient/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs"},
     .when = takes_scores,
     .meaning = "of loss with respect to reward/rejected"},
    {"loss", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "mean over the pairs or completions"},
    {"per_pair", COHORT_ARRAY_OF_REAL, {"pairs"}, .when = takes_single_pairs, .meaning = "loss of each pair"},
    {"gradient/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_token_pairs,
     .meaning = "of loss with respect to policy/chosen"},
    {"gradient/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_token_pairs,
     .meaning = "of loss with respect to policy/rejected"},
    {"gradient_kl/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_divergence,
     .meaning = "of loss with respect to kl/chosen"},
    {"gradient_kl/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_divergence,
     .meaning = "of loss with respect to kl/rejected"},
    {"per_completion",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .when = takes_completions,
     .meaning = "loss of each completion"},
    {"gradient",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_completions,
     .meaning = "of loss with respect to policy"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"pairs", 1, 4, takes_pairs, .meaning = "pairs of completions"},
    {"completions", 1, 4, takes_completions, .meaning = "completions of prompts"},
    {"T", 1, 7, takes_tokens, .meaning = "tokens; shorter completions are filled up with mask 0"},
    {.name = NULL},
};

static const char *const needs[] = {"reference", "unpaired", "mismatched", "divergence",
                                    "batch",     "tokens",   "scores",     NULL};

const cohort_family cohort_family_preference = {
    .name = "preference",
    .noun = "preference loss",
    .summary = "a loss on completions of prompts",
    .needs = needs,
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};
