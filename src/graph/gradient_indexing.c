/* Derivatives of indexing, products and images. Each family is closed: gather and scatter_add are transposes of each
 * other, so are take_along and put_along, window_take and window_put; the three convolutions turn into each other. */
#include "graph/gradient_rule.h"

static void gather(cohort_rule *rule) {
  rule->dx[0] =
      cohort_graph_scatter_add(rule->graph, rule->dy[0], rule->node.input[1], cohort_rule_shape(rule, 0).size[0]);
}

static void scatter_add(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_gather(rule->graph, rule->dy[0], rule->node.input[1]);
  if (rule->node.inputs == 3) rule->dx[2] = rule->dy[0];
}

static void take_along(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_put_along(rule->graph, rule->dy[0], rule->node.input[1],
                                       cohort_shape_columns(cohort_rule_shape(rule, 0)));
}

static void put_along(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_take_along(rule->graph, rule->dy[0], rule->node.input[1]);
}

/* x [batch..., M, K] as [batch * M, K]. */
static cohort_value flat(cohort_graph *graph, cohort_value x) {
  const cohort_shape shape = cohort_graph_shape(graph, x);
  return cohort_graph_reshape(graph, x, COHORT_SHAPE(cohort_shape_rows(shape), cohort_shape_columns(shape)));
}

static void matmul(cohort_rule *rule) {
  cohort_graph *graph = rule->graph;
  const bool ta = rule->node.attributes.integers[0] != 0, tb = rule->node.attributes.integers[1] != 0;
  cohort_value a = rule->node.input[0], dy = rule->dy[0];
  const cohort_value b = rule->node.input[1];
  if (rule->wanted[0])
    rule->dx[0] = ta ? cohort_graph_matmul(graph, b, dy, tb, true) : cohort_graph_matmul(graph, dy, b, false, !tb);
  if (!rule->wanted[1]) return;
  if (cohort_rule_shape(rule, 1).axes == 2 && cohort_rule_shape(rule, 0).axes > 2) {
    a = flat(graph, a);
    dy = flat(graph, dy);
  }
  rule->dx[1] = tb ? cohort_graph_matmul(graph, dy, a, true, ta) : cohort_graph_matmul(graph, a, dy, !ta, false);
}

/* With attributes filled in from the shapes of the image and of the window. */
static cohort_value convolve(cohort_rule *rule, cohort_op op, cohort_value a, cohort_value b, cohort_value image,
                             cohort_value window) {
  const cohort_shape x = cohort_graph_shape(rule->graph, image), weight = cohort_graph_shape(rule->graph, window);
  const int64_t *i = rule->node.attributes.integers;
  return cohort_graph_add_node(
      rule->graph, op, 2, (cohort_value[]){a, b},
      &(cohort_attributes){.integers = {i[0], i[1], x.size[1], x.size[2], weight.size[1], weight.size[2]}});
}

static void convolution(cohort_rule *rule) {
  const cohort_value x = rule->node.input[0], weight = rule->node.input[1], dy = rule->dy[0];
  if (rule->wanted[0]) rule->dx[0] = convolve(rule, COHORT_OP_CONVOLUTION_INPUT, dy, weight, x, weight);
  if (rule->wanted[1]) rule->dx[1] = convolve(rule, COHORT_OP_CONVOLUTION_WEIGHT, x, dy, x, weight);
}

static void convolution_input(cohort_rule *rule) {
  const cohort_value g = rule->node.input[0], weight = rule->node.input[1], c = rule->dy[0];
  if (rule->wanted[0]) rule->dx[0] = convolve(rule, COHORT_OP_CONVOLUTION, c, weight, c, weight);
  if (rule->wanted[1]) rule->dx[1] = convolve(rule, COHORT_OP_CONVOLUTION_WEIGHT, c, g, c, weight);
}

static void convolution_weight(cohort_rule *rule) {
  const cohort_value x = rule->node.input[0], g = rule->node.input[1], c = rule->dy[0];
  if (rule->wanted[0]) rule->dx[0] = convolve(rule, COHORT_OP_CONVOLUTION_INPUT, g, c, x, c);
  if (rule->wanted[1]) rule->dx[1] = convolve(rule, COHORT_OP_CONVOLUTION, x, c, x, c);
}

static cohort_value put(cohort_rule *rule, cohort_value y, cohort_value where, cohort_shape image) {
  return cohort_graph_add_node(rule->graph, COHORT_OP_WINDOW_PUT, 2, (cohort_value[]){y, where},
                               &(cohort_attributes){.integers = {image.size[1], image.size[2]}});
}

static void window_max(cohort_rule *rule) {
  rule->dx[0] = put(rule, rule->dy[0], rule->y[1], cohort_rule_shape(rule, 0));
}

static void window_take(cohort_rule *rule) {
  rule->dx[0] = put(rule, rule->dy[0], rule->node.input[1], cohort_rule_shape(rule, 0));
}

static void window_put(cohort_rule *rule) {
  rule->dx[0] = cohort_graph_binary(rule->graph, COHORT_OP_WINDOW_TAKE, rule->dy[0], rule->node.input[1]);
}

cohort_rule_function cohort_rule_indexing(cohort_op op) {
  switch (op) {
    case COHORT_OP_GATHER:
      return gather;
    case COHORT_OP_SCATTER_ADD:
    case COHORT_OP_SEGMENT_SUM:
      return scatter_add;
    case COHORT_OP_TAKE_ALONG:
      return take_along;
    case COHORT_OP_PUT_ALONG:
      return put_along;
    case COHORT_OP_MATMUL:
      return matmul;
    case COHORT_OP_CONVOLUTION:
      return convolution;
    case COHORT_OP_CONVOLUTION_INPUT:
      return convolution_input;
    case COHORT_OP_CONVOLUTION_WEIGHT:
      return convolution_weight;
    case COHORT_OP_WINDOW_MAX:
      return window_max;
    case COHORT_OP_WINDOW_TAKE:
      return window_take;
    case COHORT_OP_WINDOW_PUT:
      return window_put;
    default:
      return NULL;
  }
}
