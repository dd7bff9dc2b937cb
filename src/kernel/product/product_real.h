/* Products of matrices: what the other kernels call. */
#ifndef COHORT_KERNEL_PRODUCT_PRODUCT_REAL_H
#define COHORT_KERNEL_PRODUCT_PRODUCT_REAL_H

#include "base/real.h"
#include "base/team.h"

/* As cohort_kernel_set.product (kernel/kernel.h). An element of C is one sum over k in an order given by K alone: its
 * bits depend neither on M and N nor on how C is cut into tiles. */
void COHORT_VARIED(cohort_product)(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n,
                                   int64_t k, double alpha, const void *a, int64_t stride_a, const void *b,
                                   int64_t stride_b, double beta, void *c, int64_t stride_c);

#endif
