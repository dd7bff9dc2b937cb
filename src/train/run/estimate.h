/* What a run would take on some number of ranks, known before any of it is taken. */
#ifndef COHORT_TRAIN_RUN_ESTIMATE_H
#define COHORT_TRAIN_RUN_ESTIMATE_H

#include "train/run/run.h"

/* Bytes, of the rank that has most. */
typedef struct cohort_estimate {
  double parameters;  /* held here, and gathered for use; a frozen reference too */
  double gradients;   /* rows of lanes, and the sum */
  double state;       /* of the optimizer, and a driver's vectors */
  double activations; /* of all lanes that are alive at once, and what updates compute in */
  double saving;      /* while a checkpoint is written: slices of what is sharded, rows, HDF5's own */
  double process;     /* the program, its libraries and the data */
  double received;    /* in a step: messages, and what is read from other ranks' memory */
  double between;     /* of which sums from other hosts, where each holds a copy */
} cohort_estimate;

/* Of a run that was planned (cohort_run_plan); `threads` of each rank; `replicas` divides `ranks`: 1, or the
 * hosts that hold a copy each (replicate: hosts). `process` is this process's memory as it is, and what
 * a run's libraries and MPI add. */
cohort_estimate cohort_run_estimate(const cohort_run *run, int ranks, int replicas, int threads,
                                    cohort_sharding sharding);

double cohort_estimate_memory(const cohort_estimate *estimate);

#endif
