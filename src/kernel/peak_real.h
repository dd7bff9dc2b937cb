/* The peak loops of one variant (kernel/peak.h): compiled for each instruction set. */
#ifndef COHORT_KERNEL_PEAK_REAL_H
#define COHORT_KERNEL_PEAK_REAL_H

#include <stdint.h>

#include "base/real.h"

/* Both keep what they compute in *sink, so that nothing can be left out. */
double COHORT_VARIED(cohort_peak_multiply_add)(int64_t rounds, real *sink);
double COHORT_VARIED(cohort_peak_read_pass)(const real *data, int64_t elements, real *sink);
double COHORT_VARIED(cohort_peak_update_pass)(real *data, int64_t elements);

#endif
