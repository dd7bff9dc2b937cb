/* Picks the kernel set for an instruction set, and names operations. Tables alone. */
#include "kernel/kernel.h"

extern const cohort_kernel_set cohort_kernel_set_f32_sse2;
extern const cohort_kernel_set cohort_kernel_set_f32_avx2;
extern const cohort_kernel_set cohort_kernel_set_f32_avx512;
extern const cohort_kernel_set cohort_kernel_set_f64_sse2;
extern const cohort_kernel_set cohort_kernel_set_bf16_sse2;
extern const cohort_kernel_set cohort_kernel_set_bf16_avx2;
extern const cohort_kernel_set cohort_kernel_set_bf16_avx512;
extern const cohort_kernel_set cohort_kernel_set_bf16_avx512bf16;
extern const cohort_kernel_set cohort_kernel_set_bf16_amx;

const cohort_kernel_set *cohort_kernels_float32(cohort_isa isa) {
  switch (isa) {
    case COHORT_ISA_AVX512:
      return &cohort_kernel_set_f32_avx512;
    case COHORT_ISA_AVX2:
      return &cohort_kernel_set_f32_avx2;
    default:
      return &cohort_kernel_set_f32_sse2;
  }
}

const cohort_kernel_set *cohort_kernels_float64(void) { return &cohort_kernel_set_f64_sse2; }

const cohort_kernel_set *cohort_kernels_bf16(cohort_isa isa, cohort_bf16 way) {
  static const cohort_kernel_set *const wide[] = {[COHORT_BF16_ROUNDED] = &cohort_kernel_set_bf16_avx512,
                                                  [COHORT_BF16_PAIRS] = &cohort_kernel_set_bf16_avx512bf16,
                                                  [COHORT_BF16_TILES] = &cohort_kernel_set_bf16_amx};
  switch (isa) {
    case COHORT_ISA_AVX512:
      return wide[way];
    case COHORT_ISA_AVX2:
      return &cohort_kernel_set_bf16_avx2;
    default:
      return &cohort_kernel_set_bf16_sse2;
  }
}

