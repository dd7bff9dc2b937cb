/* The loops behind the graph's operations, one set per variant (type and instruction set).
 *
 * Every kernel is a pure function of its inputs, its attributes and the shapes: it cuts its work into tiles by shape
 * alone and sums in an order given by shape alone, so its bits do not depend on the team. Kernels allocate nothing. */
#ifndef COHORT_KERNEL_KERNEL_H
#define COHORT_KERNEL_KERNEL_H

#include <stddef.h>

#include "base/processor.h"
#include "kernel/operation.h"

typedef struct cohort_kernel_set {
  const char *name;                   /* "f32_avx512" */
  size_t real_size;                   /* 4 or 8 */
  cohort_kernel run[COHORT_OP_COUNT]; /* NULL for leaves, views and lane operations */
  /* Bytes of workspace that run[op] wants for this call (data pointers not yet set); NULL: none. A multiple of 64. */
  size_t (*workspace[COHORT_OP_COUNT])(const cohort_call *call);
  /* C (M x N) = alpha * op(A) op(B) + beta * C, row-major with row strides; A is M x K (or K x M when transpose_a), B
   * is K x N (or N x K when transpose_b). Types are the set's. Tiles by shape; a pure function of the shape. */
  void (*product)(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                  double alpha, const void *a, int64_t stride_a, const void *b, int64_t stride_b, double beta, void *c,
                  int64_t stride_c);
  /* Sum of a[i] b[i] in float64, in an order given by n alone: with float32, the same bits from every set. */
  double (*dot)(const void *a, const void *b, int64_t n);
} cohort_kernel_set;

/* The float32 set for an instruction set; the float64 set. */
const cohort_kernel_set *cohort_kernels_float32(cohort_isa isa);
const cohort_kernel_set *cohort_kernels_float64(void);
/* The float32 set with products of operands rounded to bf16 (to nearest even) and summed in float32. `way` counts with
 * AVX-512 alone. */
const cohort_kernel_set *cohort_kernels_bf16(cohort_isa isa, cohort_bf16 way);

/* x[n] to bf16, to nearest even; NaN stays NaN. */
void cohort_round_to_bf16(const float *restrict x, int64_t n, uint16_t *restrict bf16);

/* Floating-point operations of one run of `op` on these shapes (products and convolutions and what contains them; 0 for
 * the rest), for the GFLOP/s of the summary. */
double cohort_op_flops(cohort_op op, const cohort_call *call);

/* Libraries read their environment when they are loaded: OpenBLAS falls back to very slow kernels on processors newer
 * than itself, and OpenMP's threads spin for milliseconds when they wait. Where that is so, sets OPENBLAS_CORETYPE
 * (then COHORT_BLAS_CORE_SET holds the first core's name) and GOMP_SPINCOUNT and starts the program again (execv); does
 * nothing the second time, or where a user has set them. Call first thing in main. Returns the core's name, for the
 * log. */
const char *cohort_product_guard(char **arguments);
/* "OpenBLAS 0.3.21 ...": what the library says of itself. */
const char *cohort_product_library(void);

#endif
