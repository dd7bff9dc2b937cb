/* The family policy: sums and means over the tokens of completions, pairs, and what `probe` takes and gives. Invariant:
 * a token of no completion, and one that is masked, give nothing to any sum. Costs a pass over the tokens each. */
#include "method/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "method/family.h"

cohort_value cohort_policy_total(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens) {
  return cohort_graph_segment_sum(graph, cohort_graph_multiply(graph, tokens, fields->mask), fields->segments,
                                  fields->completions);
}

cohort_value cohort_policy_spread(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value completions) {
  return cohort_graph_gather(graph, completions, fields->segments);
}

cohort_value cohort_policy_mean(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens) {
  return cohort_graph_divide(graph, cohort_policy_total(graph, fields, tokens), fields->length);
}

cohort_value cohort_policy_token_mean(cohort_graph *graph, const cohort_policy_fields *fields, cohort_value tokens) {
  return cohort_graph_multiply(graph, cohort_policy_total(graph, fields, tokens), fields->token_share);
}

cohort_value cohort_policy_group_total(cohort_graph *graph, const cohort_policy_fields *fields,
                                       cohort_value completions) {
  return cohort_graph_gather(graph, cohort_graph_segment_sum(graph, completions, fields->groups, fields->completions),
                             fields->groups);
}

cohort_value cohort_policy_side(cohort_graph *graph, cohort_value completions, int side) {
  const int64_t pairs = cohort_shape_elements(cohort_graph_shape(graph, completions)) / 2;
  const cohort_value by_pair = cohort_graph_reshape(graph, completions, COHORT_SHAPE(pairs, 2));
  return cohort_graph_reshape(graph, cohort_graph_slice(graph, by_pair, 1, side, 1), COHORT_SHAPE(pairs));
}

cohort_value cohort_policy_both(cohort_graph *graph, cohort_value pairs) {
  const int64_t count = cohort_shape_elements(cohort_graph_shape(graph, pairs));
  const cohort_value half = cohort_graph_reshape(graph, cohort_graph_scale(graph, pairs, 0.5), COHORT_SHAPE(count, 1));
  return cohort_graph_reshape(graph, cohort_graph_broadcast(graph, half, COHORT_SHAPE(count, 2)),
                              COHORT_SHAPE(2 * count));
}

unsigned cohort_policy_needs(const cohort_method *method, const void *config) {
  const cohort_policy *functions = method->functions;
  return method->needs | (functions->asks ? functions->asks(config) : 0);
}

int cohort_policy_states(const cohort_method *method) {
  const cohort_policy *functions = method->functions;
  int count = 0;
  while (count < COHORT_POLICY_STATES && functions->state[count]) count++;
  return count;
}

static bool has_value(const cohort_method *method) { return method->needs & COHORT_POLICY_VALUE; }
static bool has_greedy(const cohort_method *method) { return method->needs & COHORT_POLICY_GREEDY; }
static bool has_guide(const cohort_method *method) { return method->needs & COHORT_POLICY_GUIDE; }
static bool has_data(const cohort_method *method) { return method->needs & COHORT_POLICY_DATA; }
static bool has_groups(const cohort_method *method) { return !(method->needs & COHORT_POLICY_PAIRS); }
static bool has_state(const cohort_method *method) { return cohort_policy_states(method) > 0; }

/* Whether it has one at its defaults. */
static bool has_reference(const cohort_method *method) {
  bool has = method->needs & COHORT_POLICY_REFERENCE;
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    if (strcmp(p->name, "kl") == 0 || strcmp(p->name, "beta") == 0) has = has || strtod(p->standard, NULL) > 0;
  return has;
}
static bool may_have_reference(const cohort_method *method) { return !has_reference(method); }

#define TOKENS \
  { "completions", "T" }

