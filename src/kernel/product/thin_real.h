/* Products of few rows with a large matrix: what decoding does, a token for each of a few texts. */
#ifndef COHORT_KERNEL_PRODUCT_THIN_REAL_H
#define COHORT_KERNEL_PRODUCT_THIN_REAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/real.h"
#include "base/team.h"
#include "kernel/operation.h"

enum { COHORT_THIN_ROWS = 16 };

/* An element of B: the sets whose products round their operands read a copy of B that is rounded already, where there
 * is one. */
#if defined(COHORT_BF16)
typedef uint16_t cohort_thin_element;
static inline const uint16_t *cohort_thin_elements(const cohort_call *call) { return call->bf16; }
#else
typedef real cohort_thin_element;
static inline const real *cohort_thin_elements(const cohort_call *call) { return call->input[1].data; }
#endif

/* C [m, n] = A [m, k] B, with B [n, k] when transposed, else [k, n]; all dense. */
typedef struct cohort_thin_product {
  bool transpose_b;
  int64_t m, n, k;
  const real *a;
  const cohort_thin_element *b;
  real *c;
} cohort_thin_product;

/* Whether the shape suits: few rows, and a B of 65536 elements or more. */
static inline bool cohort_is_thin(int64_t m, int64_t n, int64_t k) {
  return m > 0 && m <= COHORT_THIN_ROWS && k > 0 && n >= 8 && n * k >= 1 << 16;
}

/* An element of C is one sum over k in an order given by k and n alone: its bits do not depend on m. */
void COHORT_VARIED(cohort_product_thin)(const cohort_team *team, const cohort_thin_product *product);

#endif
