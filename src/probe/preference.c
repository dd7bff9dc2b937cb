/* Probe of a preference loss on log-probabilities of tokens. */
#include "method/preference/preference.h"

#include <stdlib.h>

#include "base/memory.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { SIDES = 2, LEAVES = 8 };
static const char *const side_names[SIDES] = {"chosen", "rejected"};

typedef struct pair_graph {
  cohort_graph *graph;
  int64_t pairs, tokens;
  cohort_value policy[SIDES];
  int leaves;
  cohort_probe_leaf leaf[LEAVES];
} pair_graph;

/* A graph input bound to the array "GROUP/SIDE". */
static cohort_value add_input(cohort_probe_state *probe, pair_graph *own, const char *group, int side) {
  char *name = cohort_format_text("%s/%s", group, side_names[side]);
  const cohort_value value =
      cohort_graph_input(own->graph, name, COHORT_TYPE_REAL, COHORT_SHAPE(own->pairs, own->tokens));
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, cohort_probe_reals(probe, cohort_probe_input(probe, name))};
  free(name);
  return value;
}

/* Sum over the completion's tokens, [pairs]. */
static cohort_value add_sum(const pair_graph *own, cohort_value tokens, cohort_value mask) {
  const cohort_value sum = cohort_graph_sum(own->graph, cohort_graph_multiply(own->graph, tokens, mask), 1U << 1);
  return cohort_graph_reshape(own->graph, sum, COHORT_SHAPE(own->pairs));
}

/* Tokens of the completion, at least 1. */
static cohort_value add_length(const pair_graph *own, cohort_value mask) {
  const cohort_value sum = cohort_graph_sum(own->graph, mask, 1U << 1);
  const cohort_value one = cohort_graph_constant(own->graph, 1);
  return cohort_graph_reshape(own->graph, cohort_graph_binary(own->graph, COHORT_OP_MAXIMUM, sum, one),
                              COHORT_SHAPE(own->pairs));
}

static cohort_preference_inputs add_inputs(cohort_probe_state *probe, pair_graph *own) {
  cohort_value policy[SIDES], reference[SIDES] = {COHORT_NO_VALUE, COHORT_NO_VALUE}, length[SIDES];
  for (int side = 0; side < SIDES; side++) {
    const cohort_value mask = add_input(probe, own, "mask", side);
    own->policy[side] = add_input(probe, own, "policy", side);
    policy[side] = add_sum(own, own->policy[side], mask);
    length[side] = add_length(own, mask);
    if (probe->choice.method->needs & COHORT_NEEDS_REFERENCE)
      reference[side] = add_sum(own, add_input(probe, own, "reference", side), mask);
  }
  return (cohort_preference_inputs){.policy_chosen = policy[0],
                                    .policy_rejected = policy[1],
                                    .reference_chosen = reference[0],
                                    .reference_rejected = reference[1],
                                    .length_chosen = length[0],
                                    .length_rejected = length[1]};
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_preference *functions = probe->choice.method->functions;
  pair_graph own = {.graph = cohort_graph_create(),
                    .pairs = cohort_probe_size_of(probe, "pairs"),
                    .tokens = cohort_probe_size_of(probe, "T")};
  const cohort_preference_inputs inputs = add_inputs(probe, &own);
  const cohort_preference_outputs outputs = functions->build(probe->choice.config, own.graph, &inputs);
  const cohort_value loss =
      cohort_graph_scale(own.graph, cohort_graph_sum_all(own.graph, outputs.loss), 1 / (double)own.pairs);
  cohort_value gradient[SIDES] = {COHORT_NO_VALUE, COHORT_NO_VALUE};
  cohort_graph_gradient(own.graph, loss, COHORT_NO_VALUE, SIDES, own.policy, gradient);
  const cohort_shape matrix = COHORT_SHAPE(own.pairs, own.tokens);
  const cohort_probe_wanted wanted[] = {{loss, "loss", COHORT_SCALAR_SHAPE},
                                        {outputs.loss, "per_pair", COHORT_SHAPE(own.pairs)},
                                        {gradient[0], "gradient/chosen", matrix},
                                        {gradient[1], "gradient/rejected", matrix}};
  const cohort_status status = cohort_probe_evaluate(probe, own.graph, own.leaves, own.leaf, 4, wanted, error);
  cohort_graph_destroy(own.graph);
  return status;
}

const cohort_probe_family cohort_probe_preference = {.name = "preference", .run = run};
