/* Typed builders over cohort_graph_add_node. */
#include <string.h>

#include "graph/node.h"

static cohort_value add1(cohort_graph *graph, cohort_op op, cohort_value x, const cohort_attributes *attributes) {
  return cohort_graph_add_node(graph, op, 1, &x, attributes);
}

static cohort_value add2(cohort_graph *graph, cohort_op op, cohort_value a, cohort_value b,
                         const cohort_attributes *attributes) {
  return cohort_graph_add_node(graph, op, 2, (cohort_value[]){a, b}, attributes);
}

static cohort_value add3(cohort_graph *graph, cohort_op op, cohort_value a, cohort_value b, cohort_value c,
                         const cohort_attributes *attributes) {
  return cohort_graph_add_node(graph, op, 3, (cohort_value[]){a, b, c}, attributes);
}

cohort_value cohort_graph_unary(cohort_graph *graph, cohort_op op, cohort_value x) { return add1(graph, op, x, NULL); }

cohort_value cohort_graph_binary(cohort_graph *graph, cohort_op op, cohort_value a, cohort_value b) {
  return add2(graph, op, a, b, NULL);
}

cohort_value cohort_graph_add(cohort_graph *graph, cohort_value a, cohort_value b) {
  return add2(graph, COHORT_OP_ADD, a, b, NULL);
}

cohort_value cohort_graph_subtract(cohort_graph *graph, cohort_value a, cohort_value b) {
  return add2(graph, COHORT_OP_SUBTRACT, a, b, NULL);
}

cohort_value cohort_graph_multiply(cohort_graph *graph, cohort_value a, cohort_value b) {
  return add2(graph, COHORT_OP_MULTIPLY, a, b, NULL);
}

cohort_value cohort_graph_divide(cohort_graph *graph, cohort_value a, cohort_value b) {
  return add2(graph, COHORT_OP_DIVIDE, a, b, NULL);
}

cohort_value cohort_graph_scale(cohort_graph *graph, cohort_value x, double factor) {
  return cohort_graph_multiply(graph, x, cohort_graph_constant(graph, factor));
}

cohort_value cohort_graph_shift(cohort_graph *graph, cohort_value x, double term) {
  return cohort_graph_add(graph, x, cohort_graph_constant(graph, term));
}

static cohort_value compare(cohort_graph *graph, int relation, cohort_value a, cohort_value b) {
  return add2(graph, COHORT_OP_COMPARE, a, b, &(cohort_attributes){.integers = {relation}});
}

cohort_value cohort_graph_less(cohort_graph *graph, cohort_value a, cohort_value b) { return compare(graph, 0, a, b); }
cohort_value cohort_graph_less_equal(cohort_graph *graph, cohort_value a, cohort_value b) {
  return compare(graph, 1, a, b);
}
cohort_value cohort_graph_equal(cohort_graph *graph, cohort_value a, cohort_value b) { return compare(graph, 2, a, b); }

cohort_value cohort_graph_select(cohort_graph *graph, cohort_value condition, cohort_value a, cohort_value b) {
  return add3(graph, COHORT_OP_SELECT, condition, a, b, NULL);
}

cohort_value cohort_graph_cast(cohort_graph *graph, cohort_value integer) {
  return add1(graph, COHORT_OP_CAST, integer, NULL);
}

cohort_value cohort_graph_stop_gradient(cohort_graph *graph, cohort_value x) {
  return add1(graph, COHORT_OP_STOP_GRADIENT, x, NULL);
}

/* 2 x - x, exactly. */
cohort_value cohort_graph_reverse_gradient(cohort_graph *graph, cohort_value x) {
  return cohort_graph_subtract(graph, cohort_graph_scale(graph, cohort_graph_stop_gradient(graph, x), 2), x);
}

cohort_value cohort_graph_log_sigmoid(cohort_graph *graph, cohort_value x) {
  const cohort_value opposite = cohort_graph_unary(graph, COHORT_OP_NEGATE, x);
  return cohort_graph_unary(graph, COHORT_OP_NEGATE, cohort_graph_unary(graph, COHORT_OP_SOFTPLUS, opposite));
}

/* Whether the shape can be written into attributes; a wrong one is a fault under the operation's name. */
static bool writable(cohort_graph *graph, cohort_op op, cohort_shape shape) {
  if (shape.axes >= 0 && shape.axes <= COHORT_MAX_AXES) return true;
  cohort_graph_fault(graph, cohort_op_name(op), "a shape of %d axes; take at most %d", shape.axes, COHORT_MAX_AXES);
  return false;
}

