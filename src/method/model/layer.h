/* Layers that several models share: each declares its parameters under the scope `name`, initialised as PyTorch does
 * (nn.Linear, nn.Conv2d: kaiming_uniform(a = sqrt 5) for the weight and the same bound for the bias, which is uniform
 * in
 * +-1/sqrt(fan in)), and applies itself. Matrices are multiplied with by cohort_layer_product, so that adapters can
 * stand beside them. */
#ifndef COHORT_METHOD_MODEL_LAYER_H
#define COHORT_METHOD_MODEL_LAYER_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "method/model/model.h"

static inline bool cohort_adapter_takes(const cohort_adapter *adapter, const char *layer) {
  if (!adapter) return false;
  for (int i = 0; i < adapter->targets; i++)
    if (strcmp(adapter->target[i], layer) == 0) return true;
  return adapter->targets == 0;
}

/* Dropout in a scope of its own, so that every place draws other numbers; nothing when not training or p is 0. */
static inline cohort_value cohort_layer_dropout(cohort_graph *graph, const char *name, cohort_value x,
                                                const cohort_model_inputs *inputs, double p) {
  if (!inputs->training || p == 0) return x;
  cohort_graph_enter(graph, "%s", name);
  const cohort_value y = cohort_graph_dropout(graph, x, inputs->ids, inputs->positions, p);
  cohort_graph_leave(graph);
  return y;
}

/* Sums over the columns of a product: [rows, columns] twice -> [rows]. */
static inline cohort_value cohort_layer_row_dots(cohort_graph *graph, cohort_value x, cohort_value y) {
  const int64_t rows = cohort_shape_rows(cohort_graph_shape(graph, x));
  return cohort_graph_reshape(graph, cohort_graph_sum(graph, cohort_graph_multiply(graph, x, y), 1 << 1),
                              COHORT_SHAPE(rows));
}

/* DoRA's factor of each output, [out]: m over the norm of the row of W + s B A, whose square is
 * |W|^2 + 2 s B . (W A') + s^2 B . (B (A A')), so that the sum is never formed. Exactly 1 where B and lora_magnitude
 * are zero. Costs two passes over W and a product of W with A. */
static inline cohort_value cohort_layer_magnitude(cohort_graph *graph, const cohort_adapter *adapter,
                                                  cohort_value weight, cohort_value a, cohort_value b) {
  const int64_t out = cohort_shape_rows(cohort_graph_shape(graph, weight));
  const cohort_value moved = cohort_graph_parameter(graph, adapter->space, "lora_magnitude", COHORT_SHAPE(out),
                                                    COHORT_ROLE_GAIN, COHORT_INITIAL_ZERO, 0);
  const cohort_value own = cohort_layer_row_dots(graph, weight, weight);
  const cohort_value mixed = cohort_layer_row_dots(graph, b, cohort_graph_matmul(graph, weight, a, false, true));
  const cohort_value gram = cohort_graph_matmul(graph, a, a, false, true);
  const cohort_value added = cohort_layer_row_dots(graph, b, cohort_graph_matmul(graph, b, gram, false, false));
  const cohort_value more = cohort_graph_add(graph, cohort_graph_scale(graph, mixed, 2 * adapter->scale),
                                             cohort_graph_scale(graph, added, adapter->scale * adapter->scale));
  const cohort_value norm = cohort_graph_unary(graph, COHORT_OP_SQUARE_ROOT, cohort_graph_add(graph, own, more));
  const cohort_value start = cohort_graph_unary(graph, COHORT_OP_SQUARE_ROOT, own);
  return cohort_graph_divide(graph, cohort_graph_add(graph, cohort_graph_stop_gradient(graph, start), moved),
                             cohort_graph_stop_gradient(graph, norm));
}

/* x [R, in] weight' [in, out], and what an adapter adds. In the scope of the layer, whose own name is `layer`. A begins
 * as PEFT's (Kaiming uniform with a = sqrt 5). */
