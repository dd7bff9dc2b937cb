/* Shapes of the fused operations. */
#include <stdio.h>
#include <string.h>

#include "graph/node.h"

typedef cohort_inference infer;

static bool give(infer *own, cohort_shape shape) {
  own->out[own->outputs] = shape;
  own->out_type[own->outputs++] = COHORT_TYPE_REAL;
  return true;
}

/* Inputs by a text, one letter each ('r' real, 'i' integer), and `holds`; the fault lists all shapes and the rule. */
static bool fits(infer *own, const char *types, const char *rule, bool holds) {
  bool right = own->inputs == (int)strlen(types);
  for (int i = 0; right && i < own->inputs; i++)
    right = own->in_type[i] == (types[i] == 'i' ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL);
  if (right && holds) return true;
  size_t length = (size_t)snprintf(own->fault, sizeof own->fault, "inputs");
  for (int i = 0; i < own->inputs && length < sizeof own->fault; i++) {
    char text[COHORT_SHAPE_TEXT];
    length +=
        (size_t)snprintf(own->fault + length, sizeof own->fault - length, "%s %s%s", i ? "," : "",
                         own->in_type[i] == COHORT_TYPE_INTEGER ? "integer " : "", cohort_shape_text(own->in[i], text));
  }
  if (length < sizeof own->fault)
    (void)snprintf(own->fault + length, sizeof own->fault - length, " do not fit; it takes %s", rule);
  return false;
}

static bool is_vector(cohort_shape shape, int64_t size) { return shape.axes == 1 && shape.size[0] == size; }
static cohort_shape vector(int64_t size) { return (cohort_shape){.axes = 1, .size = {size}}; }
static bool same(const infer *own, int a, int b) { return cohort_shape_equal(own->in[a], own->in[b]); }

static bool infer_elementwise(infer *own, int inputs, int outputs, const char *rule) {
  bool holds = true;
  for (int i = 1; i < own->inputs; i++) holds = holds && same(own, 0, i);
  if (!fits(own, &"rrr"[3 - inputs], rule, holds)) return false;
  for (int i = 0; i < outputs; i++) give(own, own->in[0]);
  return true;
}

static bool infer_norm(infer *own, bool centred) {
  const cohort_shape x = own->in[0];
  const int64_t columns = cohort_shape_columns(x);
  const bool holds =
      x.axes >= 1 && columns > 0 && is_vector(own->in[1], columns) && (!centred || is_vector(own->in[2], columns));
  if (!fits(own, centred ? "rrr" : "rr", centred ? "x [..., C], gain [C], bias [C]" : "x [..., C], gain [C]", holds))
    return false;
  give(own, x);
  for (int i = 0; i < (centred ? 2 : 1); i++) give(own, vector(cohort_shape_rows(x)));
  return true;
}

static bool infer_norm_backward(infer *own, bool centred) {
  const int64_t columns = cohort_shape_columns(own->in[0]);
  const int last = centred ? 4 : 3;
  if (!fits(own, centred ? "rrrrr" : "rrrr", "what the norm took and gave",
            own->in[0].axes >= 1 && is_vector(own->in[1], columns) && same(own, 0, last)))
    return false;
  give(own, own->in[0]);
  for (int i = 0; i < (centred ? 2 : 1); i++) give(own, vector(columns));
  return true;
}

static bool infer_group_norm(infer *own) {
  const cohort_shape x = own->in[0];
  const int64_t groups = own->attributes->integers[0];
  const bool holds = x.axes == 4 && groups > 0 && x.size[3] % groups == 0 && is_vector(own->in[1], x.size[3]) &&
                     is_vector(own->in[2], x.size[3]);
  const bool adds = own->attributes->integers[1] && own->inputs == 4;
  if (!fits(own, adds ? "rrrr" : "rrr", "x [N, H, W, C], gain [C], bias [C], and groups that divide C",
            holds && (!adds || same(own, 0, 3))))
    return false;
  give(own, x);
  for (int i = 0; i < 2; i++) give(own, COHORT_SHAPE(x.size[0], groups));
  return true;
}

static bool infer_group_norm_backward(infer *own) {
  if (!fits(own, "rrrrr", "what the norm took and gave", own->in[0].axes == 4 && same(own, 0, 4))) return false;
  give(own, own->in[0]);
  for (int i = 0; i < 2; i++) give(own, vector(own->in[0].size[3]));
  return true;
}

