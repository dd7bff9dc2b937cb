#include "fixture.h"

/* Leaves, views and lane operations are never run by a kernel. */
static int has_no_kernel(cohort_op op) {
  switch (op) {
    case COHORT_OP_PARAMETER:
    case COHORT_OP_INPUT:
    case COHORT_OP_CONSTANT:
    case COHORT_OP_IOTA:
    case COHORT_OP_STOP_GRADIENT:
    case COHORT_OP_RESHAPE:
    case COHORT_OP_LANE_SUM:
    case COHORT_OP_LANE_MAX:
    case COHORT_OP_LANE_GATHER:
    case COHORT_OP_LANE_TAKE:
      return 1;
    default:
      return 0;
  }
}

static void check_set(const cohort_kernel_set *set, const char *name, size_t real_size) {
  CU_ASSERT_STRING_EQUAL(set->name, name);
  CU_ASSERT_EQUAL(set->real_size, real_size);
  CU_ASSERT_PTR_NOT_NULL(set->product);
  for (int op = 0; op < COHORT_OP_COUNT; op++) {
    CU_ASSERT_EQUAL(set->run[op] == NULL, has_no_kernel((cohort_op)op));
    if (!set->run[op]) CU_ASSERT_PTR_NULL(set->workspace[op]);
  }
}

static void test_sets_are_complete(void) {
  check_set(cohort_kernels_float32(COHORT_ISA_SSE2), "f32_sse2", sizeof(float));
  check_set(cohort_kernels_float32(COHORT_ISA_AVX2), "f32_avx2", sizeof(float));
  check_set(cohort_kernels_float32(COHORT_ISA_AVX512), "f32_avx512", sizeof(float));
  check_set(cohort_kernels_bf16(COHORT_ISA_SSE2, COHORT_BF16_ROUNDED), "bf16_sse2", sizeof(float));
  check_set(cohort_kernels_bf16(COHORT_ISA_AVX2, COHORT_BF16_PAIRS), "bf16_avx2", sizeof(float));
  check_set(cohort_kernels_bf16(COHORT_ISA_AVX512, COHORT_BF16_ROUNDED), "bf16_avx512", sizeof(float));
  check_set(cohort_kernels_bf16(COHORT_ISA_AVX512, COHORT_BF16_PAIRS), "bf16_avx512bf16", sizeof(float));
  check_set(cohort_kernels_bf16(COHORT_ISA_AVX512, COHORT_BF16_TILES), "bf16_amx", sizeof(float));
  check_set(cohort_kernels_float64(), "f64_sse2", sizeof(double));
}

static void test_names(void) {
  for (int op = 0; op < COHORT_OP_COUNT; op++) {
    const char *name = cohort_op_name((cohort_op)op);
    CU_ASSERT_PTR_NOT_NULL_FATAL(name);
    CU_ASSERT(strlen(name) > 2);
    for (int other = 0; other < op; other++) CU_ASSERT_STRING_NOT_EQUAL(name, cohort_op_name((cohort_op)other));
  }
  CU_ASSERT_STRING_EQUAL(cohort_op_name(COHORT_OP_LAYER_NORM), "layer_norm");
  CU_ASSERT_STRING_EQUAL(cohort_op_name(COHORT_OP_COUNT), "unknown");
}

static const check checks[] = {
    {"every set has every kernel", test_sets_are_complete},
    {"names", test_names},
};

int main(void) { return check_run("kernel_set", checks, sizeof checks / sizeof checks[0]); }
