/* What a numeric optimizer file includes: the family and the type `real` of the variant being compiled. */
#ifndef COHORT_METHOD_OPTIMIZER_OPTIMIZER_REAL_H
#define COHORT_METHOD_OPTIMIZER_OPTIMIZER_REAL_H

#include <math.h>

#include "base/real.h"
#include "method/optimizer/optimizer.h"

/* The square root in the type `real`: one instruction, also inside a vector. */
#define COHORT_SQRT(x) _Generic((real)0, float : sqrtf, double : sqrt)(x)

/* The list of descriptors that the file exports in this variant; `file` is its name, or COHORT_FILE. */
#define COHORT_OPTIMIZER_FILE(file) const cohort_method *const COHORT_VARIED(COHORT_PASTE(cohort_optimizer, file))[]

#endif
