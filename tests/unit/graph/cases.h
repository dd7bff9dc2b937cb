/* Every differentiable operation on small random inputs, away from its kinks. */
#ifndef COHORT_TESTS_GRAPH_CASES_H
#define COHORT_TESTS_GRAPH_CASES_H

#include "rig.h"

typedef struct fixture_case {
  const char *name;
  cohort_value (*build)(rig *own, int variant); /* the value to differentiate */
  int variant;
} fixture_case;

static inline cohort_value case_unary(rig *own, int op) {
  const bool positive = op == COHORT_OP_LOG || op == COHORT_OP_SQUARE_ROOT || op == COHORT_OP_RECIPROCAL_ROOT;
  if (op == COHORT_OP_ABSOLUTE)
    return cohort_graph_unary(own->graph, (cohort_op)op, rig_distinct(own, COHORT_SHAPE(3, 11), 0.1));
  return cohort_graph_unary(own->graph, (cohort_op)op,
                            rig_real(own, COHORT_SHAPE(3, 11), positive || op == COHORT_OP_LOG1P ? 0.5 : -2, 2));
}

/* Variants: which of the two is broadcast. */
static inline cohort_value binary_of(rig *own, int op, cohort_shape a, cohort_shape b) {
  const cohort_value x = rig_real(own, a, 0.5, 2);
  return cohort_graph_binary(own->graph, (cohort_op)op, x, rig_real(own, b, 0.5, 2));
}
static inline cohort_value case_binary(rig *own, int op) {
  return binary_of(own, op, COHORT_SHAPE(3, 1, 4), COHORT_SHAPE(5, 1));
}
static inline cohort_value case_binary_row(rig *own, int op) {
  return binary_of(own, op, COHORT_SHAPE(7, 5), COHORT_SHAPE(5));
}
static inline cohort_value case_binary_scalar(rig *own, int op) {
  return binary_of(own, op, COHORT_SCALAR_SHAPE, COHORT_SHAPE(2, 9));
}
/* The values of both lie on one grid of steps, in different rows of it. */
static inline cohort_value case_extremum(rig *own, int op) {
  const cohort_value both = rig_distinct(own, COHORT_SHAPE(2, 4, 9), 0.05);
  const cohort_value a = cohort_graph_slice(own->graph, both, 0, 0, 1),
                     b = cohort_graph_slice(own->graph, both, 0, 1, 1);
  return cohort_graph_binary(own->graph, (cohort_op)op, a, b);
}
static inline cohort_value case_select(rig *own, int variant) {
  (void)variant;
  const cohort_value condition = rig_given(own, COHORT_SHAPE(4, 6), -1, 1);
  const cohort_value truth = cohort_graph_less(own->graph, condition, cohort_graph_constant(own->graph, 0));
  const cohort_value a = rig_real(own, COHORT_SHAPE(4, 1), -1, 1);
  return cohort_graph_select(own->graph, truth, a, rig_real(own, COHORT_SHAPE(6), -1, 1));
}

static inline cohort_value case_divergence(rig *own, int vocabulary) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(5, 4), -1, 1);
  const cohort_value weight = rig_real(own, COHORT_SHAPE(vocabulary, 4), -1, 1);
  const cohort_value other = rig_given(own, COHORT_SHAPE(5, 3), -1, 1);
  return cohort_graph_vocabulary_divergence(own->graph, x, weight, other,
                                            rig_given(own, COHORT_SHAPE(vocabulary, 3), -1, 1));
}

static inline cohort_value case_sort(rig *own, int variant) {
  (void)variant;
  return cohort_graph_sort(own->graph, rig_distinct(own, COHORT_SHAPE(13), 0.1));
}

