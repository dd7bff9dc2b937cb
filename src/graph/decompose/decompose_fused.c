/* Fused operations as small ones: activations, norms, rotary positions, dropout. Each gives the value of the fused form
 * up to rounding, and has all derivatives. A handful of nodes for each. */
#include "graph/decompose/decompose_fused.h"

#include <math.h>

static const double root_2_over_pi = 0.79788456080286535588, cubic = 0.044715, root_half = 0.70710678118654752440;

/* Hendrycks and Gimpel, 2016: x Phi(x), or its tanh form. */
static void gelu(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  const cohort_value x = input[0];
  cohort_value gate;
  if (node->attributes.integers[0]) {
    gate = cohort_graph_unary(graph, COHORT_OP_ERROR_FUNCTION, cohort_graph_scale(graph, x, root_half));
  } else {
    const cohort_value cube = cohort_graph_multiply(graph, x, cohort_graph_multiply(graph, x, x));
    const cohort_value inner = cohort_graph_add(graph, x, cohort_graph_scale(graph, cube, cubic));
    gate = cohort_graph_unary(graph, COHORT_OP_TANH, cohort_graph_scale(graph, inner, root_2_over_pi));
  }
  output[0] = cohort_graph_multiply(graph, cohort_graph_scale(graph, x, 0.5), cohort_graph_shift(graph, gate, 1));
}

static void swiglu(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  (void)node;
  const cohort_value gate =
      cohort_graph_multiply(graph, input[0], cohort_graph_unary(graph, COHORT_OP_SIGMOID, input[0]));
  output[0] = cohort_graph_multiply(graph, gate, input[1]);
}

static void relu(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  (void)node;
  output[0] = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, input[0], cohort_graph_constant(graph, 0));
}

/* The mean over the axes of `mask`, kept with size 1. */
static cohort_value mean_over(cohort_graph *graph, cohort_value x, unsigned mask) {
  const cohort_shape shape = cohort_graph_shape(graph, x);
  double count = 1;
  for (int axis = 0; axis < shape.axes; axis++)
    if (mask >> axis & 1) count *= (double)shape.size[axis];
  return cohort_graph_scale(graph, cohort_graph_sum(graph, x, mask), 1 / count);
}

/* 1 / sqrt(mean x^2 + epsilon) */
static cohort_value inverse_root(cohort_graph *graph, cohort_value x, unsigned mask, double epsilon) {
  const cohort_value variance = mean_over(graph, cohort_graph_multiply(graph, x, x), mask);
  return cohort_graph_unary(graph, COHORT_OP_RECIPROCAL_ROOT, cohort_graph_shift(graph, variance, epsilon));
}

/* Ba, Kiros and Hinton, 2016. */
static void layer_norm(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  const cohort_shape shape = cohort_graph_shape(graph, input[0]);
  const unsigned last = 1U << (shape.axes - 1);
  const cohort_value mean = mean_over(graph, input[0], last);
  const cohort_value centred = cohort_graph_subtract(graph, input[0], mean);
  const cohort_value rstd = inverse_root(graph, centred, last, node->attributes.reals[0]);
  const cohort_value normal = cohort_graph_multiply(graph, centred, rstd);
  const cohort_shape rows = COHORT_SHAPE(cohort_shape_rows(shape));
  output[0] = cohort_graph_add(graph, cohort_graph_multiply(graph, normal, input[1]), input[2]);
  output[1] = cohort_graph_reshape(graph, mean, rows);
  output[2] = cohort_graph_reshape(graph, rstd, rows);
}

/* Zhang and Sennrich, 2019. */
static void rms_norm(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  const cohort_shape shape = cohort_graph_shape(graph, input[0]);
  const cohort_value rstd = inverse_root(graph, input[0], 1U << (shape.axes - 1), node->attributes.reals[0]);
  output[0] = cohort_graph_multiply(graph, cohort_graph_multiply(graph, input[0], rstd), input[1]);
  output[1] = cohort_graph_reshape(graph, rstd, COHORT_SHAPE(cohort_shape_rows(shape)));
}

/* Wu and He, 2018: over the pixels and the channels of a group. */
static void group_norm(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  const cohort_shape shape = cohort_graph_shape(graph, input[0]);
  const int64_t images = shape.size[0], channels = shape.size[3], groups = node->attributes.integers[0];
  const cohort_shape cut = COHORT_SHAPE(images, shape.size[1] * shape.size[2], groups, channels / groups);
  const unsigned mask = 1U << 1 | 1U << 3;
  const cohort_value x = cohort_graph_reshape(graph, input[0], cut);
  const cohort_value mean = mean_over(graph, x, mask);
  const cohort_value centred = cohort_graph_subtract(graph, x, mean);
  const cohort_value rstd = inverse_root(graph, centred, mask, node->attributes.reals[0]);
  const cohort_value normal = cohort_graph_reshape(graph, cohort_graph_multiply(graph, centred, rstd), shape);
  output[0] = cohort_graph_add(graph, cohort_graph_multiply(graph, normal, input[1]), input[2]);
  if (node->inputs == 4) output[0] = cohort_graph_add(graph, output[0], input[3]);
  if (node->attributes.integers[1]) relu(graph, node, &output[0], &output[0]);
  output[1] = cohort_graph_reshape(graph, mean, COHORT_SHAPE(images, groups));
  output[2] = cohort_graph_reshape(graph, rstd, COHORT_SHAPE(images, groups));
}