static const char *const names[COHORT_OP_COUNT] = {
    [COHORT_OP_PARAMETER] = "parameter",
    [COHORT_OP_INPUT] = "input",
    [COHORT_OP_CONSTANT] = "constant",
    [COHORT_OP_IOTA] = "iota",
    [COHORT_OP_NEGATE] = "negate",
    [COHORT_OP_ABSOLUTE] = "absolute",
    [COHORT_OP_SIGN] = "sign",
    [COHORT_OP_EXPONENTIAL] = "exponential",
    [COHORT_OP_LOG] = "log",
    [COHORT_OP_LOG1P] = "log1p",
    [COHORT_OP_EXPM1] = "expm1",
    [COHORT_OP_SQUARE_ROOT] = "square_root",
    [COHORT_OP_RECIPROCAL_ROOT] = "reciprocal_root",
    [COHORT_OP_SINE] = "sine",
    [COHORT_OP_COSINE] = "cosine",
    [COHORT_OP_TANH] = "tanh",
    [COHORT_OP_SIGMOID] = "sigmoid",
    [COHORT_OP_SOFTPLUS] = "softplus",
    [COHORT_OP_ERROR_FUNCTION] = "error_function",
    [COHORT_OP_ROUND] = "round",
    [COHORT_OP_CAST] = "cast",
    [COHORT_OP_STOP_GRADIENT] = "stop_gradient",
    [COHORT_OP_ADD] = "add",
    [COHORT_OP_SUBTRACT] = "subtract",
    [COHORT_OP_MULTIPLY] = "multiply",
    [COHORT_OP_DIVIDE] = "divide",
    [COHORT_OP_POWER] = "power",
    [COHORT_OP_MINIMUM] = "minimum",
    [COHORT_OP_MAXIMUM] = "maximum",
    [COHORT_OP_COMPARE] = "compare",
    [COHORT_OP_SELECT] = "select",
    [COHORT_OP_RESHAPE] = "reshape",
    [COHORT_OP_PERMUTE] = "permute",
    [COHORT_OP_BROADCAST] = "broadcast",
    [COHORT_OP_SLICE] = "slice",
    [COHORT_OP_PAD] = "pad",
    [COHORT_OP_CONCAT] = "concat",
    [COHORT_OP_FLIP] = "flip",
    [COHORT_OP_SUM] = "sum",
    [COHORT_OP_MAX] = "max",
    [COHORT_OP_ARGMAX] = "argmax",
    [COHORT_OP_ARGSORT] = "argsort",
    [COHORT_OP_LOGSUMEXP] = "logsumexp",
    [COHORT_OP_CUMSUM] = "cumsum",
    [COHORT_OP_GATHER] = "gather",
    [COHORT_OP_SCATTER_ADD] = "scatter_add",
    [COHORT_OP_TAKE_ALONG] = "take_along",
    [COHORT_OP_PUT_ALONG] = "put_along",
    [COHORT_OP_MATMUL] = "matmul",
    [COHORT_OP_CONVOLUTION] = "convolution",
    [COHORT_OP_CONVOLUTION_INPUT] = "convolution_input",
    [COHORT_OP_CONVOLUTION_WEIGHT] = "convolution_weight",
    [COHORT_OP_WINDOW_MAX] = "window_max",
    [COHORT_OP_WINDOW_TAKE] = "window_take",
    [COHORT_OP_WINDOW_PUT] = "window_put",
    [COHORT_OP_RANDOM_UNIFORM] = "random_uniform",
    [COHORT_OP_RANDOM_NORMAL] = "random_normal",
    [COHORT_OP_DROPOUT] = "dropout",
    [COHORT_OP_LANE_SUM] = "lane_sum",
    [COHORT_OP_LANE_MAX] = "lane_max",
    [COHORT_OP_LANE_GATHER] = "lane_gather",
    [COHORT_OP_LANE_TAKE] = "lane_take",
    [COHORT_OP_SEGMENT_SUM] = "segment_sum",
    [COHORT_OP_GELU] = "gelu",
    [COHORT_OP_GELU_BACKWARD] = "gelu_backward",
    [COHORT_OP_SWIGLU] = "swiglu",
    [COHORT_OP_SWIGLU_BACKWARD] = "swiglu_backward",
    [COHORT_OP_RELU] = "relu",
    [COHORT_OP_RELU_BACKWARD] = "relu_backward",
    [COHORT_OP_LAYER_NORM] = "layer_norm",
    [COHORT_OP_LAYER_NORM_BACKWARD] = "layer_norm_backward",
    [COHORT_OP_RMS_NORM] = "rms_norm",
    [COHORT_OP_RMS_NORM_BACKWARD] = "rms_norm_backward",
    [COHORT_OP_GROUP_NORM] = "group_norm",
    [COHORT_OP_GROUP_NORM_BACKWARD] = "group_norm_backward",
    [COHORT_OP_ROTARY] = "rotary",
    [COHORT_OP_ATTENTION] = "attention",
    [COHORT_OP_ATTENTION_BACKWARD] = "attention_backward",
    [COHORT_OP_ATTENTION_SECOND] = "attention_second",
    [COHORT_OP_SOFTMAX_CROSS_ENTROPY] = "softmax_cross_entropy",
    [COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD] = "softmax_cross_entropy_backward",
    [COHORT_OP_VOCABULARY_HEAD] = "vocabulary_head",
    [COHORT_OP_VOCABULARY_HEAD_BACKWARD] = "vocabulary_head_backward",
    [COHORT_OP_VOCABULARY_DIVERGENCE] = "vocabulary_divergence",
    [COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD] = "vocabulary_divergence_backward",
    [COHORT_OP_ATTENTION_CACHED] = "attention_cached",
    [COHORT_OP_FUSION] = "chain",
};

const char *cohort_op_name(cohort_op op) { return (unsigned)op < COHORT_OP_COUNT ? names[op] : "unknown"; }