/* Variants of movement and reductions. */
static inline cohort_value case_movement(rig *own, int op) {
  cohort_graph *graph = own->graph;
  const cohort_value x = rig_real(own, COHORT_SHAPE(3, 4, 5), -1, 1);
  switch (op) {
    case COHORT_OP_RESHAPE:
      return cohort_graph_reshape(graph, x, COHORT_SHAPE(6, 10));
    case COHORT_OP_PERMUTE:
      return cohort_graph_permute(graph, x, (int[]){2, 0, 1});
    case COHORT_OP_SLICE:
      return cohort_graph_slice(graph, x, 1, 1, 2);
    case COHORT_OP_PAD:
      return cohort_graph_pad(graph, x, 2, 2, 1);
    case COHORT_OP_FLIP:
      return cohort_graph_flip(graph, x, 1);
    case COHORT_OP_SUM:
      return cohort_graph_sum(graph, x, 1U << 0 | 1U << 2);
    case COHORT_OP_LOGSUMEXP:
      return cohort_graph_logsumexp(graph, x);
    default:
      return cohort_graph_cumsum(graph, x, 1, false);
  }
}
static inline cohort_value case_cumsum_back(rig *own, int axis) {
  return cohort_graph_cumsum(own->graph, rig_real(own, COHORT_SHAPE(3, 4, 5), -1, 1), axis, true);
}
static inline cohort_value case_sum_all(rig *own, int variant) {
  (void)variant;
  return cohort_graph_sum_all(own->graph, rig_real(own, COHORT_SHAPE(3, 4), -1, 1));
}
static inline cohort_value case_broadcast(rig *own, int variant) {
  (void)variant;
  return cohort_graph_broadcast(own->graph, rig_real(own, COHORT_SHAPE(4, 1), -1, 1), COHORT_SHAPE(3, 4, 5));
}
static inline cohort_value case_concat(rig *own, int variant) {
  (void)variant;
  cohort_value part[3];
  for (int i = 0; i < 3; i++) part[i] = rig_real(own, COHORT_SHAPE(2, 1 + i, 3), -1, 1);
  return cohort_graph_concat(own->graph, 1, 3, part);
}
static inline cohort_value case_max(rig *own, int mask) {
  return cohort_graph_max(own->graph, rig_distinct(own, COHORT_SHAPE(3, 4, 5), 0.05), (unsigned)mask);
}

/* Indices include -1: none. 1: the table is gathered from twice; 2: it is a factor too, as a tied embedding is. */
static inline cohort_value case_gather(rig *own, int variant) {
  const cohort_value table = rig_real(own, COHORT_SHAPE(6, 5), -1, 1);
  const cohort_value rows = cohort_graph_gather(own->graph, table, rig_integer(own, COHORT_SHAPE(3, 4), -1, 5));
  if (variant == 0) return rows;
  if (variant == 2)
    return cohort_graph_matmul(own->graph, cohort_graph_reshape(own->graph, rows, COHORT_SHAPE(12, 5)), table, false,
                               true);
  return cohort_graph_multiply(own->graph, rows,
                               cohort_graph_gather(own->graph, table, rig_integer(own, COHORT_SHAPE(3, 4), -1, 5)));
}
/* 1: onto a table. */
static inline cohort_value case_scatter_add(rig *own, int variant) {
  const cohort_value rows = rig_real(own, COHORT_SHAPE(3, 4, 5), -1, 1);
  const cohort_value index = rig_integer(own, COHORT_SHAPE(3, 4), -1, 5);
  if (variant == 0) return cohort_graph_scatter_add(own->graph, rows, index, 6);
  const cohort_value table = rig_real(own, COHORT_SHAPE(6, 5), -1, 1);
  return cohort_graph_add_node(own->graph, COHORT_OP_SCATTER_ADD, 3, (cohort_value[]){rows, index, table},
                               &(cohort_attributes){.integers = {6}});
}
static inline cohort_value case_take_along(rig *own, int variant) {
  (void)variant;
  const cohort_value x = rig_real(own, COHORT_SHAPE(3, 4, 5), -1, 1);
  return cohort_graph_take_along(own->graph, x, rig_integer(own, COHORT_SHAPE(3, 4), -1, 4));
}
static inline cohort_value case_put_along(rig *own, int variant) {
  (void)variant;
  const cohort_value v = rig_real(own, COHORT_SHAPE(3, 4), -1, 1);
  return cohort_graph_put_along(own->graph, v, rig_integer(own, COHORT_SHAPE(3, 4), -1, 4), 5);
}
static inline cohort_value case_segment_sum(rig *own, int variant) {
  (void)variant;
  const cohort_value x = rig_real(own, COHORT_SHAPE(9, 4), -1, 1);
  return cohort_graph_segment_sum(own->graph, x, rig_segments(own, 9, 3, 2), 4);
}

