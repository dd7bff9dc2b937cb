/* The family policy: sums and means over the tokens of completions, and what `probe` takes and gives. Invariant: a
 * token of no completion, and one that is masked, give nothing to any sum. Costs a pass over the tokens each. */
#include "method/policy/policy.h"

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

bool cohort_policy_needs_reference(const cohort_method *method, const void *config) {
  const cohort_policy *functions = method->functions;
  return functions->needs_reference && functions->needs_reference(config);
}

static const cohort_probe_array inputs[] = {
    {"policy",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .constraint = "value <= 0",
     .meaning = "log-probability of every token under the policy"},
    {"old",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .constraint = "value <= 0",
     .meaning = "the same under the policy that wrote the completions"},
    {"reference",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .optional = true,
     .constraint = "value <= 0",
     .meaning = "the same under the reference; must be given where the settings ask for one"},
    {"mask",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .constraint = "value = 0 or 1",
     .meaning = "1: a token of the completion"},
    {"group",
     COHORT_ARRAY_OF_INTEGER,
     {"completions"},
     .constraint = "0 <= value",
     .meaning = "equal numbers: completions of one prompt"},
    {"reward",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .either = "reward",
     .meaning = "its sum over the tokens is the completion's; [completions] stands for that"},
    {"advantage",
     COHORT_ARRAY_OF_REAL,
     {"completions", "T"},
     .either = "advantage",
     .meaning = "of every token, instead of rewards; [completions] stands for every token"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"loss", COHORT_ARRAY_OF_REAL, {NULL}, .meaning = "of the batch"},
    {"per_completion",
     COHORT_ARRAY_OF_REAL,
     {"completions"},
     .meaning = "what each completion gives: their mean is the loss"},
    {"gradient", COHORT_ARRAY_OF_REAL, {"completions", "T"}, .meaning = "of loss with respect to policy"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"completions", 1, 8, NULL, .meaning = "completions of prompts"},
    {"T", 1, 6, NULL,
     .meaning = "tokens, the longest completion that is allowed; shorter ones are filled up with mask 0"},
    {.name = NULL},
};

const cohort_family cohort_family_policy = {
    .name = "policy",
    .noun = "policy loss",
    .summary = "a loss on completions that the policy has written",
    .catalogue = "rl",
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};
