/* One backward sweep: from the last node to the first, each active node's rule adds to the cotangents of its inputs. A
 * value's cotangent is complete when its maker's turn comes, as all its readers come later in the graph. The nodes
 * added are ordinary ones, so the sweep applies again.
 *
 * One visit a node, and one addition for each further reader of a value. */
#include "graph/gradient.h"

#include <stdlib.h>

#include "base/memory.h"
#include "graph/gradient_rule.h"

/* State of one backward sweep over the values that exist when it starts. */
typedef struct sweep {
  cohort_graph *graph;
  int32_t values;
  bool *active;            /* [values]: depends on a wrt */
  cohort_value *cotangent; /* [values]: sum so far */
} sweep;

static cohort_rule_function find_rule(cohort_op op) {
  static cohort_rule_function (*const families[])(cohort_op) = {
      cohort_rule_elementwise, cohort_rule_movement, cohort_rule_indexing, cohort_rule_lanes, cohort_rule_fused};
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
    const cohort_rule_function rule = families[i](op);
    if (rule) return rule;
  }
  return NULL;
}

static void mark_active(sweep *own, int count, const cohort_value *wrt) {
  const cohort_graph *graph = own->graph;
  for (int i = 0; i < count; i++) own->active[wrt[i]] = true;
  for (int32_t n = 0; n < graph->nodes; n++) {
    const cohort_node *node = &graph->node[n];
    if (!find_rule(node->op)) continue; /* leaves, stop_gradient, comparisons ... pass nothing on */
    bool any = false;
    for (int i = 0; i < node->inputs; i++) any = any || own->active[node->input[i]];
    for (int i = 0; any && i < node->outputs; i++)
      if (graph->value[node->first + i].type == COHORT_TYPE_REAL) own->active[node->first + i] = true;
  }
}

/* Rows that are scattered are added where they belong: a table as large as that of a tied embedding is neither made a
 * second time nor passed over. The scatter_add that the rule made is then read by nobody. */
static cohort_value sum_of(cohort_graph *graph, cohort_value sum, cohort_value cotangent) {
  const cohort_node *node = &graph->node[graph->value[cotangent].node];
  if (cohort_graph_failed(graph) || node->op != COHORT_OP_SCATTER_ADD || node->inputs != 2)
    return cohort_graph_add(graph, sum, cotangent);
  const cohort_attributes attributes = node->attributes;
  return cohort_graph_add_node(graph, COHORT_OP_SCATTER_ADD, 3, (cohort_value[]){node->input[0], node->input[1], sum},
                               &attributes);
}

static void accumulate(sweep *own, cohort_value value, cohort_value cotangent) {
  if (cotangent == COHORT_NO_VALUE) return;
  cohort_value *sum = &own->cotangent[value];
  *sum = *sum == COHORT_NO_VALUE ? cotangent : sum_of(own->graph, *sum, cotangent);
}

static void pass_back(sweep *own, int32_t index) {
  cohort_rule rule = {.graph = own->graph, .node = own->graph->node[index]};
  bool any = false, wanted = false;
  for (int i = 0; i < rule.node.outputs; i++) {
    rule.y[i] = rule.node.first + i;
    rule.dy[i] = own->cotangent[rule.y[i]];
    any = any || rule.dy[i] != COHORT_NO_VALUE;
  }
  for (int i = 0; i < rule.node.inputs; i++) {
    rule.wanted[i] = own->active[rule.node.input[i]];
    rule.dx[i] = COHORT_NO_VALUE;
    wanted = wanted || rule.wanted[i];
  }
  const cohort_rule_function function = find_rule(rule.node.op);
  if (!any || !wanted || !function) return;
  cohort_graph_scope saved;
  cohort_graph_set_scope(own->graph, &saved, "gradient", rule.node.name);
  function(&rule);
  for (int i = 0; i < rule.node.inputs; i++)
    if (rule.wanted[i]) accumulate(own, rule.node.input[i], rule.dx[i]);
  cohort_graph_restore_scope(own->graph, &saved);
}

static bool is_value(const cohort_graph *graph, cohort_value value) {
  return value >= 0 && value < graph->values && graph->value[value].type == COHORT_TYPE_REAL;
}