cohort_value cohort_graph_reshape(cohort_graph *graph, cohort_value x, cohort_shape shape) {
  cohort_attributes attributes = {{0}, {0}};
  if (!writable(graph, COHORT_OP_RESHAPE, shape)) return COHORT_NO_VALUE;
  cohort_attributes_set_shape(&attributes, 0, shape);
  return add1(graph, COHORT_OP_RESHAPE, x, &attributes);
}

cohort_value cohort_graph_permute(cohort_graph *graph, cohort_value x, const int *axes) {
  cohort_attributes attributes = {{0}, {0}};
  for (int k = 0; k < cohort_graph_shape(graph, x).axes; k++) attributes.integers[k] = axes[k];
  return add1(graph, COHORT_OP_PERMUTE, x, &attributes);
}

cohort_value cohort_graph_broadcast(cohort_graph *graph, cohort_value x, cohort_shape shape) {
  cohort_attributes attributes = {{0}, {0}};
  if (!writable(graph, COHORT_OP_BROADCAST, shape)) return COHORT_NO_VALUE;
  cohort_attributes_set_shape(&attributes, 0, shape);
  return add1(graph, COHORT_OP_BROADCAST, x, &attributes);
}

cohort_value cohort_graph_slice(cohort_graph *graph, cohort_value x, int axis, int64_t first, int64_t count) {
  return add1(graph, COHORT_OP_SLICE, x, &(cohort_attributes){.integers = {axis, first, count}});
}

cohort_value cohort_graph_pad(cohort_graph *graph, cohort_value x, int axis, int64_t before, int64_t after) {
  return add1(graph, COHORT_OP_PAD, x, &(cohort_attributes){.integers = {axis, before, after}});
}

cohort_value cohort_graph_concat(cohort_graph *graph, int axis, int count, const cohort_value *parts) {
  return cohort_graph_add_node(graph, COHORT_OP_CONCAT, count, parts, &(cohort_attributes){.integers = {axis}});
}

cohort_value cohort_graph_flip(cohort_graph *graph, cohort_value x, int axis) {
  return add1(graph, COHORT_OP_FLIP, x, &(cohort_attributes){.integers = {axis}});
}

cohort_value cohort_graph_sum(cohort_graph *graph, cohort_value x, unsigned axes_mask) {
  return add1(graph, COHORT_OP_SUM, x, &(cohort_attributes){.integers = {(int64_t)axes_mask}});
}

cohort_value cohort_graph_sum_all(cohort_graph *graph, cohort_value x) {
  const int axes = cohort_graph_shape(graph, x).axes;
  if (axes == 0) return x;
  return cohort_graph_reshape(graph, cohort_graph_sum(graph, x, (1U << axes) - 1), COHORT_SCALAR_SHAPE);
}

cohort_value cohort_graph_summed(const cohort_graph *graph, cohort_value scalar) {
  if (scalar == COHORT_NO_VALUE) return scalar;
  const cohort_node *shaped = &graph->node[graph->value[scalar].node];
  if (shaped->op != COHORT_OP_RESHAPE) return scalar;
  const cohort_node *sum = &graph->node[graph->value[shaped->input[0]].node];
  return sum->op == COHORT_OP_SUM ? sum->input[0] : scalar;
}

cohort_value cohort_graph_max(cohort_graph *graph, cohort_value x, unsigned axes_mask) {
  return add1(graph, COHORT_OP_MAX, x, &(cohort_attributes){.integers = {(int64_t)axes_mask}});
}

cohort_value cohort_graph_argmax(cohort_graph *graph, cohort_value x) { return add1(graph, COHORT_OP_ARGMAX, x, NULL); }
cohort_value cohort_graph_argsort(cohort_graph *graph, cohort_value x) {
  return add1(graph, COHORT_OP_ARGSORT, x, NULL);
}
/* Where an element goes has no derivative; its value's is gather's. */
cohort_value cohort_graph_sort(cohort_graph *graph, cohort_value x) {
  return cohort_graph_gather(graph, x, cohort_graph_argsort(graph, x));
}
cohort_value cohort_graph_logsumexp(cohort_graph *graph, cohort_value x) {
  return add1(graph, COHORT_OP_LOGSUMEXP, x, NULL);
}

