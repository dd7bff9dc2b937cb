/* Offsets for pieces of memory that are in use at known times. */
#ifndef COHORT_GRAPH_ALLOCATION_H
#define COHORT_GRAPH_ALLOCATION_H

#include <stddef.h>

/* A piece of an arena and when it is in use: positions [first, last], both inclusive, of some order that the caller
 * numbers (in a plan: steps and exchanges). `bytes` should be a multiple of COHORT_ALIGNMENT: so are the offsets then.
 */
typedef struct cohort_interval {
  size_t bytes, offset;
  int first, last;
} cohort_interval;

/* Gives every interval an offset such that no two in use at once overlap: greedy, largest first, each into the smallest
 * gap that holds it. Returns the bytes of the whole. */
size_t cohort_allocate_intervals(int count, cohort_interval *interval);

#endif
