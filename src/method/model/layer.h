/* Layers that several models share: each declares its parameters under the scope `name`, initialised as PyTorch does
 * (nn.Linear, nn.Conv2d: kaiming_uniform(a = sqrt 5) for the weight and the same bound for the bias, which is uniform
 * in
 * +-1/sqrt(fan in)), and applies itself. */
#ifndef COHORT_METHOD_MODEL_LAYER_H
#define COHORT_METHOD_MODEL_LAYER_H

#include <math.h>

#include "method/model/model.h"

/* x [R, in] -> [R, out], with a bias. */
static inline cohort_value cohort_layer_dense(cohort_graph *graph, const char *name, int space, cohort_value x,
                                              int64_t out, cohort_role role) {
  const int64_t in = cohort_shape_columns(cohort_graph_shape(graph, x));
  const double bound = 1 / sqrt((double)in);
  cohort_graph_enter(graph, "%s", name);
  const cohort_value weight =
      cohort_graph_parameter(graph, space, "weight", COHORT_SHAPE(out, in), role, COHORT_INITIAL_UNIFORM, bound);
  const cohort_value bias = cohort_graph_parameter(graph, space, "bias", COHORT_SHAPE(out), COHORT_ROLE_VECTOR,
                                                   COHORT_INITIAL_UNIFORM, bound);
  const cohort_value y = cohort_graph_add(graph, cohort_graph_matmul(graph, x, weight, false, true), bias);
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

/* Dropout in a scope of its own, so that every place draws other numbers; nothing when not training or p is 0. */
static inline cohort_value cohort_layer_dropout(cohort_graph *graph, const char *name, cohort_value x,
                                                const cohort_model_inputs *inputs, double p) {
  if (!inputs->training || p == 0) return x;
  cohort_graph_enter(graph, "%s", name);
  const cohort_value y = cohort_graph_dropout(graph, x, inputs->ids, inputs->positions, p);
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

#endif
