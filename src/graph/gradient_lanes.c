/* Derivatives across lanes. The differentiated number is the sum over lanes of each lane's `of`; what a lane gets is
 * the derivative with respect to its own part. */
#include "graph/gradient_rule.h"

static cohort_value lane(cohort_rule *rule, cohort_op op, cohort_value x) {
  return cohort_graph_add_node(rule->graph, op, 1, &x, NULL);
}

static void lane_sum(cohort_rule *rule) { rule->dx[0] = lane(rule, COHORT_OP_LANE_SUM, rule->dy[0]); }
static void lane_gather(cohort_rule *rule) { rule->dx[0] = lane(rule, COHORT_OP_LANE_TAKE, rule->dy[0]); }
static void lane_take(cohort_rule *rule) { rule->dx[0] = lane(rule, COHORT_OP_LANE_GATHER, rule->dy[0]); }

/* In equal parts to the lanes that hold the maximum. */
static void lane_max(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value equal = cohort_graph_equal(graph, rule->node.input[0], rule->y[0]);
  const cohort_value count = lane(rule, COHORT_OP_LANE_SUM, equal);
  const cohort_value all = lane(rule, COHORT_OP_LANE_SUM, rule->dy[0]);
  rule->dx[0] = cohort_graph_multiply(graph, equal, cohort_graph_divide(graph, all, count));
}

cohort_rule_function cohort_rule_lanes(cohort_op op) {
  switch (op) {
    case COHORT_OP_LANE_SUM:
      return lane_sum;
    case COHORT_OP_LANE_MAX:
      return lane_max;
    case COHORT_OP_LANE_GATHER:
      return lane_gather;
    case COHORT_OP_LANE_TAKE:
      return lane_take;
    default:
      return NULL;
  }
}
