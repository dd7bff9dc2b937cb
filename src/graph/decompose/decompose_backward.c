/* Fused backward operations as small ones: the forward's definition is built once more over the same inputs, and its
 * derivative taken. So a graph that holds gradients already (a search inside a loss, a penalty on a gradient)
 * decomposes like any other. Costs the forward's small operations and theirs backward. */
#include "graph/decompose/decompose_fused.h"
#include "graph/gradient.h"

enum { MOST = 4 };

/* Which inputs of a backward operation are the forward's, where the cotangents of its outputs stand (-1: it has none),
 * and how many of the inputs get a derivative. */
typedef struct backward_form {
  cohort_op forward;
  int inputs; /* of the forward, the first ones; a norm's bias is left out */
  int cotangent[MOST];
  int derivatives;
  bool bias; /* the forward's last input, which its derivative does not read */
} backward_form;

static const backward_form *form_of(cohort_op op) {
  static const backward_form forms[COHORT_OP_COUNT] = {
      [COHORT_OP_GELU_BACKWARD] = {COHORT_OP_GELU, 1, {1, -1, -1, -1}, 1, false},
      [COHORT_OP_SWIGLU_BACKWARD] = {COHORT_OP_SWIGLU, 2, {2, -1, -1, -1}, 2, false},
      [COHORT_OP_RELU_BACKWARD] = {COHORT_OP_RELU, 1, {1, -1, -1, -1}, 1, false},
      [COHORT_OP_LAYER_NORM_BACKWARD] = {COHORT_OP_LAYER_NORM, 2, {4, -1, -1, -1}, 3, true},
      [COHORT_OP_RMS_NORM_BACKWARD] = {COHORT_OP_RMS_NORM, 2, {3, -1, -1, -1}, 2, false},
      [COHORT_OP_GROUP_NORM_BACKWARD] = {COHORT_OP_GROUP_NORM, 2, {4, -1, -1, -1}, 3, true},
      [COHORT_OP_ATTENTION_BACKWARD] = {COHORT_OP_ATTENTION, 4, {6, -1, -1, -1}, 3, false},
      [COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD] = {COHORT_OP_SOFTMAX_CROSS_ENTROPY, 2, {3, -1, -1, -1}, 1, false},
      [COHORT_OP_VOCABULARY_HEAD_BACKWARD] = {COHORT_OP_VOCABULARY_HEAD, 3, {5, -1, 6, 7}, 2, false},
      [COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD] = {COHORT_OP_VOCABULARY_DIVERGENCE, 4, {6, -1, -1, -1}, 2, false},
  };
  return forms[op].derivatives ? &forms[op] : NULL;
}

bool cohort_decompose_backward(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                               cohort_value *output) {
  const backward_form *form = form_of(node->op);
  if (!form) return false;
  cohort_node forward = {.op = form->forward, .inputs = form->inputs + form->bias, .attributes = node->attributes};
  if (form->forward == COHORT_OP_GROUP_NORM) forward.attributes.integers[1] = 0; /* its relu is an operation apart */
  /* Views: what comes before the inputs is none of the derivative's. */
  cohort_value in[MOST], y[COHORT_MAX_OUTPUTS];
  for (int i = 0; i < form->inputs; i++)
    in[i] = i < form->derivatives || cohort_graph_type(graph, input[i]) == COHORT_TYPE_REAL
                ? cohort_graph_reshape(graph, input[i], cohort_graph_shape(graph, input[i]))
                : input[i];
  if (form->bias)
    in[form->inputs] =
        cohort_graph_broadcast(graph, cohort_graph_constant(graph, 0), cohort_graph_shape(graph, input[1]));
  if (!cohort_decompose_node(graph, &forward, in, y)) return false;
  cohort_value sum = COHORT_NO_VALUE;
  for (int i = 0; i < MOST; i++) {
    if (form->cotangent[i] < 0) continue;
    const cohort_value term =
        cohort_graph_sum_all(graph, cohort_graph_multiply(graph, y[i], input[form->cotangent[i]]));
    sum = sum == COHORT_NO_VALUE ? term : cohort_graph_add(graph, sum, term);
  }
  cohort_graph_gradient(graph, sum, COHORT_NO_VALUE, form->derivatives, in, output);
  return true;
}
