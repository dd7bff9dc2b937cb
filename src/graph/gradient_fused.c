/* Derivatives of the fused operations, by their fused backward, and of dropout. The backward operations that are not
 * linear have no derivative of their own. */
#include "graph/gradient_rule.h"

/* Adds the backward operation; the first of its outputs. */
static cohort_value backward(cohort_rule *rule, cohort_op op, int inputs, const cohort_value *input) {
  return cohort_graph_add_node(rule->graph, op, inputs, input, &rule->node.attributes);
}

static void give_outputs(cohort_rule *rule, int count, cohort_value first) {
  for (int i = 0; i < count && first != COHORT_NO_VALUE; i++) rule->dx[i] = first + i;
}

/* True when only the first `count` outputs are differentiated. */
static bool only_first(cohort_rule *rule, int count) {
  for (int i = count; i < rule->node.outputs; i++)
    if (rule->dy[i] != COHORT_NO_VALUE) {
      cohort_graph_fault(
          rule->graph, rule->node.name,
          "its output %d has no derivative in the fused form; decompose the graph before differentiating", i);
      return false;
    }
  return rule->dy[0] != COHORT_NO_VALUE;
}

static void gelu(cohort_rule *rule) {
  rule->dx[0] = backward(rule, COHORT_OP_GELU_BACKWARD, 2, (cohort_value[]){rule->node.input[0], rule->dy[0]});
}

static void relu(cohort_rule *rule) {
  rule->dx[0] = backward(rule, COHORT_OP_RELU_BACKWARD, 2, (cohort_value[]){rule->node.input[0], rule->dy[0]});
}

/* Linear in dy, and flat in x. */
static void relu_backward(cohort_rule *rule) {
  rule->dx[1] = backward(rule, COHORT_OP_RELU_BACKWARD, 2, (cohort_value[]){rule->node.input[0], rule->dy[0]});
}

static void swiglu(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  give_outputs(rule, 2, backward(rule, COHORT_OP_SWIGLU_BACKWARD, 3, (cohort_value[]){x[0], x[1], rule->dy[0]}));
}

static void layer_norm(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (only_first(rule, 1))
    give_outputs(rule, 3,
                 backward(rule, COHORT_OP_LAYER_NORM_BACKWARD, 5,
                          (cohort_value[]){x[0], x[1], rule->y[1], rule->y[2], rule->dy[0]}));
}

/* Where it ends in a relu, that is positive where what it took is. */
static void group_norm(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (!only_first(rule, 1)) return;
  cohort_value dy = rule->dy[0];
  if (rule->node.attributes.integers[1])
    dy = backward(rule, COHORT_OP_RELU_BACKWARD, 2, (cohort_value[]){rule->y[0], dy});
  give_outputs(
      rule, 3,
      backward(rule, COHORT_OP_GROUP_NORM_BACKWARD, 5, (cohort_value[]){x[0], x[1], rule->y[1], rule->y[2], dy}));
  if (rule->node.inputs == 4) rule->dx[3] = dy;
}

static void rms_norm(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (only_first(rule, 1))
    give_outputs(rule, 2,
                 backward(rule, COHORT_OP_RMS_NORM_BACKWARD, 4, (cohort_value[]){x[0], x[1], rule->y[1], rule->dy[0]}));
}

/* A rotation: its transpose turns back. */
static void rotary(cohort_rule *rule) {
  cohort_attributes attributes = rule->node.attributes;
  attributes.integers[0] = !attributes.integers[0];
  rule->dx[0] = cohort_graph_add_node(rule->graph, COHORT_OP_ROTARY, 2,
                                      (cohort_value[]){rule->dy[0], rule->node.input[1]}, &attributes);
}

/* The same draws, by the key in the attributes. */
static void dropout(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  rule->dx[0] = backward(rule, COHORT_OP_DROPOUT, 3, (cohort_value[]){rule->dy[0], x[1], x[2]});
}

static void attention(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (only_first(rule, 1))
    give_outputs(rule, 3,
                 backward(rule, COHORT_OP_ATTENTION_BACKWARD, 7,
                          (cohort_value[]){x[0], x[1], x[2], x[3], rule->y[0], rule->y[1], rule->dy[0]}));
}

