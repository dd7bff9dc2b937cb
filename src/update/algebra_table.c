/* Which table of elementwise loops serves which variant. */
#include "update/algebra.h"

extern const cohort_algebra cohort_algebra_f32_sse2, cohort_algebra_f32_avx2, cohort_algebra_f32_avx512,
    cohort_algebra_f64_sse2;

const cohort_algebra *cohort_algebra_of(cohort_variant variant) {
  switch (variant) {
    case COHORT_VARIANT_F32_SSE2:
      return &cohort_algebra_f32_sse2;
    case COHORT_VARIANT_F32_AVX2:
      return &cohort_algebra_f32_avx2;
    case COHORT_VARIANT_F32_AVX512:
      return &cohort_algebra_f32_avx512;
    default:
      return &cohort_algebra_f64_sse2;
  }
}
