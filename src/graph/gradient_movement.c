/* Derivatives of movement and reductions. */
#include "graph/gradient_rule.h"

static void reshape(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_reshape(rule->graph, rule->dy[0], cohort_rule_shape(rule, 0));
}

static void permute(cohort_rule *rule) {
  int back[COHORT_MAX_AXES] = {0};
  for (int k = 0; k < cohort_rule_shape(rule, 0).axes; k++) back[rule->node.attributes.integers[k]] = k;
  rule->dx[0] = cohort_graph_permute(rule->graph, rule->dy[0], back);
}

static void broadcast(cohort_rule *rule) { cohort_rule_give(rule, 0, rule->dy[0]); }

static void slice(cohort_rule *rule) {
  const int64_t *i = rule->node.attributes.integers;
  const int axis = (int)i[0];
  rule->dx[0] =
      cohort_graph_pad(rule->graph, rule->dy[0], axis, i[1], cohort_rule_shape(rule, 0).size[axis] - i[1] - i[2]);
}

static void pad(cohort_rule *rule) {
  const int64_t *i = rule->node.attributes.integers;
  const int axis = (int)i[0];
  rule->dx[0] = cohort_graph_slice(rule->graph, rule->dy[0], axis, i[1], cohort_rule_shape(rule, 0).size[axis]);
}

static void concat(cohort_rule *rule) {
  const int axis = (int)rule->node.attributes.integers[0];
  int64_t first = 0;
  for (int i = 0; i < rule->node.inputs; i++) {
    const int64_t count = cohort_rule_shape(rule, i).size[axis];
    if (rule->wanted[i]) rule->dx[i] = cohort_graph_slice(rule->graph, rule->dy[0], axis, first, count);
    first += count;
  }
}

static void flip(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_flip(rule->graph, rule->dy[0], (int)rule->node.attributes.integers[0]);
}

static void sum(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_broadcast(rule->graph, rule->dy[0], cohort_rule_shape(rule, 0));
}

/* In equal parts to all elements that are the maximum. */
static void maximum(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value equal = cohort_graph_equal(graph, rule->node.input[0], rule->y[0]);
  const cohort_value count = cohort_graph_sum(graph, equal, (unsigned)rule->node.attributes.integers[0]);
  rule->dx[0] = cohort_graph_multiply(graph, equal, cohort_graph_divide(graph, rule->dy[0], count));
}

static void logsumexp(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const cohort_value logarithm = cohort_graph_subtract(graph, rule->node.input[0], rule->y[0]);
  rule->dx[0] = cohort_graph_multiply(graph, cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, logarithm), rule->dy[0]);
}

static void cumsum(cohort_rule *rule) {
  const int64_t *i = rule->node.attributes.integers;
  rule->dx[0] = cohort_graph_cumsum(rule->graph, rule->dy[0], (int)i[0], !i[1]);
}

cohort_rule_function cohort_rule_movement(cohort_op op) {
  switch (op) {
    case COHORT_OP_RESHAPE:
      return reshape;
    case COHORT_OP_PERMUTE:
      return permute;
    case COHORT_OP_BROADCAST:
      return broadcast;
    case COHORT_OP_SLICE:
      return slice;
    case COHORT_OP_PAD:
      return pad;
    case COHORT_OP_CONCAT:
      return concat;
    case COHORT_OP_FLIP:
      return flip;
    case COHORT_OP_SUM:
      return sum;
    case COHORT_OP_MAX:
      return maximum;
    case COHORT_OP_LOGSUMEXP:
      return logsumexp;
    case COHORT_OP_CUMSUM:
      return cumsum;
    default:
      return NULL;
  }
}
