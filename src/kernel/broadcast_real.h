/* Walks over the elements of an output that two or three inputs are broadcast to, as runs along its last axis. */
#ifndef COHORT_KERNEL_BROADCAST_REAL_H
#define COHORT_KERNEL_BROADCAST_REAL_H

#include "kernel/row_real.h"

enum { COHORT_BROADCAST_INPUTS = 3 };

/* The output's axes without those of size 1, neighbours merged where every input allows it; strides in elements, 0
 * where an input is repeated; along the last axis they are 0 or 1. */
typedef struct cohort_broadcast {
  int axes, inputs;
  int64_t elements;
  int64_t size[COHORT_MAX_AXES];
  int64_t stride[COHORT_BROADCAST_INPUTS][COHORT_MAX_AXES];
} cohort_broadcast;

/* A run of `count` elements: from element `output` of the output and offset[i] of input i on. */
typedef struct cohort_broadcast_run {
  int64_t output, count;
  int64_t offset[COHORT_BROADCAST_INPUTS];
} cohort_broadcast_run;

cohort_broadcast COHORT_VARIED(cohort_broadcast_of)(const cohort_call *call);

/* Calls function for the runs of the elements [first, last) in order. */
typedef void (*cohort_broadcast_function)(const void *argument, const cohort_broadcast_run *run);
void COHORT_VARIED(cohort_broadcast_walk)(const cohort_broadcast *shape, int64_t first, int64_t last,
                                          cohort_broadcast_function function, const void *argument);

#endif