cohort_value cohort_graph_cumsum(cohort_graph *graph, cohort_value x, int axis, bool from_the_end) {
  return add1(graph, COHORT_OP_CUMSUM, x, &(cohort_attributes){.integers = {axis, from_the_end}});
}

cohort_value cohort_graph_gather(cohort_graph *graph, cohort_value table, cohort_value index) {
  return add2(graph, COHORT_OP_GATHER, table, index, NULL);
}

cohort_value cohort_graph_scatter_add(cohort_graph *graph, cohort_value rows, cohort_value index, int64_t count) {
  return add2(graph, COHORT_OP_SCATTER_ADD, rows, index, &(cohort_attributes){.integers = {count}});
}

cohort_value cohort_graph_take_along(cohort_graph *graph, cohort_value x, cohort_value index) {
  return add2(graph, COHORT_OP_TAKE_ALONG, x, index, NULL);
}

cohort_value cohort_graph_put_along(cohort_graph *graph, cohort_value v, cohort_value index, int64_t columns) {
  return add2(graph, COHORT_OP_PUT_ALONG, v, index, &(cohort_attributes){.integers = {columns}});
}

cohort_value cohort_graph_matmul(cohort_graph *graph, cohort_value a, cohort_value b, bool transpose_a,
                                 bool transpose_b) {
  return add2(graph, COHORT_OP_MATMUL, a, b, &(cohort_attributes){.integers = {transpose_a, transpose_b}});
}

cohort_value cohort_graph_convolution(cohort_graph *graph, cohort_value x, cohort_value weight, int stride,
                                      int padding) {
  const cohort_shape image = cohort_graph_shape(graph, x), window = cohort_graph_shape(graph, weight);
  return add2(graph, COHORT_OP_CONVOLUTION, x, weight,
              &(cohort_attributes){
                  .integers = {stride, padding, image.size[1], image.size[2], window.size[1], window.size[2]}});
}

cohort_value cohort_graph_window_max(cohort_graph *graph, cohort_value x, int window, int stride) {
  return add1(graph, COHORT_OP_WINDOW_MAX, x, &(cohort_attributes){.integers = {window, stride}});
}

cohort_value cohort_graph_random_rows(cohort_graph *graph, cohort_op op, cohort_value ids, cohort_value positions,
                                      cohort_shape shape) {
  cohort_attributes attributes = {{0}, {0}};
  if (!writable(graph, op, shape)) return COHORT_NO_VALUE;
  cohort_attributes_set_shape(&attributes, 1, shape);
  return add2(graph, op, ids, positions, &attributes);
}

cohort_value cohort_graph_dropout(cohort_graph *graph, cohort_value x, cohort_value ids, cohort_value positions,
                                  double p) {
  return add3(graph, COHORT_OP_DROPOUT, x, ids, positions, &(cohort_attributes){.reals = {p}});
}

cohort_value cohort_graph_lane_sum(cohort_graph *graph, cohort_value x) {
  return add1(graph, COHORT_OP_LANE_SUM, x, NULL);
}
cohort_value cohort_graph_lane_max(cohort_graph *graph, cohort_value x) {
  return add1(graph, COHORT_OP_LANE_MAX, x, NULL);
}
cohort_value cohort_graph_lane_gather(cohort_graph *graph, cohort_value x) {
  return add1(graph, COHORT_OP_LANE_GATHER, x, NULL);
}

cohort_value cohort_graph_segment_sum(cohort_graph *graph, cohort_value x, cohort_value segments, int64_t count) {
  return add2(graph, COHORT_OP_SEGMENT_SUM, x, segments, &(cohort_attributes){.integers = {count}});
}

cohort_value cohort_graph_gelu(cohort_graph *graph, cohort_value x, bool exact) {
  return add1(graph, COHORT_OP_GELU, x, &(cohort_attributes){.integers = {exact}});
}

cohort_value cohort_graph_swiglu(cohort_graph *graph, cohort_value a, cohort_value b) {
  return add2(graph, COHORT_OP_SWIGLU, a, b, NULL);
}

cohort_value cohort_graph_relu(cohort_graph *graph, cohort_value x) { return add1(graph, COHORT_OP_RELU, x, NULL); }