static bool infer_rotary(infer *own) {
  const cohort_shape x = own->in[0];
  const bool holds = x.axes == 3 && x.size[2] % 2 == 0 && is_vector(own->in[1], x.size[0]);
  return fits(own, "ri", "x [R, heads, D] with an even D, integer positions [R]", holds) && give(own, x);
}

static bool attention_holds(const infer *own) {
  const cohort_shape q = own->in[0], k = own->in[1];
  return q.axes == 3 && k.axes == 3 && same(own, 1, 2) && q.size[0] == k.size[0] && q.size[2] == k.size[2] &&
         k.size[1] > 0 && q.size[1] % k.size[1] == 0 &&
         (is_vector(own->in[3], q.size[0]) || cohort_shape_equal(own->in[3], COHORT_SHAPE(q.size[0], 3)));
}

static bool infer_attention(infer *own) {
  if (!fits(own, "rrri",
            "query [R, H, D], key and value [R, G, D] with G that divides H, integer segments [R] or [R, 3]",
            attention_holds(own)))
    return false;
  give(own, own->in[0]);
  return give(own, COHORT_SHAPE(own->in[0].size[0], own->in[0].size[1]));
}

static bool infer_attention_cached(infer *own) {
  const cohort_shape q = own->in[0], k = own->in[1], keys = own->in[5], values = own->in[6];
  const bool holds = q.axes == 3 && k.axes == 3 && same(own, 1, 2) && q.size[0] == k.size[0] &&
                     q.size[2] == k.size[2] && k.size[1] > 0 && q.size[1] % k.size[1] == 0 &&
                     is_vector(own->in[3], q.size[0]) && is_vector(own->in[4], q.size[0]) && keys.axes == 5 &&
                     keys.size[1] == k.size[1] && keys.size[3] == q.size[2] && keys.size[4] == COHORT_CACHE_BLOCK &&
                     cohort_shape_equal(values, COHORT_SHAPE(keys.size[0], keys.size[1],
                                                             COHORT_CACHE_BLOCK * keys.size[2], keys.size[3]));
  return fits(own, "rrriirr",
              "query [R, H, D], key and value [R, G, D] with G that divides H, integer slots [R] and positions [R], "
              "keys "
              "[S, G, B, D, 64], values [S, G, 64 B, D]",
              holds) &&
         give(own, q);
}

static bool infer_attention_backward(infer *own) {
  if (!fits(own, "rrrirrr", "what attention took and gave, and dy",
            attention_holds(own) && same(own, 0, 4) && same(own, 0, 6)))
    return false;
  for (int i = 0; i < 3; i++) give(own, own->in[i]);
  return true;
}

static bool infer_attention_second(infer *own) {
  if (!fits(own, "rrrirrrrr", "what attention took, its logsumexp, dy, and what is like q, k and v",
            attention_holds(own) && same(own, 0, 5) && same(own, 0, 6) && same(own, 1, 7) && same(own, 2, 8)))
    return false;
  for (int i = 0; i < 3; i++) give(own, own->in[i]);
  return give(own, own->in[5]);
}

static bool infer_cross_entropy(infer *own) {
  const cohort_shape logits = own->in[0];
  const double smoothing = own->attributes->reals[0];
  const bool holds = logits.axes == 2 && logits.size[1] > 0 && is_vector(own->in[1], logits.size[0]) &&
                     smoothing >= 0 && smoothing <= 1;
  if (!fits(own, "ri", "logits [R, C], integer target [R], and label smoothing in [0, 1]", holds)) return false;
  give(own, vector(logits.size[0]));
  return give(own, vector(logits.size[0]));
}

static bool infer_cross_entropy_backward(infer *own) {
  const int64_t rows = own->in[0].size[0];
  const bool holds =
      own->in[0].axes == 2 && is_vector(own->in[1], rows) && is_vector(own->in[2], rows) && is_vector(own->in[3], rows);
  return fits(own, "rirr", "logits [R, C], target [R], logsumexp [R], dloss [R]", holds) && give(own, own->in[0]);
}

static bool head_holds(const infer *own) {
  const cohort_shape x = own->in[0], weight = own->in[1];
  return x.axes == 2 && weight.axes == 2 && x.size[1] == weight.size[1] && weight.size[0] > 0 &&
         is_vector(own->in[2], x.size[0]);
}

