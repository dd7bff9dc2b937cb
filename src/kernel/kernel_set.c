/* One variant's table of kernels, made by the preprocessor from two lists. An operation is in exactly one list; what is
 * in neither has no kernel, and a plan that needs it is refused. */
#include "base/real.h"
#include "kernel/kernel.h"
#include "kernel/product/product_real.h"

/* Every operation that has a kernel and makes no product: (name, NAME, its workspace: WANTS or NONE). */
#define OPERATIONS(ONE)                                                     \
  ONE(negate, NEGATE, NONE)                                                 \
  ONE(absolute, ABSOLUTE, NONE)                                             \
  ONE(sign, SIGN, NONE)                                                     \
  ONE(exponential, EXPONENTIAL, NONE)                                       \
  ONE(log, LOG, NONE)                                                       \
  ONE(log1p, LOG1P, NONE)                                                   \
  ONE(expm1, EXPM1, NONE)                                                   \
  ONE(square_root, SQUARE_ROOT, NONE)                                       \
  ONE(reciprocal_root, RECIPROCAL_ROOT, NONE)                               \
  ONE(sine, SINE, NONE)                                                     \
  ONE(cosine, COSINE, NONE)                                                 \
  ONE(tanh, TANH, NONE)                                                     \
  ONE(sigmoid, SIGMOID, NONE)                                               \
  ONE(softplus, SOFTPLUS, NONE)                                             \
  ONE(error_function, ERROR_FUNCTION, NONE)                                 \
  ONE(round, ROUND, NONE)                                                   \
  ONE(cast, CAST, NONE)                                                     \
  ONE(add, ADD, NONE)                                                       \
  ONE(subtract, SUBTRACT, NONE)                                             \
  ONE(multiply, MULTIPLY, NONE)                                             \
  ONE(divide, DIVIDE, NONE)                                                 \
  ONE(power, POWER, NONE)                                                   \
  ONE(minimum, MINIMUM, NONE)                                               \
  ONE(maximum, MAXIMUM, NONE)                                               \
  ONE(compare, COMPARE, NONE)                                               \
  ONE(select, SELECT, NONE)                                                 \
  ONE(permute, PERMUTE, NONE)                                               \
  ONE(broadcast, BROADCAST, NONE)                                           \
  ONE(slice, SLICE, NONE)                                                   \
  ONE(pad, PAD, NONE)                                                       \
  ONE(concat, CONCAT, NONE)                                                 \
  ONE(flip, FLIP, NONE)                                                     \
  ONE(sum, SUM, WANTS)                                                      \
  ONE(max, MAX, WANTS)                                                      \
  ONE(argmax, ARGMAX, NONE)                                                 \
  ONE(argsort, ARGSORT, WANTS)                                              \
  ONE(logsumexp, LOGSUMEXP, NONE)                                           \
  ONE(cumsum, CUMSUM, NONE)                                                 \
  ONE(gather, GATHER, NONE)                                                 \
  ONE(scatter_add, SCATTER_ADD, NONE)                                       \
  ONE(take_along, TAKE_ALONG, NONE)                                         \
  ONE(put_along, PUT_ALONG, NONE)                                           \
  ONE(window_max, WINDOW_MAX, NONE)                                         \
  ONE(window_take, WINDOW_TAKE, NONE)                                       \
  ONE(window_put, WINDOW_PUT, NONE)                                         \
  ONE(random_uniform, RANDOM_UNIFORM, NONE)                                 \
  ONE(random_normal, RANDOM_NORMAL, NONE)                                   \
  ONE(dropout, DROPOUT, NONE)                                               \
  ONE(segment_sum, SEGMENT_SUM, NONE)                                       \
  ONE(gelu, GELU, NONE)                                                     \
  ONE(gelu_backward, GELU_BACKWARD, NONE)                                   \
  ONE(swiglu, SWIGLU, NONE)                                                 \
  ONE(swiglu_backward, SWIGLU_BACKWARD, NONE)                               \
  ONE(relu, RELU, NONE)                                                     \
  ONE(relu_backward, RELU_BACKWARD, NONE)                                   \
  ONE(layer_norm, LAYER_NORM, NONE)                                         \
  ONE(layer_norm_backward, LAYER_NORM_BACKWARD, WANTS)                      \
  ONE(rms_norm, RMS_NORM, NONE)                                             \
  ONE(rms_norm_backward, RMS_NORM_BACKWARD, WANTS)                          \
  ONE(group_norm, GROUP_NORM, WANTS)                                        \
  ONE(group_norm_backward, GROUP_NORM_BACKWARD, WANTS)                      \
  ONE(rotary, ROTARY, NONE)                                                 \
  ONE(attention_cached, ATTENTION_CACHED, NONE)                             \
  ONE(attention_second, ATTENTION_SECOND, WANTS)                            \
  ONE(softmax_cross_entropy, SOFTMAX_CROSS_ENTROPY, NONE)                   \
  ONE(softmax_cross_entropy_backward, SOFTMAX_CROSS_ENTROPY_BACKWARD, NONE) \
  ONE(fusion, FUSION, WANTS)

