/* Attention, softmax cross-entropy, the vocabulary head and the divergence of two by small operations. */
#include "graph/decompose/decompose_fused.h"

/* A number that no score comes near, yet whose differences are finite. */
static const double far_below = -1e30;

/* x [R, heads, D] -> [all_heads, R, D]: each head repeated all_heads / heads times. */
static cohort_value by_heads(cohort_graph *graph, cohort_value x, int64_t all_heads) {
  const cohort_shape shape = cohort_graph_shape(graph, x);
  const int64_t rows = shape.size[0], heads = shape.size[1], size = shape.size[2];
  const cohort_value turned = cohort_graph_permute(graph, x, (int[]){1, 0, 2});
  if (heads == all_heads) return turned;
  const cohort_value apart = cohort_graph_reshape(graph, turned, COHORT_SHAPE(heads, 1, rows, size));
  const cohort_value repeated =
      cohort_graph_broadcast(graph, apart, COHORT_SHAPE(heads, all_heads / heads, rows, size));
  return cohort_graph_reshape(graph, repeated, COHORT_SHAPE(all_heads, rows, size));
}

/* [R, R]: 1 where the key's row stands in the prefix of the query's. */
static cohort_value prefix_mask(cohort_graph *graph, cohort_value segments) {
  const int64_t rows = cohort_graph_shape(graph, segments).size[0];
  const cohort_value order = cohort_graph_cast(graph, cohort_graph_iota(graph, rows));
  const cohort_value first = cohort_graph_cast(graph, cohort_graph_slice(graph, segments, 1, 1, 1));
  const cohort_value count = cohort_graph_cast(graph, cohort_graph_slice(graph, segments, 1, 2, 1));
  const cohort_value from = cohort_graph_less_equal(graph, first, order);
  return cohort_graph_multiply(graph, from, cohort_graph_less(graph, order, cohort_graph_add(graph, first, count)));
}

/* [R, R]: 1 where the key's row may be read from the query's row, of the same segment. */
static cohort_value reading_mask(cohort_graph *graph, cohort_value segments, cohort_value inside) {
  const int64_t rows = cohort_graph_shape(graph, segments).size[0];
  const cohort_value order = cohort_graph_iota(graph, rows);
  const cohort_shape column = COHORT_SHAPE(rows, 1);
  const cohort_value same = cohort_graph_equal(graph, cohort_graph_reshape(graph, segments, column), segments);
  const cohort_value earlier = cohort_graph_less_equal(graph, order, cohort_graph_reshape(graph, order, column));
  return cohort_graph_multiply(graph, cohort_graph_multiply(graph, same, earlier),
                               cohort_graph_reshape(graph, inside, column));
}

void cohort_decompose_attention(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                                cohort_value *output) {
  const cohort_shape shape = cohort_graph_shape(graph, input[0]);
  const int64_t rows = shape.size[0], heads = shape.size[1];
  const bool prefixes = cohort_graph_shape(graph, input[3]).axes == 2;
  const cohort_value zero = cohort_graph_constant(graph, 0);
  const cohort_value segments =
      prefixes ? cohort_graph_reshape(graph, cohort_graph_slice(graph, input[3], 1, 0, 1), COHORT_SHAPE(rows))
               : input[3];
  const cohort_value inside = cohort_graph_less(graph, cohort_graph_integer(graph, -1), segments);
  cohort_value mask = reading_mask(graph, segments, inside);
  if (prefixes) mask = cohort_graph_add(graph, mask, prefix_mask(graph, input[3]));
  const cohort_value query = by_heads(graph, input[0], heads), key = by_heads(graph, input[1], heads);
  const cohort_value product =
      cohort_graph_scale(graph, cohort_graph_matmul(graph, query, key, false, true), node->attributes.reals[0]);
  const cohort_value scores = cohort_graph_select(graph, mask, product, cohort_graph_constant(graph, far_below));
  const cohort_value total = cohort_graph_logsumexp(graph, scores);
  const cohort_value share =
      cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_subtract(graph, scores, total));
  /* Rows outside of all segments have nothing to read: exact zeros. */
  const cohort_value weights = cohort_graph_select(graph, mask, share, zero);
  const cohort_value mixed = cohort_graph_matmul(graph, weights, by_heads(graph, input[2], heads), false, false);
  output[0] = cohort_graph_permute(graph, mixed, (int[]){1, 0, 2});
  const cohort_value sums =
      cohort_graph_permute(graph, cohort_graph_reshape(graph, total, COHORT_SHAPE(heads, rows)), (int[]){1, 0});
  output[1] = cohort_graph_select(graph, cohort_graph_reshape(graph, inside, COHORT_SHAPE(rows, 1)), sums, zero);
}

