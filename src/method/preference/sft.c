/* The likelihood of the chosen: what a second stage begins from, on the same data. */
#include "method/preference/pair/pair.h"

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  (void)config;
  return (cohort_preference_outputs){
      .loss = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 0), COHORT_SHAPE(fields->completions / 2)),
      .token_loss = cohort_pair_likelihood(graph, fields),
      .reward = cohort_pair_mean(graph, fields, fields->policy)};
}

static const cohort_preference functions = {.build = build};

static const cohort_method sft = {
    .family = "preference",
    .key = "sft",
    .summary = "likelihood of the chosen completions alone: the first of two stages",
    .source =
        "Wang et al., Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, 2025, whose plain form "
        "this is, its advice being a smaller learning rate; its losses of other divergences are not built",
    .formula = "-sum log pi(chosen) / tokens of all chosen; reward = log pi / length",
    .needs = COHORT_NEEDS_TOKENS,
    .functions = &functions,
};

const cohort_method *const cohort_preference_sft[] = {&sft, NULL};