static inline cohort_value cohort_layer_product(cohort_graph *graph, const cohort_model_inputs *inputs,
                                                const char *layer, cohort_value x, cohort_value weight) {
  const cohort_value y = cohort_graph_matmul(graph, x, weight, false, true);
  const cohort_adapter *adapter = inputs->adapter;
  if (!cohort_adapter_takes(adapter, layer)) return y;
  const int64_t in = cohort_shape_columns(cohort_graph_shape(graph, x));
  const int64_t out = cohort_shape_columns(cohort_graph_shape(graph, y));
  const cohort_value a = cohort_graph_parameter(graph, adapter->space, "lora_a", COHORT_SHAPE(adapter->rank, in),
                                                COHORT_ROLE_MATRIX, COHORT_INITIAL_UNIFORM, 1 / sqrt((double)in));
  const cohort_value b = cohort_graph_parameter(graph, adapter->space, "lora_b", COHORT_SHAPE(out, adapter->rank),
                                                COHORT_ROLE_MATRIX, COHORT_INITIAL_ZERO, 0);
  const cohort_value read = cohort_layer_dropout(graph, "lora_dropout", x, inputs, adapter->dropout);
  const cohort_value narrow =
      cohort_graph_scale(graph, cohort_graph_matmul(graph, read, a, false, true), adapter->scale);
  const cohort_value sum = cohort_graph_add(graph, y, cohort_graph_matmul(graph, narrow, b, false, true));
  if (!adapter->magnitude) return sum;
  return cohort_graph_multiply(graph, sum, cohort_layer_magnitude(graph, adapter, weight, a, b));
}

/* x [R, in] -> [R, out], with a bias. */
static inline cohort_value cohort_layer_dense(cohort_graph *graph, const char *name, const cohort_model_inputs *inputs,
                                              cohort_value x, int64_t out, cohort_role role) {
  const int space = inputs->space;
  const int64_t in = cohort_shape_columns(cohort_graph_shape(graph, x));
  const double bound = 1 / sqrt((double)in);
  cohort_graph_enter(graph, "%s", name);
  const cohort_value weight =
      cohort_graph_parameter(graph, space, "weight", COHORT_SHAPE(out, in), role, COHORT_INITIAL_UNIFORM, bound);
  const cohort_value bias = cohort_graph_parameter(graph, space, "bias", COHORT_SHAPE(out), COHORT_ROLE_VECTOR,
                                                   COHORT_INITIAL_UNIFORM, bound);
  const cohort_value product = role == COHORT_ROLE_MATRIX ? cohort_layer_product(graph, inputs, name, x, weight)
                                                          : cohort_graph_matmul(graph, x, weight, false, true);
  const cohort_value y = cohort_graph_add(graph, product, bias);
  cohort_graph_leave(graph);
  return y;
}

/* x [N, H, W, C] -> [N, OH, OW, out] by a square window. */
static inline cohort_value cohort_layer_convolution(cohort_graph *graph, const char *name, int space, cohort_value x,
                                                    int64_t out, int window, int stride, int padding, bool has_bias) {
  const int64_t in = cohort_shape_columns(cohort_graph_shape(graph, x));
  const double bound = 1 / sqrt((double)(in * window * window));
  cohort_graph_enter(graph, "%s", name);
  const cohort_value weight = cohort_graph_parameter(graph, space, "weight", COHORT_SHAPE(out, window, window, in),
                                                     COHORT_ROLE_KERNEL, COHORT_INITIAL_UNIFORM, bound);
  cohort_value y = cohort_graph_convolution(graph, x, weight, stride, padding);
  if (has_bias) {
    const cohort_value bias = cohort_graph_parameter(graph, space, "bias", COHORT_SHAPE(out), COHORT_ROLE_VECTOR,
                                                     COHORT_INITIAL_UNIFORM, bound);
    y = cohort_graph_add(graph, y, bias);
  }
  cohort_graph_leave(graph);
  return y;
}

/* Samples of any shape as rows: [R, features]. */
static inline cohort_value cohort_layer_flatten(cohort_graph *graph, cohort_value x) {
  const cohort_shape shape = cohort_graph_shape(graph, x);
  const int64_t rows = shape.axes ? shape.size[0] : 1;
  const int64_t features = rows ? cohort_shape_elements(shape) / rows : 0;
  return cohort_graph_reshape(graph, x, COHORT_SHAPE(rows, features));
}

/* Rows and the further inputs of the data side by side. */
static inline cohort_value cohort_layer_join(cohort_graph *graph, cohort_value x, const cohort_model_data *data,
                                             const cohort_model_inputs *inputs) {
  cohort_value parts[2] = {x};
  for (int i = 0; i < data->inputs; i++) {
    parts[1] = inputs->further[i];
    parts[0] = cohort_graph_concat(graph, 1, 2, parts);
  }
  return parts[0];
}