static bool check_values(cohort_graph *graph, int count, const cohort_value *value, const char *what) {
  for (int i = 0; i < count && !cohort_graph_failed(graph); i++)
    if (!is_value(graph, value[i]))
      cohort_graph_fault(graph, "gradient", "%s %d is no real value of this graph; give it one", what, i);
  return !cohort_graph_failed(graph);
}

/* Cotangent of `of`, ones when none is given. */
static cohort_value seed_of(cohort_graph *graph, cohort_value of, cohort_value cotangent) {
  const cohort_shape shape = cohort_graph_shape(graph, of);
  if (cotangent == COHORT_NO_VALUE) {
    const cohort_value one = cohort_graph_constant(graph, 1);
    return shape.axes ? cohort_graph_broadcast(graph, one, shape) : one;
  }
  char a[COHORT_SHAPE_TEXT], b[COHORT_SHAPE_TEXT];
  if (!is_value(graph, cotangent) || !cohort_shape_equal(shape, cohort_graph_shape(graph, cotangent)))
    cohort_graph_fault(graph, graph->node[graph->value[of].node].name,
                       "its cotangent is %s, not %s; give it that shape",
                       cohort_shape_text(cohort_graph_shape(graph, cotangent), a), cohort_shape_text(shape, b));
  return cotangent;
}

/* The results are values of their own, so that each can be bound to its own memory: neither leaves, nor given
 * cotangents, nor equal to each other. */
static void hand_out(sweep *own, int count, const cohort_value *wrt, cohort_value *gradients) {
  cohort_graph *graph = own->graph;
  for (int i = 0; i < count; i++) {
    cohort_value value = own->cotangent[wrt[i]];
    const cohort_shape shape = cohort_graph_shape(graph, wrt[i]);
    if (value == COHORT_NO_VALUE) value = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 0), shape);
    bool own_value = value >= own->values && !cohort_op_is_leaf(graph->node[graph->value[value].node].op);
    for (int j = 0; j < i && own_value; j++) own_value = gradients[j] != value;
    gradients[i] = own_value ? value : cohort_graph_reshape(graph, value, shape);
    if (cohort_graph_failed(graph)) return;
  }
}

/* gradients of the sum over seeds of <of, cotangent>. */
static void backpropagate(cohort_graph *graph, int seeds, const cohort_value *of, const cohort_value *cotangents,
                          int count, const cohort_value *wrt, cohort_value *gradients) {
  for (int i = 0; i < count; i++) gradients[i] = COHORT_NO_VALUE;
  if (!check_values(graph, seeds, of, "differentiated value") || !check_values(graph, count, wrt, "wrt")) return;
  cohort_graph_scope saved;
  cohort_graph_set_scope(graph, &saved, "", "gradient");
  sweep own = {.graph = graph, .values = graph->values};
  const int32_t nodes = graph->nodes;
  own.active = cohort_allocate((size_t)own.values * sizeof *own.active);
  own.cotangent = cohort_allocate((size_t)own.values * sizeof *own.cotangent);
  for (int32_t v = 0; v < own.values; v++) own.cotangent[v] = COHORT_NO_VALUE;
  mark_active(&own, count, wrt);
  for (int i = 0; i < seeds; i++)
    if (own.active[of[i]]) accumulate(&own, of[i], seed_of(graph, of[i], cotangents[i]));
  for (int32_t n = nodes - 1; n >= 0 && !cohort_graph_failed(graph); n--) pass_back(&own, n);
  if (!cohort_graph_failed(graph)) hand_out(&own, count, wrt, gradients);
  for (int i = 0; cohort_graph_failed(graph) && i < count; i++) gradients[i] = COHORT_NO_VALUE;
  free(own.active);
  free(own.cotangent);
  cohort_graph_restore_scope(graph, &saved);
}

void cohort_graph_gradient(cohort_graph *graph, cohort_value of, cohort_value cotangent, int count,
                           const cohort_value *wrt, cohort_value *gradients) {
  backpropagate(graph, 1, &of, &cotangent, count, wrt, gradients);
}

void cohort_graph_hessian_product(cohort_graph *graph, int count, const cohort_value *gradients,
                                  const cohort_value *wrt, const cohort_value *directions, cohort_value *products) {
  if (check_values(graph, count, directions, "direction"))
    for (int i = 0; i < count; i++) seed_of(graph, gradients[i], directions[i]);
  backpropagate(graph, count, gradients, directions, count, wrt, products);
}
