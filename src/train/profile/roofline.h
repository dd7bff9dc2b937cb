/* What this job's cores can do at most, measured with all threads of all ranks at once. */
#ifndef COHORT_TRAIN_PROFILE_ROOFLINE_H
#define COHORT_TRAIN_PROFILE_ROOFLINE_H

#include <stddef.h>

#include "base/comm.h"
#include "kernel/peak.h"

typedef struct cohort_roofline {
  bool measured;
  double peak[COHORT_PEAKS]; /* operations a second, of all ranks; 0: not to be had on every one of them */
  double seconds;            /* that measuring took */
  double read, update;       /* bytes a second, of all ranks; update counts reads and writes; 0: no memory for it */
} cohort_roofline;

/* Bytes of a thread's buffer, so that all of a host's are larger than its caches; a multiple of 2 MiB. */
size_t cohort_roofline_bytes(int threads, int local_ranks);

/* Collective; about 0.1 s. `threads` of this rank, `isa` of the run's kernels, `local_ranks` on this host. `buffer` has
 * one of cohort_roofline_bytes for every thread, whose contents change; NULL: they are made here, which may take
 * longer. */
void cohort_roofline_measure(cohort_comm *comm, int threads, int local_ranks, cohort_isa isa, void *const *buffer,
                             cohort_roofline *out);

/* What products by the kernel set of this name (kernel/kernel.h) are held against: the peak of the instructions that it
 * multiplies with. Sets that round to bf16 and multiply in float32 have float32's. */
cohort_peak cohort_roofline_products(const char *kernels);

#endif
