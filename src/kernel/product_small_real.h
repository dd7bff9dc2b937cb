/* Products that are too small for a library call. */
#ifndef COHORT_KERNEL_PRODUCT_SMALL_REAL_H
#define COHORT_KERNEL_PRODUCT_SMALL_REAL_H

#include <stdint.h>

#include "base/real.h"

/* C (m x n) = alpha op(A) op(B) + beta C, row-major with row strides; as cohort_kernel_set.product. */
typedef struct cohort_small_product {
  int transpose_a, transpose_b;
  int64_t m, n, k;
  real alpha, beta;
  const real *a, *b;
  real *c;
  int64_t stride_a, stride_b, stride_c;
} cohort_small_product;

void COHORT_VARIED(cohort_product_small)(const cohort_small_product *product);

#endif
