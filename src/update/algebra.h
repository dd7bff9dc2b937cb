/* Elementwise loops over vectors, one table per type and instruction set (algebra.c). Compiled without contraction: an
 * element's bits depend neither on the vector loop nor on its remainder. */
#ifndef COHORT_UPDATE_ALGEBRA_H
#define COHORT_UPDATE_ALGEBRA_H

#include "method/optimizer/optimizer.h"
#include "method/registry.h"

/* All over n elements; `out` may be one of the others. */
typedef struct cohort_algebra {
  void (*combine)(int64_t n, void *out, double alpha, const void *a, double beta, const void *b);
  void (*map)(cohort_map map, int64_t n, void *out, const void *a, const void *b, double number);
  /* Elements [first, first + n) of the stream of `key`. */
  void (*fill)(cohort_fill fill, int64_t first, int64_t n, void *out, cohort_random_key key, double number);
  /* out *= a */
  void (*multiply)(int64_t n, void *out, const void *a);
} cohort_algebra;

const cohort_algebra *cohort_algebra_of(cohort_variant variant);

#endif