/* Variants: bit 0 transpose_a, bit 1 transpose_b. */
static inline cohort_value matmul_of(rig *own, int variant, cohort_shape a, cohort_shape b) {
  const cohort_value x = rig_real(own, a, -1, 1);
  return cohort_graph_matmul(own->graph, x, rig_real(own, b, -1, 1), variant & 1, variant & 2);
}
static inline cohort_value case_matmul(rig *own, int variant) {
  return matmul_of(own, variant, variant & 1 ? COHORT_SHAPE(4, 3) : COHORT_SHAPE(3, 4),
                   variant & 2 ? COHORT_SHAPE(5, 4) : COHORT_SHAPE(4, 5));
}
static inline cohort_value case_matmul_batch(rig *own, int variant) {
  return matmul_of(own, variant, variant & 1 ? COHORT_SHAPE(2, 4, 3) : COHORT_SHAPE(2, 3, 4),
                   variant & 2 ? COHORT_SHAPE(2, 5, 4) : COHORT_SHAPE(2, 4, 5));
}
static inline cohort_value case_matmul_flat(rig *own, int variant) {
  return matmul_of(own, variant, COHORT_SHAPE(2, 3, 4), variant & 2 ? COHORT_SHAPE(5, 4) : COHORT_SHAPE(4, 5));
}

/* Variants: stride * 10 + padding. */
static inline cohort_value case_convolution(rig *own, int variant) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(2, 6, 5, 3), -1, 1);
  const cohort_value weight = rig_real(own, COHORT_SHAPE(4, 3, 2, 3), -1, 1);
  return cohort_graph_convolution(own->graph, x, weight, variant / 10, variant % 10);
}
static inline int64_t case_windows(int64_t size, int64_t window, int variant) {
  return (size + 2 * (variant % 10) - window) / (variant / 10) + 1;
}
static inline cohort_value case_convolution_input(rig *own, int variant) {
  const int64_t height = case_windows(6, 3, variant), width = case_windows(5, 2, variant);
  const cohort_value dy = rig_real(own, COHORT_SHAPE(2, height, width, 4), -1, 1);
  const cohort_value weight = rig_real(own, COHORT_SHAPE(4, 3, 2, 3), -1, 1);
  return cohort_graph_add_node(own->graph, COHORT_OP_CONVOLUTION_INPUT, 2, (cohort_value[]){dy, weight},
                               &(cohort_attributes){.integers = {variant / 10, variant % 10, 6, 5, 3, 2}});
}
static inline cohort_value case_convolution_weight(rig *own, int variant) {
  const int64_t height = case_windows(6, 3, variant), width = case_windows(5, 2, variant);
  const cohort_value x = rig_real(own, COHORT_SHAPE(2, 6, 5, 3), -1, 1);
  const cohort_value dy = rig_real(own, COHORT_SHAPE(2, height, width, 4), -1, 1);
  return cohort_graph_add_node(own->graph, COHORT_OP_CONVOLUTION_WEIGHT, 2, (cohort_value[]){x, dy},
                               &(cohort_attributes){.integers = {variant / 10, variant % 10, 6, 5, 3, 2}});
}
static inline cohort_value case_window_max(rig *own, int stride) {
  return cohort_graph_window_max(own->graph, rig_distinct(own, COHORT_SHAPE(2, 6, 6, 3), 0.02), 2 + stride % 2, stride);
}
/* Take and put with the places of a maximum that is not differentiated. */
static inline cohort_value case_window_take(rig *own, int variant) {
  (void)variant;
  const cohort_value where =
      cohort_graph_window_max(own->graph, rig_given(own, COHORT_SHAPE(2, 6, 6, 3), -1, 1), 2, 2) + 1;
  const cohort_value x = rig_real(own, COHORT_SHAPE(2, 6, 6, 3), -1, 1);
  return cohort_graph_binary(own->graph, COHORT_OP_WINDOW_TAKE, x, where);
}
static inline cohort_value case_window_put(rig *own, int variant) {
  (void)variant;
  const cohort_value where =
      cohort_graph_window_max(own->graph, rig_given(own, COHORT_SHAPE(2, 6, 6, 3), -1, 1), 3, 1) + 1;
  const cohort_value y = rig_real(own, COHORT_SHAPE(2, 4, 4, 3), -1, 1);
  return cohort_graph_add_node(own->graph, COHORT_OP_WINDOW_PUT, 2, (cohort_value[]){y, where},
                               &(cohort_attributes){.integers = {6, 6}});
}
static inline cohort_value case_lane(rig *own, int op) {
  const cohort_value x = rig_distinct(own, COHORT_SHAPE(3, 5), 0.1);
  return cohort_graph_unary(own->graph, (cohort_op)op, x);
}

