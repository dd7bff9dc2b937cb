/* Parameters where a plan reads them: of every bucket, present from the phase that needs it to the one that frees it.
 *
 * Buckets are those of all spaces (state/space_layout.h). Replicated parameters lie in their vector, and a bucket that
 * is still on its way is waited for. Sharded ones are gathered for every interval of need, one ahead, into an arena
 * laid out by the intervals' lifetimes. */
#ifndef COHORT_STATE_PREFETCH_H
#define COHORT_STATE_PREFETCH_H

#include "graph/partition.h"
#include "state/collective.h"
#include "state/space_layout.h"

/* The parameters of one space to compute at. arrival[bucket of the space]: number of the gather that completes it here
 * (0: it is here); NULL: all are. */
typedef struct cohort_point {
  const cohort_vector *vector;
  const uint64_t *arrival;
} cohort_point;

typedef struct cohort_prefetch cohort_prefetch;

/* Of a plan that was cut at the buckets of the layout's first spaces, or of all. */
cohort_prefetch *cohort_prefetch_create(const cohort_plan *plan, const cohort_space_layout *layout, bool sharded);
void cohort_prefetch_destroy(cohort_prefetch *prefetch);

/* Of the arena; 0 when parameters are replicated. */
int64_t cohort_prefetch_elements(const cohort_prefetch *prefetch);
/* How many elements, own ones included, one run of the plan gathers. */
int64_t cohort_prefetch_gathered(const cohort_prefetch *prefetch);

/* Before the plan's phase 0, at point[spaces]; then before and after every phase, on all ranks alike. */
void cohort_prefetch_begin(cohort_prefetch *prefetch, cohort_collective *collective, const cohort_point *point,
                           float *arena);
void cohort_prefetch_before(cohort_prefetch *prefetch, int phase);
void cohort_prefetch_after(cohort_prefetch *prefetch, int phase);
/* [buckets of all spaces]: where each lies; counts while it is needed. */
const float *const *cohort_prefetch_buckets(const cohort_prefetch *prefetch);

#endif
