/* What deepzero and marsadamw do to a vector: each tensor's part is divided by its norm, where that is above a bound. A
 * program of two passes. */
#ifndef COHORT_METHOD_OPTIMIZER_NORMALISE_REAL_H
#define COHORT_METHOD_OPTIMIZER_NORMALISE_REAL_H

#include "method/optimizer/optimizer_real.h"

static inline void cohort_normalise_range(const cohort_update *u, double bound) {
  real *restrict x = u->state[0];
  if (u->pass == 0) {
    double square = 0;
    for (int64_t i = 0; i < u->elements; i++) square += (double)x[i] * (double)x[i];
    *u->sum[0] += square;
    return;
  }
  if (*u->sum[0] <= bound * bound) return;
  const real scale = (real)(1 / sqrt(*u->sum[0]));
  for (int64_t i = 0; i < u->elements; i++) x[i] *= scale;
}

static const cohort_pass_sum cohort_normalise_sums[] = {{.name = "square", .over = COHORT_OWNER_TENSOR},
                                                        {.name = NULL}};

#endif