/* Those that do. */
#define PRODUCTS(ONE)                                            \
  ONE(attention, ATTENTION, WANTS)                               \
  ONE(attention_backward, ATTENTION_BACKWARD, WANTS)             \
  ONE(matmul, MATMUL, NONE)                                      \
  ONE(convolution, CONVOLUTION, WANTS)                           \
  ONE(convolution_input, CONVOLUTION_INPUT, WANTS)               \
  ONE(convolution_weight, CONVOLUTION_WEIGHT, WANTS)             \
  ONE(vocabulary_head, VOCABULARY_HEAD, WANTS)                   \
  ONE(vocabulary_head_backward, VOCABULARY_HEAD_BACKWARD, WANTS) \
  ONE(vocabulary_divergence, VOCABULARY_DIVERGENCE, WANTS)       \
  ONE(vocabulary_divergence_backward, VOCABULARY_DIVERGENCE_BACKWARD, WANTS)

#define DECLARE_NONE(OF, name)
#define DECLARE_WANTS(OF, name) size_t OF(cohort_workspace_##name)(const cohort_call *call);
#define DECLARE(OF, name, workspace)                      \
  void OF(cohort_kernel_##name)(const cohort_call *call); \
  DECLARE_##workspace(OF, name)
#define DECLARE_BASED(name, NAME, workspace) DECLARE(COHORT_BASED, name, workspace)
#define DECLARE_VARIED(name, NAME, workspace) DECLARE(COHORT_VARIED, name, workspace)
OPERATIONS(DECLARE_BASED)
PRODUCTS(DECLARE_VARIED)

#define TEXT_(text) #text
#define TEXT(text) TEXT_(text)
#define RUN_BASED(name, NAME, workspace) [COHORT_OP_##NAME] = COHORT_BASED(cohort_kernel_##name),
#define RUN_VARIED(name, NAME, workspace) [COHORT_OP_##NAME] = COHORT_VARIED(cohort_kernel_##name),
#define ENTRY_NONE(OF, name, NAME)
#define ENTRY_WANTS(OF, name, NAME) [COHORT_OP_##NAME] = OF(cohort_workspace_##name),
#define WORKSPACE_BASED(name, NAME, workspace) ENTRY_##workspace(COHORT_BASED, name, NAME)
#define WORKSPACE_VARIED(name, NAME, workspace) ENTRY_##workspace(COHORT_VARIED, name, NAME)

double COHORT_BASED(cohort_dot)(const void *a, const void *b, int64_t n);

const cohort_kernel_set COHORT_VARIED(cohort_kernel_set) = {
    .name = TEXT(COHORT_VARIANT),
    .real_size = sizeof(real),
    .run = {OPERATIONS(RUN_BASED) PRODUCTS(RUN_VARIED)},
    .workspace = {OPERATIONS(WORKSPACE_BASED) PRODUCTS(WORKSPACE_VARIED)},
    .product = COHORT_VARIED(cohort_product),
    .dot = COHORT_BASED(cohort_dot),
};