/* 1 where the target is one of the columns. */
static cohort_value is_target(cohort_graph *graph, cohort_value target, int64_t columns) {
  const cohort_value above = cohort_graph_less(graph, cohort_graph_integer(graph, -1), target);
  return cohort_graph_multiply(graph, above,
                               cohort_graph_less(graph, target, cohort_graph_integer(graph, (int32_t)columns)));
}

static cohort_value row_mean(cohort_graph *graph, cohort_value x) {
  const cohort_shape shape = cohort_graph_shape(graph, x);
  const cohort_value sum =
      cohort_graph_reshape(graph, cohort_graph_sum(graph, x, 1U << 1), COHORT_SHAPE(shape.size[0]));
  return cohort_graph_scale(graph, sum, 1 / (double)shape.size[1]);
}

void cohort_decompose_cross_entropy(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                                    cohort_value *output) {
  const cohort_value logits = input[0], target = input[1];
  const double smoothing = node->attributes.reals[0];
  const int64_t rows = cohort_graph_shape(graph, logits).size[0];
  const cohort_value total = cohort_graph_reshape(graph, cohort_graph_logsumexp(graph, logits), COHORT_SHAPE(rows));
  const cohort_value own = cohort_graph_take_along(graph, logits, target);
  cohort_value loss = cohort_graph_scale(graph, cohort_graph_subtract(graph, own, total), smoothing - 1);
  if (smoothing > 0) {
    const cohort_value mean = cohort_graph_subtract(graph, row_mean(graph, logits), total);
    loss = cohort_graph_add(graph, loss, cohort_graph_scale(graph, mean, -smoothing));
  }
  const cohort_value valid = is_target(graph, target, cohort_graph_shape(graph, logits).size[1]);
  output[0] = cohort_graph_select(graph, valid, loss, cohort_graph_constant(graph, 0));
  output[1] = total;
}

void cohort_decompose_head(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                           cohort_value *output) {
  (void)node;
  const cohort_value target = input[2], zero = cohort_graph_constant(graph, 0);
  const cohort_value logits = cohort_graph_matmul(graph, input[0], input[1], false, true);
  const int64_t rows = cohort_graph_shape(graph, logits).size[0];
  const cohort_value kept = cohort_graph_logsumexp(graph, logits);
  const cohort_value total = cohort_graph_reshape(graph, kept, COHORT_SHAPE(rows));
  const cohort_value share =
      cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_subtract(graph, logits, kept));
  const cohort_value expected = cohort_graph_reshape(
      graph, cohort_graph_sum(graph, cohort_graph_multiply(graph, share, logits), 1U << 1), COHORT_SHAPE(rows));
  const cohort_value valid = is_target(graph, target, cohort_graph_shape(graph, logits).size[1]);
  const cohort_value all[] = {cohort_graph_subtract(graph, cohort_graph_take_along(graph, logits, target), total),
                              total, cohort_graph_subtract(graph, row_mean(graph, logits), total),
                              cohort_graph_subtract(graph, total, expected)};
  for (int i = 0; i < 4; i++) output[i] = cohort_graph_select(graph, valid, all[i], zero);
}

void cohort_decompose_divergence(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                                 cohort_value *output) {
  (void)node;
  const cohort_value logits = cohort_graph_matmul(graph, input[0], input[1], false, true);
  const cohort_value others =
      cohort_graph_stop_gradient(graph, cohort_graph_matmul(graph, input[2], input[3], false, true));
  const int64_t rows = cohort_graph_shape(graph, logits).size[0];
  const cohort_value kept = cohort_graph_logsumexp(graph, logits), others_kept = cohort_graph_logsumexp(graph, others);
  const cohort_value log_p = cohort_graph_subtract(graph, logits, kept),
                     log_q = cohort_graph_subtract(graph, others, others_kept);
  const cohort_value share = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, log_q);
  const cohort_value term = cohort_graph_multiply(graph, share, cohort_graph_subtract(graph, log_q, log_p));
  output[0] = cohort_graph_reshape(graph, cohort_graph_sum(graph, term, 1U << 1), COHORT_SHAPE(rows));
  output[1] = cohort_graph_reshape(graph, kept, COHORT_SHAPE(rows));
  output[2] = cohort_graph_reshape(graph, others_kept, COHORT_SHAPE(rows));
}