/* Fused. */
static inline cohort_value case_gelu(rig *own, int exact) {
  return cohort_graph_gelu(own->graph, rig_real(own, COHORT_SHAPE(5, 17), -3, 3), exact);
}
static inline cohort_value case_swiglu(rig *own, int variant) {
  (void)variant;
  const cohort_value a = rig_real(own, COHORT_SHAPE(5, 17), -3, 3);
  return cohort_graph_swiglu(own->graph, a, rig_real(own, COHORT_SHAPE(5, 17), -3, 3));
}
static inline cohort_value case_relu(rig *own, int variant) {
  (void)variant;
  return cohort_graph_relu(own->graph, rig_distinct(own, COHORT_SHAPE(5, 17), 0.05));
}
static inline cohort_value case_relu_backward(rig *own, int variant) {
  (void)variant;
  const cohort_value x = rig_given(own, COHORT_SHAPE(5, 17), -1, 1);
  return cohort_graph_binary(own->graph, COHORT_OP_RELU_BACKWARD, x, rig_real(own, COHORT_SHAPE(5, 17), -1, 1));
}
static inline cohort_value case_dropout(rig *own, int percent) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(6, 13), -1, 1);
  const cohort_value ids = rig_integer(own, COHORT_SHAPE(6), 0, 3);
  return cohort_graph_dropout(own->graph, x, ids, rig_integer(own, COHORT_SHAPE(6), 0, 9), percent / 100.0);
}
static inline cohort_value case_layer_norm(rig *own, int columns) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(3, 5, columns), -2, 2);
  const cohort_value gain = rig_real(own, COHORT_SHAPE(columns), 0.5, 1.5);
  return cohort_graph_layer_norm(own->graph, x, gain, rig_real(own, COHORT_SHAPE(columns), -1, 1), 1e-5);
}
static inline cohort_value case_rms_norm(rig *own, int columns) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(11, columns), -2, 2);
  return cohort_graph_rms_norm(own->graph, x, rig_real(own, COHORT_SHAPE(columns), 0.5, 1.5), 1e-6);
}
static inline cohort_value case_group_norm(rig *own, int groups) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(2, 3, 5, 6), -2, 2);
  const cohort_value gain = rig_real(own, COHORT_SHAPE(6), 0.5, 1.5);
  return cohort_graph_group_norm(own->graph, x, gain, rig_real(own, COHORT_SHAPE(6), -1, 1), groups, 1e-5);
}
/* Half of the channels far above zero and half far below: no difference crosses the kink of a relu. */
static inline cohort_value case_far_from_zero(rig *own, int axes, cohort_shape half) {
  const cohort_value parts[] = {rig_real(own, half, 5, 6), rig_real(own, half, -6, -5)};
  return cohort_graph_concat(own->graph, axes - 1, 2, parts);
}
static inline cohort_value case_group_norm_relu(rig *own, int groups) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(2, 3, 5, 6), -2, 2);
  const cohort_value gain = rig_real(own, COHORT_SHAPE(6), 0.5, 1.5);
  const cohort_value bias = case_far_from_zero(own, 1, COHORT_SHAPE(3));
  return cohort_graph_group_norm_relu(own->graph, x, gain, bias, COHORT_NO_VALUE, groups, 1e-5);
}
static inline cohort_value case_group_norm_add(rig *own, int groups) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(2, 3, 5, 6), -2, 2);
  const cohort_value gain = rig_real(own, COHORT_SHAPE(6), 0.5, 1.5), bias = rig_real(own, COHORT_SHAPE(6), -1, 1);
  const cohort_value added = case_far_from_zero(own, 4, COHORT_SHAPE(2, 3, 5, 3));
  return cohort_graph_group_norm_relu(own->graph, x, gain, bias, added, groups, 1e-5);
}
static inline cohort_value case_rotary(rig *own, int positions) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(7, 3, 10), -1, 1);
  return cohort_graph_rotary(own->graph, x, rig_integer(own, COHORT_SHAPE(7), 0, positions),
                             (cohort_rotary){.theta = 10000});
}
/* Variants: length of the texts that wavelengths are stretched from; 0: all of them are. */
static inline cohort_value case_rotary_scaled(rig *own, int context) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(7, 3, 10), -1, 1);
  const cohort_rotary rotary = {.theta = 10000, .factor = 8, .low = 1, .high = 4, .context = context};
  return cohort_graph_rotary(own->graph, x, rig_integer(own, COHORT_SHAPE(7), 0, 50), rotary);
}
/* Variants: heads * 10 + key heads. */
static inline cohort_value attention_of(rig *own, int variant, int64_t rows, int64_t run, int64_t size) {
  const int64_t heads = variant / 10, key_heads = variant % 10;
  const cohort_value query = rig_real(own, COHORT_SHAPE(rows, heads, size), -1, 1);
  const cohort_value key = rig_real(own, COHORT_SHAPE(rows, key_heads, size), -1, 1);
  const cohort_value value = rig_real(own, COHORT_SHAPE(rows, key_heads, size), -1, 1);
  return cohort_graph_attention(own->graph, query, key, value, rig_segments(own, rows, run, 2), 1 / sqrt((double)size),
                                0);
}
static inline cohort_value case_attention(rig *own, int variant) { return attention_of(own, variant, 13, 4, 6); }
static inline cohort_value case_attention_long(rig *own, int variant) {
  return attention_of(own, variant, 201, 150, 33);
}
static inline cohort_value case_cross_entropy(rig *own, int percent) {
  const cohort_value logits = rig_real(own, COHORT_SHAPE(9, 7), -2, 2);
  const cohort_value target = rig_integer(own, COHORT_SHAPE(9), -1, 6);
  return cohort_graph_softmax_cross_entropy(own->graph, logits, target, percent / 100.0);
}
/* Variants: which outputs count, as bits 1 log p, 4 mean, 8 entropy. */
static inline cohort_value head_of(rig *own, int variant, int64_t rows, int64_t width, int64_t words) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(rows, width), -1, 1);
  const cohort_value weight = rig_real(own, COHORT_SHAPE(words, width), -1, 1);
  const cohort_value target = rig_integer(own, COHORT_SHAPE(rows), -1, (int)words - 1);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(own->graph, x, weight, target);
  cohort_value sum = cohort_graph_scale(own->graph, head.log_probability, variant & 1 ? 0.7 : 0);
  if (variant & 4)
    sum = cohort_graph_add(own->graph, sum, cohort_graph_scale(own->graph, head.mean_log_probability, -1.3));
  if (variant & 8) sum = cohort_graph_add(own->graph, sum, cohort_graph_scale(own->graph, head.entropy, 0.4));
  return sum;
}
static inline cohort_value case_head(rig *own, int variant) { return head_of(own, variant, 7, 5, 11); }
static inline cohort_value case_head_long(rig *own, int variant) { return head_of(own, variant, 131, 37, 301); }
static inline cohort_value case_head_panels(rig *own, int variant) { return head_of(own, variant, 19, 23, 2100); }

