/* The family's own part: what losses on completions share, and how a lane's objective is made of a method's outputs.
 * Invariant: an empty place gives exactly 0 to the objective, whatever finite loss it has. Costs no more than
 * elementwise passes over completions; a total reads every token once. */
#include "method/preference/preference.h"

#include <string.h>

#include "method/family.h"

/* What a number that is not there counts as in a softmax. */
static const double absent = -1e30;

int cohort_preference_field_index(const cohort_method *method, const char *name) {
  const cohort_preference *functions = method->functions;
  for (int i = 0; functions->fields && functions->fields[i].name; i++)
    if (strcmp(functions->fields[i].name, name) == 0) return i;
  return -1;
}

bool cohort_preference_has_label(const cohort_method *method) {
  return method->needs & COHORT_NEEDS_UNPAIRED && cohort_preference_field_index(method, "label") < 0;
}

cohort_preference_fields cohort_preference_no_fields(const cohort_method *method, int64_t samples, int sides) {
  cohort_preference_fields fields;
  memset(&fields, 0xff, sizeof fields); /* COHORT_NO_VALUE */
  fields.samples = samples;
  fields.completions = samples * sides;
  fields.steps = 0;
  fields.own = ((const cohort_preference *)method->functions)->fields;
  return fields;
}

cohort_value cohort_preference_field(const cohort_preference_fields *fields, const char *name) {
  for (int i = 0; fields->own && fields->own[i].name; i++)
    if (strcmp(fields->own[i].name, name) == 0) return fields->own_value[i];
  return COHORT_NO_VALUE;
}

cohort_value cohort_preference_table(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value column) {
  return cohort_graph_reshape(graph, column, COHORT_SHAPE(fields->samples, fields->completions / fields->samples));
}

cohort_value cohort_preference_log_softmax(cohort_graph *graph, cohort_value table, cohort_value present) {
  const cohort_value held = cohort_graph_select(graph, present, table, cohort_graph_constant(graph, absent));
  return cohort_graph_subtract(graph, held, cohort_graph_logsumexp(graph, held));
}

cohort_value cohort_preference_step_total(cohort_graph *graph, const cohort_preference_fields *fields,
                                          cohort_value tokens) {
  const cohort_value sums =
      cohort_graph_segment_sum(graph, tokens, fields->step_segments, fields->completions * fields->steps);
  return cohort_graph_reshape(graph, sums, COHORT_SHAPE(fields->completions, fields->steps));
}

cohort_value cohort_preference_steps(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value steps) {
  return cohort_graph_reshape(graph, cohort_graph_sum(graph, steps, 2), COHORT_SHAPE(fields->completions));
}

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

cohort_value cohort_preference_objective(cohort_graph *graph, const cohort_preference_fields *fields,
                                         const cohort_preference_outputs *outputs) {
  const cohort_value rows = cohort_preference_rows(graph, fields, outputs);
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, fields->weight));
}