static const cohort_probe_array inputs[] = {
    {"policy", COHORT_ARRAY_OF_REAL, TOKENS, .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"old", COHORT_ARRAY_OF_REAL, TOKENS, .constraint = "value <= 0",
     .meaning = "the same under the policy that wrote the completions"},
    {"reference", COHORT_ARRAY_OF_REAL, TOKENS, .when = has_reference, .constraint = "value <= 0",
     .meaning = "the same under the reference"},
    {"reference", COHORT_ARRAY_OF_REAL, TOKENS, .optional = true, .when = may_have_reference,
     .constraint = "value <= 0",
     .meaning = "the same under the reference; must be given where the settings ask for one"},
    {"guide", COHORT_ARRAY_OF_REAL, TOKENS, .when = has_guide, .constraint = "value <= 0",
     .meaning = "the same under the guide"},
    {"entropy", COHORT_ARRAY_OF_REAL, TOKENS, .optional = true, .constraint = "0 <= value",
     .meaning = "of the policy's distribution; must be given where the settings ask for it"},
    {"value", COHORT_ARRAY_OF_REAL, TOKENS, .when = has_value, .meaning = "what the critic says before every token"},
    {"old_value", COHORT_ARRAY_OF_REAL, TOKENS, .when = has_value,
     .meaning = "what it said when the completions were written"},
    {"mask", COHORT_ARRAY_OF_REAL, TOKENS, .constraint = "value = 0 or 1", .meaning = "1: a token of the completion"},
    {"group",
     COHORT_ARRAY_OF_INTEGER,
     {"completions"},
     .when = has_groups,
     .constraint = "0 <= value",
     .meaning = "equal numbers: completions of one prompt"},
    {"from_data",
     COHORT_ARRAY_OF_INTEGER,
     {"completions"},
     .when = has_data,
     .constraint = "0 <= value < 2",
     .meaning = "1: the completion is the data's"},
    {"ended",
     COHORT_ARRAY_OF_INTEGER,
     {"completions"},
     .optional = true,
     .constraint = "0 <= value < 2",
     .meaning = "0: the limit cut it short; all have ended where this is not given"},
    {"greedy",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .when = has_greedy,
     .meaning = "reward of the likeliest completion of its prompt"},
    {"state",
     COHORT_ARRAY_OF_REAL,
     {"8"},
     .optional = true,
     .when = has_state,
     .meaning = "numbers that the rollout before has left; the method's own begin where this is not given"},
    {"reward", COHORT_ARRAY_OF_REAL, TOKENS, .either = "reward",
     .meaning = "its sum over the tokens is the completion's; [completions] stands for that"},
    {"rewards",
     COHORT_ARRAY_OF_REAL,
     {"rewards", "completions"},
     .either = "rewards",
     .meaning = "several rewards of every completion"},
    {"weights", COHORT_ARRAY_OF_REAL, {"rewards"}, .either = "rewards", .meaning = "of each reward in their sum"},
    {"advantage", COHORT_ARRAY_OF_REAL, TOKENS, .either = "advantage",
     .meaning = "of every token, instead of rewards; [completions] stands for every token"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"loss", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "of the batch"},
    {"per_completion",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .meaning = "what each completion gives: their mean is the loss"},
    {"gradient", COHORT_ARRAY_OF_REAL, TOKENS, .meaning = "of loss with respect to policy"},
    {"gradient_value", COHORT_ARRAY_OF_REAL, TOKENS, .when = has_value, .meaning = "of loss with respect to value"},
    {"advantages", COHORT_ARRAY_OF_REAL, TOKENS, .meaning = "what rewards have become; 0 where mask is"},
    {"target", COHORT_ARRAY_OF_REAL, TOKENS, .when = has_value,
     .meaning = "what value is to become; from advantages alone: advantage + old_value"},
    {"next", COHORT_ARRAY_OF_REAL, {"8"}, .when = has_state, .meaning = "what the next rollout's state is"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"completions", 1, 8, NULL, .meaning = "completions of prompts; of methods on pairs two by two"},
    {"T", 1, 6, NULL,
     .meaning = "tokens, the longest completion that is allowed; shorter ones are filled up with mask 0"},
    {"rewards", 1, 2, NULL, .meaning = "rewards of a completion"},
    {.name = NULL},
};

static const char *const needs[] = {"value",     "greedy", "pairs",   "guide", "data",
                                    "reference", "scored", "entropy", "keeps", NULL};

const cohort_family cohort_family_policy = {
    .name = "policy",
    .noun = "policy loss",
    .summary = "a loss on completions that the policy has written",
    .catalogue = "rl",
    .needs = needs,
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};
