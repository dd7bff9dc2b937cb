/* Products of a matrix with itself, of which one half is computed. */
#ifndef COHORT_KERNEL_SYMMETRIC_H
#define COHORT_KERNEL_SYMMETRIC_H

#include "kernel/kernel.h"

/* C (n x n) = alpha X X' + beta C, X n x k; with `transpose` alpha X' X + beta C, X k x n. Row-major with row strides,
 * of the set's type; C's rows are n apart, and C is symmetric. Blocks on one side of the diagonal are kernels->product;
 * the others are their mirror image. */
void cohort_product_symmetric(const cohort_kernel_set *kernels, const cohort_team *team, bool transpose, int64_t n,
                              int64_t k, double alpha, const void *x, int64_t stride, double beta, void *c);

#endif