static const fixture_case small_cases[] = {
    {"negate", case_unary, COHORT_OP_NEGATE},
    {"absolute", case_unary, COHORT_OP_ABSOLUTE},
    {"exponential", case_unary, COHORT_OP_EXPONENTIAL},
    {"log", case_unary, COHORT_OP_LOG},
    {"log1p", case_unary, COHORT_OP_LOG1P},
    {"expm1", case_unary, COHORT_OP_EXPM1},
    {"square_root", case_unary, COHORT_OP_SQUARE_ROOT},
    {"reciprocal_root", case_unary, COHORT_OP_RECIPROCAL_ROOT},
    {"sine", case_unary, COHORT_OP_SINE},
    {"cosine", case_unary, COHORT_OP_COSINE},
    {"tanh", case_unary, COHORT_OP_TANH},
    {"sigmoid", case_unary, COHORT_OP_SIGMOID},
    {"softplus", case_unary, COHORT_OP_SOFTPLUS},
    {"error_function", case_unary, COHORT_OP_ERROR_FUNCTION},
    {"add", case_binary, COHORT_OP_ADD},
    {"subtract", case_binary, COHORT_OP_SUBTRACT},
    {"multiply", case_binary, COHORT_OP_MULTIPLY},
    {"divide", case_binary, COHORT_OP_DIVIDE},
    {"power", case_binary, COHORT_OP_POWER},
    {"add row", case_binary_row, COHORT_OP_ADD},
    {"subtract row", case_binary_row, COHORT_OP_SUBTRACT},
    {"multiply row", case_binary_row, COHORT_OP_MULTIPLY},
    {"divide scalar", case_binary_scalar, COHORT_OP_DIVIDE},
    {"subtract scalar", case_binary_scalar, COHORT_OP_SUBTRACT},
    {"power scalar", case_binary_scalar, COHORT_OP_POWER},
    {"minimum", case_extremum, COHORT_OP_MINIMUM},
    {"maximum", case_extremum, COHORT_OP_MAXIMUM},
    {"select", case_select, 0},
    {"sort", case_sort, 0},
    {"reshape", case_movement, COHORT_OP_RESHAPE},
    {"permute", case_movement, COHORT_OP_PERMUTE},
    {"broadcast", case_broadcast, 0},
    {"slice", case_movement, COHORT_OP_SLICE},
    {"pad", case_movement, COHORT_OP_PAD},
    {"concat", case_concat, 0},
    {"flip", case_movement, COHORT_OP_FLIP},
    {"sum", case_movement, COHORT_OP_SUM},
    {"sum_all", case_sum_all, 0},
    {"max of columns", case_max, 1 << 2},
    {"max of two axes", case_max, 1 << 0 | 1 << 1},
    {"logsumexp", case_movement, COHORT_OP_LOGSUMEXP},
    {"cumsum", case_movement, COHORT_OP_CUMSUM},
    {"cumsum from the end", case_cumsum_back, 2},
    {"gather", case_gather, 0},
    {"gather twice", case_gather, 1},
    {"gather and matmul", case_gather, 2},
    {"scatter_add", case_scatter_add, 0},
    {"scatter_add onto", case_scatter_add, 1},
    {"take_along", case_take_along, 0},
    {"put_along", case_put_along, 0},
    {"segment_sum", case_segment_sum, 0},
    {"matmul", case_matmul, 0},
    {"matmul ta", case_matmul, 1},
    {"matmul tb", case_matmul, 2},
    {"matmul ta tb", case_matmul, 3},
    {"matmul batch", case_matmul_batch, 0},
    {"matmul batch ta", case_matmul_batch, 1},
    {"matmul batch tb", case_matmul_batch, 2},
    {"matmul batch ta tb", case_matmul_batch, 3},
    {"matmul flat", case_matmul_flat, 0},
    {"matmul flat tb", case_matmul_flat, 2},
    {"convolution", case_convolution, 10},
    {"convolution stride 2 padding 1", case_convolution, 21},
    {"convolution_input", case_convolution_input, 11},
    {"convolution_input stride 2", case_convolution_input, 21},
    {"convolution_weight", case_convolution_weight, 11},
    {"convolution_weight stride 2", case_convolution_weight, 21},
    {"window_max", case_window_max, 2},
    {"window_max overlapping", case_window_max, 1},
    {"window_take", case_window_take, 0},
    {"window_put", case_window_put, 0},
    {"lane_sum", case_lane, COHORT_OP_LANE_SUM},
    {"lane_max", case_lane, COHORT_OP_LANE_MAX},
    {"lane_gather", case_lane, COHORT_OP_LANE_GATHER},
    {"lane_take", case_lane, COHORT_OP_LANE_TAKE},
    {"relu_backward", case_relu_backward, 0},
};