static bool infer_head(infer *own) {
  if (!fits(own, "rri", "x [R, D], weight [V, D], integer target [R]", head_holds(own))) return false;
  for (int i = 0; i < 4; i++) give(own, vector(own->in[0].size[0]));
  return true;
}

static bool infer_head_backward(infer *own) {
  bool holds = head_holds(own);
  for (int i = 3; i < own->inputs; i++) holds = holds && is_vector(own->in[i], own->in[0].size[0]);
  if (!fits(own, "rrirrrrr", "what the head took and gave, and three gradients [R]", holds)) return false;
  const bool gave = give(own, own->in[0]);
  return own->attributes->integers[0] ? gave : give(own, own->in[1]);
}

static bool is_head(const cohort_inference *own, int at) {
  const cohort_shape *x = &own->in[at], *weight = &own->in[at + 1];
  return x->axes == 2 && weight->axes == 2 && x->size[1] == weight->size[1];
}

static bool divergence_holds(const cohort_inference *own) {
  return own->inputs >= 4 && is_head(own, 0) && is_head(own, 2) && own->in[0].size[0] == own->in[2].size[0] &&
         own->in[1].size[0] == own->in[3].size[0];
}

static bool infer_divergence(infer *own) {
  if (!fits(own, "rrrr", "x [R, D], weight [V, D], and the same of another model", divergence_holds(own))) return false;
  for (int i = 0; i < 3; i++) give(own, vector(own->in[0].size[0]));
  return true;
}

static bool infer_divergence_backward(infer *own) {
  bool holds = divergence_holds(own);
  for (int i = 4; i < own->inputs; i++) holds = holds && is_vector(own->in[i], own->in[0].size[0]);
  if (!fits(own, "rrrrrrr", "what the divergence took and gave, and its gradient [R]", holds)) return false;
  const bool gave = give(own, own->in[0]);
  return own->attributes->integers[0] ? gave : give(own, own->in[1]);
}

bool cohort_infer_fused(cohort_inference *own) {
  switch (own->op) {
    case COHORT_OP_GELU:
    case COHORT_OP_RELU:
      return infer_elementwise(own, 1, 1, "one real input");
    case COHORT_OP_GELU_BACKWARD:
    case COHORT_OP_RELU_BACKWARD:
    case COHORT_OP_SWIGLU:
      return infer_elementwise(own, 2, 1, "two real inputs of one shape");
    case COHORT_OP_SWIGLU_BACKWARD:
      return infer_elementwise(own, 3, 2, "three real inputs of one shape");
    case COHORT_OP_LAYER_NORM:
      return infer_norm(own, true);
    case COHORT_OP_RMS_NORM:
      return infer_norm(own, false);
    case COHORT_OP_LAYER_NORM_BACKWARD:
      return infer_norm_backward(own, true);
    case COHORT_OP_RMS_NORM_BACKWARD:
      return infer_norm_backward(own, false);
    case COHORT_OP_GROUP_NORM:
      return infer_group_norm(own);
    case COHORT_OP_GROUP_NORM_BACKWARD:
      return infer_group_norm_backward(own);
    case COHORT_OP_ROTARY:
      return infer_rotary(own);
    case COHORT_OP_ATTENTION:
      return infer_attention(own);
    case COHORT_OP_ATTENTION_CACHED:
      return infer_attention_cached(own);
    case COHORT_OP_ATTENTION_BACKWARD:
      return infer_attention_backward(own);
    case COHORT_OP_ATTENTION_SECOND:
      return infer_attention_second(own);
    case COHORT_OP_SOFTMAX_CROSS_ENTROPY:
      return infer_cross_entropy(own);
    case COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD:
      return infer_cross_entropy_backward(own);
    case COHORT_OP_VOCABULARY_HEAD:
      return infer_head(own);
    case COHORT_OP_VOCABULARY_HEAD_BACKWARD:
      return infer_head_backward(own);
    case COHORT_OP_VOCABULARY_DIVERGENCE:
      return infer_divergence(own);
    case COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD:
      return infer_divergence_backward(own);
    default:
      (void)snprintf(own->fault, sizeof own->fault, "operation %d is unknown; use one of kernel/operation.h",
                     (int)own->op);
      return false;
  }
}
