/* The family's own part: what losses on completions share, and how a lane's objective is made of a method's outputs.
 * Invariant: an empty place gives exactly 0 to the objective, whatever finite loss it has. Costs no more than
 * elementwise passes over completions; a total reads every token once. */
#include "method/preference/preference.h"

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
