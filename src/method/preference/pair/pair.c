/* Margins, links and what else losses on pairs are made of. Invariant: every value is finite wherever margins are, also
 * in empty places, whose weight is 0. Costs elementwise passes over pairs; transport sorts those of all lanes. */
#include "method/preference/pair/pair.h"

cohort_value cohort_pair_margin(cohort_graph *graph, cohort_value column) {
  return cohort_graph_subtract(graph, cohort_preference_side(graph, column, 0),
                               cohort_preference_side(graph, column, 1));
}

cohort_value cohort_pair_mean(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value sums) {
  return cohort_graph_divide(graph, sums, fields->length);
}

cohort_value cohort_pair_exponential(cohort_graph *graph, cohort_value x) {
  const cohort_value most = cohort_graph_constant(graph, 80);
  return cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_binary(graph, COHORT_OP_MINIMUM, x, most));
}

cohort_value cohort_pair_sigmoid(cohort_graph *graph, cohort_value x) {
  return cohort_graph_unary(graph, COHORT_OP_SIGMOID, x);
}

cohort_value cohort_pair_square(cohort_graph *graph, cohort_value x) { return cohort_graph_multiply(graph, x, x); }

cohort_value cohort_pair_weighed(cohort_graph *graph, cohort_value x, double factor) {
  return factor == 1 ? x : cohort_graph_scale(graph, x, factor);
}

cohort_value cohort_pair_bounded(cohort_graph *graph, cohort_pair_bound link, cohort_value margin) {
  const cohort_value opposite = cohort_graph_scale(graph, margin, -1);
  switch (link) {
    case COHORT_BOUND_LOGISTIC:
      break;
    case COHORT_BOUND_SQUARED:
      return cohort_pair_square(graph, cohort_graph_shift(graph, margin, -1));
    case COHORT_BOUND_HINGE:
      return cohort_graph_relu(graph, cohort_graph_shift(graph, opposite, 1));
    case COHORT_BOUND_EXPONENTIAL:
      return cohort_pair_exponential(graph, opposite);
    case COHORT_BOUND_TRUNCATED:
      return cohort_pair_square(graph, cohort_graph_relu(graph, cohort_graph_shift(graph, opposite, 1)));
    case COHORT_BOUND_SAVAGE:
      return cohort_pair_square(graph, cohort_pair_sigmoid(graph, opposite));
  }
  return cohort_preference_smoothed(graph, margin, 0);
}

cohort_value cohort_pair_likelihood(cohort_graph *graph, const cohort_preference_fields *fields) {
  return cohort_graph_scale(graph, cohort_preference_side(graph, fields->policy, 0), -1);
}

/* All lanes' numbers, sorted; those of empty places become `last`, above all others, and stand at the end. */
static cohort_value sorted(cohort_graph *graph, cohort_value x, cohort_value weight, cohort_value last) {
  return cohort_graph_sort(graph, cohort_graph_lane_gather(graph, cohort_graph_select(graph, weight, x, last)));
}

cohort_value cohort_pair_transport(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value upper,
                                   cohort_value lower, double beta, double flipped) {
  const cohort_value last = cohort_graph_constant(graph, 1e30);
  const cohort_value z = cohort_graph_subtract(graph, sorted(graph, upper, fields->weight, last),
                                               sorted(graph, lower, fields->weight, last));
  const cohort_value loss = cohort_preference_smoothed(graph, cohort_graph_scale(graph, z, beta), flipped);
  /* As many as there are pairs count: the first ones. */
  const int64_t places = cohort_shape_elements(cohort_graph_shape(graph, z));
  const cohort_value pairs = cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, fields->weight));
  const cohort_value counts =
      cohort_graph_less(graph, cohort_graph_cast(graph, cohort_graph_iota(graph, places)), pairs);
  const cohort_value sum = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, loss, counts));
  return cohort_graph_broadcast(graph, cohort_graph_divide(graph, sum, pairs), COHORT_SHAPE(fields->completions / 2));
}