static const fixture_case fused_cases[] = {
    {"gelu tanh", case_gelu, 0},
    {"gelu erf", case_gelu, 1},
    {"swiglu", case_swiglu, 0},
    {"relu", case_relu, 0},
    {"dropout", case_dropout, 30},
    {"layer_norm", case_layer_norm, 19},
    {"rms_norm", case_rms_norm, 19},
    {"group_norm", case_group_norm, 3},
    {"group_norm one", case_group_norm, 1},
    {"group_norm relu", case_group_norm_relu, 3},
    {"group_norm add relu", case_group_norm_add, 2},
    {"rotary", case_rotary, 50},
    {"rotary scaled", case_rotary_scaled, 64},
    {"rotary stretched", case_rotary_scaled, 0},
    {"attention", case_attention, 22},
    {"attention grouped", case_attention, 42},
    {"attention one key head", case_attention, 31},
    {"softmax_cross_entropy", case_cross_entropy, 0},
    {"softmax_cross_entropy smoothed", case_cross_entropy, 20},
    {"vocabulary_divergence", case_divergence, 13},
    {"vocabulary_divergence panels", case_divergence, 2100},
    {"vocabulary_head", case_head, 1},
    {"vocabulary_head all", case_head, 1 | 4 | 8},
    {"vocabulary_head entropy", case_head, 8},
};

enum {
  SMALL_CASES = sizeof small_cases / sizeof small_cases[0],
  FUSED_CASES = sizeof fused_cases / sizeof fused_cases[0],
};

#endif
