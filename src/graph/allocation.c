/* Offsets for intervals of memory: largest first, each into the smallest gap among those that live at the same time.
 * The result is a function of the list alone. Costs the square of the number of intervals, once a plan. */
#include "graph/allocation.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"

typedef struct ranked {
  cohort_interval *interval;
  int index;
} ranked;

/* Larger first, then earlier. */
static int compare_size(const void *left, const void *right) {
  const ranked *a = left, *b = right;
  if (a->interval->bytes != b->interval->bytes) return a->interval->bytes > b->interval->bytes ? -1 : 1;
  if (a->interval->first != b->interval->first) return a->interval->first < b->interval->first ? -1 : 1;
  return a->index < b->index ? -1 : 1;
}

/* The offset of the smallest gap between the placed intervals (ordered by offset) that are in use at the same time. */
static size_t best_offset(const cohort_interval *own, int placed, cohort_interval *const *by_offset) {
  size_t end = 0, best = SIZE_MAX, smallest = SIZE_MAX;
  for (int i = 0; i < placed; i++) {
    const cohort_interval *other = by_offset[i];
    if (other->last < own->first || own->last < other->first) continue;
    if (other->offset > end && other->offset - end >= own->bytes && other->offset - end < smallest) {
      smallest = other->offset - end;
      best = end;
    }
    if (other->offset + other->bytes > end) end = other->offset + other->bytes;
  }
  return best != SIZE_MAX ? best : end;
}

size_t cohort_allocate_intervals(int count, cohort_interval *interval) {
  ranked *order = cohort_allocate((size_t)(count + 1) * sizeof *order);
  cohort_interval **by_offset = cohort_allocate((size_t)(count + 1) * sizeof(cohort_interval *));
  for (int i = 0; i < count; i++) order[i] = (ranked){&interval[i], i};
  qsort(order, (size_t)count, sizeof *order, compare_size);
  size_t whole = 0;
  for (int i = 0; i < count; i++) {
    cohort_interval *own = order[i].interval;
    own->offset = best_offset(own, i, by_offset);
    int at = i;
    for (; at > 0 && by_offset[at - 1]->offset > own->offset; at--) by_offset[at] = by_offset[at - 1];
    by_offset[at] = own;
    if (own->offset + own->bytes > whole) whole = own->offset + own->bytes;
  }
  free(order);
  free(by_offset);
  return whole;
}
