/* Parameters where a plan reads them: of every bucket, present from the phase that needs it to the one that frees it.
 *
 * A frozen space that is laid out like the trained one has the same buckets, which count after those of the trained
 * one. Replicated parameters lie in their vector, and a bucket that is still on its way is waited for. Sharded ones are
 * gathered for every interval of need, one ahead, into an arena laid out by the intervals' lifetimes. */
#ifndef COHORT_TRAIN_FETCH_H
#define COHORT_TRAIN_FETCH_H

#include "graph/cut.h"
#include "train/transfer.h"

/* A vector of parameters to compute at. arrival[bucket]: number of the gather that completes it here (0: it is here).
 */
typedef struct cohort_point {
  const cohort_vector *vector;
  const uint64_t *arrival;
} cohort_point;

typedef struct cohort_fetch cohort_fetch;

/* Of a plan that was cut at the buckets of `shards`, once for each of `spaces`. */
cohort_fetch *cohort_fetch_create(const cohort_plan *plan, const cohort_shards *shards, int spaces, bool sharded);
void cohort_fetch_destroy(cohort_fetch *fetch);

/* Of the arena; 0 when parameters are replicated. */
int64_t cohort_fetch_elements(const cohort_fetch *fetch);
/* How many elements, own ones included, one run of the plan gathers. */
int64_t cohort_fetch_gathered(const cohort_fetch *fetch);

/* Before the plan's phase 0 (`frozen` NULL with one space); then before and after every phase, on all ranks alike. */
void cohort_fetch_begin(cohort_fetch *fetch, cohort_transfer *transfer, const cohort_point *point,
                        const cohort_vector *frozen, float *arena);
void cohort_fetch_before(cohort_fetch *fetch, int phase);
void cohort_fetch_after(cohort_fetch *fetch, int phase);
/* [spaces][buckets]: where each lies; counts while it is needed. */
const float *const *cohort_fetch_buckets(const cohort_fetch *fetch);

#endif