static bool takes_completions(const cohort_method *method) {
  return (method->needs & (COHORT_NEEDS_UNPAIRED | COHORT_NEEDS_LISTS)) != 0;
}
static bool takes_pairs(const cohort_method *method) { return !takes_completions(method); }
static bool takes_scores(const cohort_method *method) { return (method->needs & COHORT_NEEDS_SCORES) != 0; }
static bool takes_tokens(const cohort_method *method) { return !takes_scores(method); }
static bool takes_steps(const cohort_method *method) { return (method->needs & COHORT_NEEDS_STEPS) != 0; }
static bool takes_pair_scores(const cohort_method *method) { return takes_pairs(method) && takes_scores(method); }
static bool takes_each_score(const cohort_method *method) {
  return takes_completions(method) && takes_scores(method) && !takes_steps(method);
}
static bool takes_step_scores(const cohort_method *method) {
  return takes_completions(method) && takes_scores(method) && takes_steps(method);
}
static bool takes_token_pairs(const cohort_method *method) { return takes_pairs(method) && takes_tokens(method); }
static bool takes_token_completions(const cohort_method *method) {
  return takes_completions(method) && takes_tokens(method);
}
static bool takes_pair_reference(const cohort_method *method) {
  return takes_pairs(method) && method->needs & COHORT_NEEDS_REFERENCE;
}
static bool takes_reference(const cohort_method *method) {
  return takes_completions(method) && method->needs & COHORT_NEEDS_REFERENCE;
}
static bool takes_pair_divergence(const cohort_method *method) {
  return takes_pairs(method) && method->needs & COHORT_NEEDS_DIVERGENCE;
}
static bool takes_divergence(const cohort_method *method) {
  return takes_completions(method) && method->needs & COHORT_NEEDS_DIVERGENCE;
}
static bool takes_mismatched(const cohort_method *method) {
  return takes_completions(method) && method->needs & COHORT_NEEDS_MISMATCHED;
}
/* How many steps there are is told by a column of them, or by the tokens' steps alone. */
static bool takes_step_columns(const cohort_method *method) {
  const cohort_field *field = ((const cohort_preference *)method->functions)->fields;
  while (field && field->name && field->owner != COHORT_FIELD_STEP) field++;
  return takes_steps(method) && (takes_scores(method) || (field && field->name));
}
static bool takes_pair_steps(const cohort_method *method) {
  return takes_token_pairs(method) && takes_step_columns(method);
}
static bool takes_token_steps(const cohort_method *method) {
  return takes_token_completions(method) && takes_step_columns(method);
}
static bool counts_pair_steps(const cohort_method *method) {
  return takes_token_pairs(method) && takes_steps(method) && !takes_step_columns(method);
}
static bool counts_token_steps(const cohort_method *method) {
  return takes_token_completions(method) && takes_steps(method) && !takes_step_columns(method);
}
static bool takes_lists(const cohort_method *method) { return (method->needs & COHORT_NEEDS_LISTS) != 0; }