/* Llama 3's mixture of a frequency and the same stretched (graph.h, cohort_rotary). */
static cohort_value scaled_frequency(cohort_graph *graph, cohort_value frequency, const cohort_attributes *own) {
  const double rest = 1 / own->reals[1], span = own->reals[3] - own->reals[2];
  const double turns = (double)own->integers[1] / 6.283185307179586476925;
  cohort_value share = cohort_graph_scale(graph, frequency, turns / span);
  share = cohort_graph_shift(graph, share, own->integers[1] ? -own->reals[2] / span : 0);
  share = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, share, cohort_graph_constant(graph, 0));
  share = cohort_graph_binary(graph, COHORT_OP_MINIMUM, share, cohort_graph_constant(graph, 1));
  const cohort_value mixed = cohort_graph_shift(graph, cohort_graph_scale(graph, share, 1 - rest), rest);
  return cohort_graph_multiply(graph, frequency, mixed);
}

/* Su et al., 2021: pairs (j, j + D/2) turned by position * theta^(-2j/D). */
static void rotary(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  const cohort_shape shape = cohort_graph_shape(graph, input[0]);
  const int64_t half = shape.size[2] / 2;
  const double direction = node->attributes.integers[0] ? -1 : 1;
  const cohort_value steps = cohort_graph_cast(graph, cohort_graph_iota(graph, half));
  const cohort_value powers = cohort_graph_scale(graph, steps, -log(node->attributes.reals[0]) / (double)half);
  cohort_value frequency = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, powers);
  if (node->attributes.reals[1] > 0) frequency = scaled_frequency(graph, frequency, &node->attributes);
  frequency = cohort_graph_scale(graph, frequency, direction);
  const cohort_value positions =
      cohort_graph_reshape(graph, cohort_graph_cast(graph, input[1]), COHORT_SHAPE(shape.size[0], 1, 1));
  const cohort_value angle = cohort_graph_multiply(graph, positions, frequency);
  const cohort_value cosine = cohort_graph_unary(graph, COHORT_OP_COSINE, angle);
  const cohort_value sine = cohort_graph_unary(graph, COHORT_OP_SINE, angle);
  const cohort_value a = cohort_graph_slice(graph, input[0], 2, 0, half),
                     b = cohort_graph_slice(graph, input[0], 2, half, half);
  const cohort_value turned[] = {
      cohort_graph_subtract(graph, cohort_graph_multiply(graph, a, cosine), cohort_graph_multiply(graph, b, sine)),
      cohort_graph_add(graph, cohort_graph_multiply(graph, b, cosine), cohort_graph_multiply(graph, a, sine))};
  output[0] = cohort_graph_concat(graph, 2, 2, turned);
}

/* The fused form's own draws: the same key. Uniforms are multiples of 2^-24, so p is rounded up to one, exactly. */
static void dropout(cohort_graph *graph, const cohort_node *node, const cohort_value *input, cohort_value *output) {
  const double p = node->attributes.reals[0];
  cohort_attributes attributes = {.integers = {node->attributes.integers[0]}};
  cohort_attributes_set_shape(&attributes, 1, cohort_graph_shape(graph, input[0]));
  const cohort_value uniform = cohort_graph_add_node(graph, COHORT_OP_RANDOM_UNIFORM, 2, input + 1, &attributes);
  const cohort_value kept =
      cohort_graph_less_equal(graph, cohort_graph_constant(graph, ceil(p * 0x1p24) * 0x1p-24), uniform);
  output[0] = cohort_graph_select(graph, kept, cohort_graph_scale(graph, input[0], 1 / (1 - p)),
                                  cohort_graph_constant(graph, 0));
}

bool cohort_decompose_node(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                           cohort_value *output) {
  typedef void (*definition)(cohort_graph *, const cohort_node *, const cohort_value *, cohort_value *);
  static const definition definitions[COHORT_OP_COUNT] = {
      [COHORT_OP_GELU] = gelu,
      [COHORT_OP_SWIGLU] = swiglu,
      [COHORT_OP_RELU] = relu,
      [COHORT_OP_LAYER_NORM] = layer_norm,
      [COHORT_OP_RMS_NORM] = rms_norm,
      [COHORT_OP_GROUP_NORM] = group_norm,
      [COHORT_OP_ROTARY] = rotary,
      [COHORT_OP_DROPOUT] = dropout,
      [COHORT_OP_ATTENTION] = cohort_decompose_attention,
      [COHORT_OP_SOFTMAX_CROSS_ENTROPY] = cohort_decompose_cross_entropy,
      [COHORT_OP_VOCABULARY_HEAD] = cohort_decompose_head,
      [COHORT_OP_VOCABULARY_DIVERGENCE] = cohort_decompose_divergence,
  };
  if (definitions[node->op]) {
    definitions[node->op](graph, node, input, output);
    return true;
  }
  if (node->op < COHORT_OP_GELU) return false;
  if (!cohort_decompose_backward(graph, node, input, output))
    cohort_graph_fault(graph, node->name, "%s cannot be decomposed", cohort_op_name(node->op));
  return true;
}
