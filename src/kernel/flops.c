/* FLOPs of operations that multiply matrices; everything else counts as none. They follow from shapes, so all ranks say
 * the same. */
#include "kernel/kernel.h"

/* A product's FLOPs: 2 M N K, from the output's elements and the length of the sum. */
static double matmul(const cohort_call *call) {
  const cohort_shape a = call->input[0].shape;
  const int64_t k = call->attributes.integers[0] ? a.size[a.axes - 2] : a.size[a.axes - 1];
  return 2.0 * (double)cohort_shape_elements(call->output[0].shape) * (double)k;
}

/* All three convolutions multiply every output position with every weight. */
static double convolution(const cohort_shape y, const cohort_shape weight) {
  return 2.0 * (double)(y.size[0] * y.size[1] * y.size[2]) * (double)cohort_shape_elements(weight);
}

/* Rows of the input `at` times the weight that follows it. */
static double head(const cohort_call *call, int at) {
  const cohort_shape weight = call->input[at + 1].shape;
  return 2.0 * (double)cohort_shape_rows(call->input[at].shape) * (double)cohort_shape_elements(weight);
}

/* Every query times the keys that it reads, and as many values by what comes of it. Segments decide how many, which
 * shapes do not show: r1 is the mean over all rows, padding included (0: not known, and nothing is counted). */
static double attention(const cohort_call *call) {
  return 2 * 2.0 * (double)cohort_shape_elements(call->input[0].shape) * call->attributes.reals[1];
}

double cohort_op_flops(cohort_op op, const cohort_call *call) {
  switch (op) {
    case COHORT_OP_MATMUL:
      return matmul(call);
    case COHORT_OP_CONVOLUTION:
      return convolution(call->output[0].shape, call->input[1].shape);
    case COHORT_OP_CONVOLUTION_INPUT:
      return convolution(call->input[0].shape, call->input[1].shape);
    case COHORT_OP_CONVOLUTION_WEIGHT:
      return convolution(call->input[1].shape, call->output[0].shape);
    case COHORT_OP_VOCABULARY_HEAD:
      return head(call, 0);
    /* The logits again, then the gradients. */
    case COHORT_OP_VOCABULARY_HEAD_BACKWARD:
      return (1 + call->outputs) * head(call, 0);
    /* Both logits; backward both again, then the gradients of one. */
    case COHORT_OP_VOCABULARY_DIVERGENCE:
      return head(call, 0) + head(call, 2);
    case COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD:
      return (1 + call->outputs) * head(call, 0) + head(call, 2);
    case COHORT_OP_ATTENTION:
      return attention(call);
    /* The scores again, then the gradients of queries, keys, values and probabilities: five products for two. */
    case COHORT_OP_ATTENTION_BACKWARD:
      return 2.5 * attention(call);
    /* Scores and the three other inner products of a pair, twice, then seven results (attention_second.c). */
    case COHORT_OP_ATTENTION_SECOND:
      return 8.5 * attention(call);
    default:
      return 0;
  }
}
