/* The peak loops of bf16, each in a file compiled for its instructions alone (kernel/peak.h). Return the operations
 * done. */
#ifndef COHORT_KERNEL_PEAK_BF16_H
#define COHORT_KERNEL_PEAK_BF16_H

#include <stdint.h>

double cohort_peak_bf16_vectors(int64_t rounds, float *sink);
double cohort_peak_bf16_tiles(int64_t rounds, float *sink);

#endif
