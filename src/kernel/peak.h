/* Loops that reach what a core can do at most, for the roofline of a run's summary: multiply-adds on registers alone,
 * and passes over memory. They do no work of any use. */
#ifndef COHORT_KERNEL_PEAK_H
#define COHORT_KERNEL_PEAK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/processor.h"

typedef enum cohort_peak {
  COHORT_PEAK_FLOAT32, /* multiply-adds of the widest vectors of an instruction set */
  COHORT_PEAK_BF16,    /* vdpbf16ps: products of bf16 pairs summed in float32 (AVX-512 BF16) */
  COHORT_PEAK_AMX,     /* tdpbf16ps on tiles (AMX) */
  COHORT_PEAKS
} cohort_peak;

/* Whether this processor can run it and the run may use it: with kernels for `isa`, what is above that is left alone.
 * Asks the operating system for the tile registers, which it gives to all threads of the process. */
bool cohort_peak_available(cohort_peak peak, cohort_isa isa);

/* Runs for about 50 microseconds in the calling thread; returns the floating-point operations done. Only when
 * available. */
double cohort_peak_run(cohort_peak peak, cohort_isa isa);

/* One pass over `elements` floats (64-byte aligned, a multiple of 1024): reads them all; reads, changes and writes them
 * all in place. Each returns the bytes moved: the second counts reads and writes. */
double cohort_peak_read(cohort_isa isa, const float *data, int64_t elements);
double cohort_peak_update(cohort_isa isa, float *data, int64_t elements);

#endif