static const cohort_probe_array inputs[] = {
    {"reward/chosen",
     COHORT_ARRAY_OF_REAL,
     {"pairs"},
     .when = takes_pair_scores,
     .meaning = "score of the completion that is preferred"},
    {"reward/rejected", COHORT_ARRAY_OF_REAL, {"pairs"}, .when = takes_pair_scores, .meaning = "score of the other"},
    {"reward", COHORT_ARRAY_OF_REAL, {"completions"}, .when = takes_each_score, .meaning = "score of the completion"},
    {"reward",
     COHORT_ARRAY_OF_REAL,
     {"completions", "S"},
     .when = takes_step_scores,
     .meaning = "score at the end of every step"},
    {"present",
     COHORT_ARRAY_OF_REAL,
     {"completions", "S"},
     .when = takes_step_scores,
     .constraint = "value = 0 or 1",
     .meaning = "1: a step of the completion"},
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
     .when = takes_pair_divergence,
     .constraint = "0 <= value",
     .meaning = "of every token: KL from the reference to the policy"},
    {"kl/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_pair_divergence,
     .constraint = "0 <= value",
     .meaning = "see kl/chosen"},
    {"step/chosen",
     COHORT_ARRAY_OF_INTEGER,
     {"pairs", "T"},
     .when = takes_pair_steps,
     .constraint = "value < S",
     .ignores = true,
     .meaning = "step of every token, from 0; negative: of none"},
    {"step/chosen",
     COHORT_ARRAY_OF_INTEGER,
     {"pairs", "T"},
     .when = counts_pair_steps,
     .constraint = "value < T",
     .ignores = true,
     .meaning = "step of every token, from 0; negative: of none"},
    {"step/rejected",
     COHORT_ARRAY_OF_INTEGER,
     {"pairs", "T"},
     .when = takes_pair_steps,
     .constraint = "value < S",
     .ignores = true,
     .meaning = "see step/chosen"},
    {"step/rejected",
     COHORT_ARRAY_OF_INTEGER,
     {"pairs", "T"},
     .when = counts_pair_steps,
     .constraint = "value < T",
     .ignores = true,
     .meaning = "see step/chosen"},
    {"policy",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_token_completions,
     .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"reference",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_reference,
     .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"mask",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_token_completions,
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"kl",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_divergence,
     .constraint = "0 <= value",
     .meaning = "of every token: KL from the reference to the policy"},
    {"step",
     COHORT_ARRAY_OF_INTEGER,
     {"completions", "T"},
     .when = takes_token_steps,
     .constraint = "value < S",
     .ignores = true,
     .meaning = "step of every token, from 0; negative: of none"},
    {"step",
     COHORT_ARRAY_OF_INTEGER,
     {"completions", "T"},
     .when = counts_token_steps,
     .constraint = "value < T",
     .ignores = true,
     .meaning = "step of every token, from 0; negative: of none"},
    {"group",
     COHORT_ARRAY_OF_INTEGER,
     {"completions"},
     .when = takes_lists,
     .constraint = "0 <= value < completions",
     .meaning = "whose numbers are equal are of one list, the best first"},
    {"label",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .when = cohort_preference_has_label,
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
     .when = takes_pair_scores,
     .meaning = "of loss with respect to reward/chosen"},
    {"gradient/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs"},
     .when = takes_pair_scores,
     .meaning = "of loss with respect to reward/rejected"},
    {"gradient",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .when = takes_each_score,
     .meaning = "of loss with respect to reward"},
    {"gradient",
     COHORT_ARRAY_OF_REAL,
     {"completions", "S"},
     .when = takes_step_scores,
     .meaning = "of loss with respect to reward"},
    {"loss", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "mean over the pairs, completions or lists"},
    {"per_pair", COHORT_ARRAY_OF_REAL, {"pairs"}, .when = takes_pairs, .meaning = "loss of each pair"},
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
     .when = takes_pair_divergence,
     .meaning = "of loss with respect to kl/chosen"},
    {"gradient_kl/rejected",
     COHORT_ARRAY_OF_REAL,
     {"pairs", "T"},
     .when = takes_pair_divergence,
     .meaning = "of loss with respect to kl/rejected"},
    {"per_completion",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .when = takes_completions,
     .meaning = "loss of each completion, or of the list that it is in"},
    {"gradient",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_token_completions,
     .meaning = "of loss with respect to policy"},
    {"gradient_kl",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .when = takes_divergence,
     .meaning = "of loss with respect to kl"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"pairs", 1, 4, takes_pairs, .meaning = "pairs of completions"},
    {"completions", 1, 4, takes_completions, .meaning = "completions of prompts"},
    {"T", 1, 7, takes_tokens, .meaning = "tokens; shorter completions are filled up with mask 0"},
    {"S", 1, 3, takes_step_columns, .meaning = "steps of the completion that has most"},
    {.name = NULL},
};

/* The arrays of the method's own fields, one after another: of both sides where they are of completions of pairs. */
static bool further(const cohort_method *method, int index, cohort_probe_array *out) {
  const cohort_field *field = ((const cohort_preference *)method->functions)->fields;
  const bool pairs = takes_pairs(method);
  for (; field && field->name; field++) {
    const bool sides = pairs && field->owner != COHORT_FIELD_SAMPLE;
    const int arrays = sides ? 2 : 1;
    if (index >= arrays) {
      index -= arrays;
      continue;
    }
    const char *last = field->owner == COHORT_FIELD_STEP ? "S" : field->owner == COHORT_FIELD_TOKEN ? "T" : NULL;
    *out = (cohort_probe_array){.name = !sides       ? field->name
                                        : index == 0 ? field->chosen
                                                     : field->rejected,
                                .kind = field->integer ? COHORT_ARRAY_OF_INTEGER : COHORT_ARRAY_OF_REAL,
                                .shape = {pairs ? "pairs" : "completions", last},
                                .constraint = field->integer ? "0 <= value" : NULL,
                                .optional = field->optional,
                                .meaning = field->meaning};
    return true;
  }
  return false;
}

static const char *const needs[] = {"reference", "unpaired", "mismatched", "divergence", "tokens",
                                    "scores",    "lists",    "each token", "steps",      NULL};

const cohort_family cohort_family_preference = {
    .name = "preference",
    .noun = "preference loss",
    .summary = "a loss on completions of prompts",
    .needs = needs,
    .inputs = inputs,
    .further = further,
    .outputs = outputs,
    .symbols = symbols,
};