/* y and logsumexp are attention's own: what depends on them is in the result. */
static void attention_backward(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  cohort_value a[3];
  for (int i = 0; i < 3; i++) a[i] = cohort_rule_cotangent(rule, i);
  const cohort_value first = backward(rule, COHORT_OP_ATTENTION_SECOND, 9,
                                      (cohort_value[]){x[0], x[1], x[2], x[3], x[5], x[6], a[0], a[1], a[2]});
  give_outputs(rule, 3, first);
  if (first != COHORT_NO_VALUE) rule->dx[6] = first + 3;
}

static void cross_entropy(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (only_first(rule, 1))
    rule->dx[0] = backward(rule, COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD, 4,
                           (cohort_value[]){x[0], x[1], rule->y[1], rule->dy[0]});
}

static void vocabulary_head(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (rule->dy[1] != COHORT_NO_VALUE) {
    cohort_graph_fault(rule->graph, rule->node.name,
                       "its logsumexp has no derivative in the fused form; decompose the graph before differentiating");
    return;
  }
  const cohort_value d_log = cohort_rule_cotangent(rule, 0), d_mean = cohort_rule_cotangent(rule, 2);
  const cohort_value d_entropy = cohort_rule_cotangent(rule, 3);
  const cohort_value input[8] = {x[0], x[1], x[2], rule->y[1], rule->y[3], d_log, d_mean, d_entropy};
  const cohort_attributes attributes = {.integers = {!rule->wanted[1]}};
  give_outputs(rule, rule->wanted[1] ? 2 : 1,
               cohort_graph_add_node(rule->graph, COHORT_OP_VOCABULARY_HEAD_BACKWARD, 8, input, &attributes));
}

static void vocabulary_divergence(cohort_rule *rule) {
  const cohort_value *x = rule->node.input;
  if (!only_first(rule, 1)) return;
  const cohort_value input[7] = {x[0], x[1], x[2], x[3], rule->y[1], rule->y[2], rule->dy[0]};
  const cohort_attributes attributes = {.integers = {!rule->wanted[1]}};
  give_outputs(rule, rule->wanted[1] ? 2 : 1,
               cohort_graph_add_node(rule->graph, COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD, 7, input, &attributes));
}

static void none(cohort_rule *rule) {
  cohort_graph_fault(rule->graph, rule->node.name,
                     "%s has no derivative; decompose the graph before differentiating it twice",
                     cohort_op_name(rule->node.op));
}

cohort_rule_function cohort_rule_fused(cohort_op op) {
  switch (op) {
    case COHORT_OP_GELU:
      return gelu;
    case COHORT_OP_RELU:
      return relu;
    case COHORT_OP_RELU_BACKWARD:
      return relu_backward;
    case COHORT_OP_SWIGLU:
      return swiglu;
    case COHORT_OP_LAYER_NORM:
      return layer_norm;
    case COHORT_OP_GROUP_NORM:
      return group_norm;
    case COHORT_OP_RMS_NORM:
      return rms_norm;
    case COHORT_OP_ROTARY:
      return rotary;
    case COHORT_OP_DROPOUT:
      return dropout;
    case COHORT_OP_ATTENTION:
      return attention;
    case COHORT_OP_ATTENTION_BACKWARD:
      return attention_backward;
    case COHORT_OP_SOFTMAX_CROSS_ENTROPY:
      return cross_entropy;
    case COHORT_OP_VOCABULARY_HEAD:
      return vocabulary_head;
    case COHORT_OP_VOCABULARY_DIVERGENCE:
      return vocabulary_divergence;
    case COHORT_OP_GELU_BACKWARD:
    case COHORT_OP_SWIGLU_BACKWARD:
    case COHORT_OP_LAYER_NORM_BACKWARD:
    case COHORT_OP_RMS_NORM_BACKWARD:
    case COHORT_OP_GROUP_NORM_BACKWARD:
    case COHORT_OP_ATTENTION_CACHED:
    case COHORT_OP_ATTENTION_SECOND:
    case COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD:
    case COHORT_OP_VOCABULARY_HEAD_BACKWARD:
    case COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD:
      return none;
    default:
      return NULL;
  }
}