cohort_value cohort_graph_layer_norm(cohort_graph *graph, cohort_value x, cohort_value gain, cohort_value bias,
                                     double epsilon) {
  return add3(graph, COHORT_OP_LAYER_NORM, x, gain, bias, &(cohort_attributes){.reals = {epsilon}});
}

cohort_value cohort_graph_rms_norm(cohort_graph *graph, cohort_value x, cohort_value gain, double epsilon) {
  return add2(graph, COHORT_OP_RMS_NORM, x, gain, &(cohort_attributes){.reals = {epsilon}});
}

cohort_value cohort_graph_group_norm(cohort_graph *graph, cohort_value x, cohort_value gain, cohort_value bias,
                                     int groups, double epsilon) {
  return add3(graph, COHORT_OP_GROUP_NORM, x, gain, bias,
              &(cohort_attributes){.integers = {groups}, .reals = {epsilon}});
}

cohort_value cohort_graph_group_norm_relu(cohort_graph *graph, cohort_value x, cohort_value gain, cohort_value bias,
                                          cohort_value added, int groups, double epsilon) {
  return cohort_graph_add_node(graph, COHORT_OP_GROUP_NORM, added == COHORT_NO_VALUE ? 3 : 4,
                               (cohort_value[]){x, gain, bias, added},
                               &(cohort_attributes){.integers = {groups, true}, .reals = {epsilon}});
}

cohort_value cohort_graph_rotary(cohort_graph *graph, cohort_value x, cohort_value positions, cohort_rotary own) {
  const cohort_attributes attributes = {.integers = {0, own.context},
                                        .reals = {own.theta, own.factor, own.low, own.high}};
  return add2(graph, COHORT_OP_ROTARY, x, positions, &attributes);
}

cohort_value cohort_graph_attention(cohort_graph *graph, cohort_value query, cohort_value key, cohort_value value,
                                    cohort_value segments, double scale, double reads) {
  return cohort_graph_add_node(graph, COHORT_OP_ATTENTION, 4, (cohort_value[]){query, key, value, segments},
                               &(cohort_attributes){.reals = {scale, reads}});
}

cohort_value cohort_graph_attention_cached(cohort_graph *graph, cohort_value query, cohort_value key,
                                           cohort_value value, cohort_value slots, cohort_value positions,
                                           cohort_value keys, cohort_value values, double scale) {
  return cohort_graph_add_node(graph, COHORT_OP_ATTENTION_CACHED, 7,
                               (cohort_value[]){query, key, value, slots, positions, keys, values},
                               &(cohort_attributes){.reals = {scale}});
}

cohort_value cohort_graph_softmax_cross_entropy(cohort_graph *graph, cohort_value logits, cohort_value target,
                                                double label_smoothing) {
  return add2(graph, COHORT_OP_SOFTMAX_CROSS_ENTROPY, logits, target, &(cohort_attributes){.reals = {label_smoothing}});
}

cohort_head_outputs cohort_graph_vocabulary_head(cohort_graph *graph, cohort_value x, cohort_value weight,
                                                 cohort_value target) {
  const cohort_value first = add3(graph, COHORT_OP_VOCABULARY_HEAD, x, weight, target, NULL);
  if (first == COHORT_NO_VALUE)
    return (cohort_head_outputs){COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE};
  return (cohort_head_outputs){first, first + 1, first + 2, first + 3};
}

cohort_value cohort_graph_vocabulary_divergence(cohort_graph *graph, cohort_value x, cohort_value weight,
                                                cohort_value other_x, cohort_value other_weight) {
  const cohort_value input[4] = {x, weight, other_x, other_weight};
  return cohort_graph_add_node(graph, COHORT_OP_VOCABULARY_DIVERGENCE, 4, input, NULL);
}

cohort_value cohort_graph_sum_to(cohort_graph *graph, cohort_value x, cohort_shape shape) {
  const cohort_shape from = cohort_graph_shape(graph, x);
  if (x == COHORT_NO_VALUE || cohort_shape_equal(from, shape)) return x;
  unsigned mask = 0;
  for (int axis = 0; axis < from.axes; axis++) {
    const int own = axis - (from.axes - shape.axes);
    if (own < 0 || (shape.size[own] == 1 && from.size[axis] != 1)) mask |= 1U << axis;
  }
  if (mask) x = cohort_graph_sum(graph, x, mask);
  return cohort_graph_reshape(graph, x, shape);
}