/* All heads on x [R, hidden]. */
static inline cohort_model_outputs cohort_layer_heads(cohort_graph *graph, cohort_value x,
                                                      const cohort_model_data *data,
                                                      const cohort_model_inputs *inputs) {
  cohort_model_outputs out = {
      .embedding = x, .hidden = COHORT_NO_VALUE, .scalar = COHORT_NO_VALUE, .head = COHORT_NO_VALUE};
  out.logits = cohort_layer_dense(graph, "head", inputs, x, data->outputs, COHORT_ROLE_HEAD);
  for (int h = 0; h < data->heads; h++) {
    char name[64];
    (void)snprintf(name, sizeof name, "head_%s", data->head[h].name);
    out.further[h] = cohort_layer_dense(graph, name, inputs, x, data->head[h].width, COHORT_ROLE_HEAD);
  }
  return out;
}

/* Ioffe and Szegedy, 2015: every channel (the last axis) with mean 0 and variance 1 over the batch, all lanes of it,
 * rows of weight 0 left out; then a gain and a bias. Keeps a running mean and variance (momentum 0.1, the variance's
 * unbiased form, as torch.nn.BatchNorm), with which an evaluation normalises. Costs two exchanges of a number a
 * channel, and two backward. */
static inline cohort_value cohort_layer_batch_norm(cohort_graph *graph, const char *name, cohort_value x,
                                                   const cohort_model_inputs *inputs) {
  static const double epsilon = 1e-5, momentum = 0.1;
  const cohort_shape shape = cohort_graph_shape(graph, x);
  const int64_t channels = cohort_shape_columns(shape), places = cohort_shape_rows(shape) / shape.size[0];
  const cohort_shape vector = COHORT_SHAPE(channels);
  cohort_graph_enter(graph, "%s", name);
  const cohort_value gain =
      cohort_graph_parameter(graph, inputs->space, "gain", vector, COHORT_ROLE_GAIN, COHORT_INITIAL_ONE, 0);
  const cohort_value bias =
      cohort_graph_parameter(graph, inputs->space, "bias", vector, COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
  cohort_value mean = cohort_graph_state(graph, "mean", vector, 0);
  cohort_value variance = cohort_graph_state(graph, "variance", vector, 1);
  if (inputs->training) {
    const cohort_value before[2] = {mean, variance};
    cohort_shape each = {.axes = shape.axes, .size = {shape.size[0], 1, 1, 1}};
    for (int a = 1; a < shape.axes; a++) each.size[a] = 1;
    const unsigned all = (1u << (shape.axes - 1)) - 1;
    const cohort_value one = cohort_graph_constant(graph, 1);
    const cohort_value weight = inputs->weight == COHORT_NO_VALUE ? cohort_graph_broadcast(graph, one, each)
                                                                  : cohort_graph_reshape(graph, inputs->weight, each);
    const cohort_value rows = cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, weight));
    const cohort_value count = cohort_graph_scale(graph, rows, (double)places);
    const cohort_value sum = cohort_graph_lane_sum(
        graph,
        cohort_graph_reshape(graph, cohort_graph_sum(graph, cohort_graph_multiply(graph, x, weight), all), vector));
    mean = cohort_graph_divide(graph, sum, count);
    const cohort_value off = cohort_graph_subtract(graph, x, mean);
    const cohort_value square = cohort_graph_multiply(graph, cohort_graph_multiply(graph, off, off), weight);
    const cohort_value squares =
        cohort_graph_lane_sum(graph, cohort_graph_reshape(graph, cohort_graph_sum(graph, square, all), vector));
    variance = cohort_graph_divide(graph, squares, count);
    const cohort_value others =
        cohort_graph_binary(graph, COHORT_OP_MAXIMUM, cohort_graph_shift(graph, count, -1), one);
    const cohort_value found[2] = {mean, cohort_graph_divide(graph, squares, others)};
    for (int i = 0; i < 2; i++)
      cohort_graph_set_next(graph, before[i],
                            cohort_graph_add(graph, cohort_graph_scale(graph, before[i], 1 - momentum),
                                             cohort_graph_scale(graph, found[i], momentum)));
  }
  const cohort_value rstd =
      cohort_graph_unary(graph, COHORT_OP_RECIPROCAL_ROOT, cohort_graph_shift(graph, variance, epsilon));
  const cohort_value normal = cohort_graph_multiply(graph, cohort_graph_subtract(graph, x, mean), rstd);
  const cohort_value y = cohort_graph_add(graph, cohort_graph_multiply(graph, normal, gain), bias);
  cohort_graph_leave(graph);
  return y;
}

#endif
