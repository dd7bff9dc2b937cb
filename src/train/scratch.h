/* Memory of gradients on their way: where each bucket's lie in a lane's row while they are written and until they have
 * left, by the lifetimes that a plan's events give them. */
#ifndef COHORT_TRAIN_SCRATCH_H
#define COHORT_TRAIN_SCRATCH_H

#include "graph/cut.h"
#include "train/shards.h"

typedef struct cohort_scratch {
  int64_t *place; /* [buckets] */
  int *before;    /* [buckets]: the last to use memory of this one before it in a step, or -1 */
  int64_t elements;
} cohort_scratch;

/* `lag`: a bucket's place is kept until so many others are complete after it, so that it can leave meanwhile. */
void cohort_scratch_plan(const cohort_plan *plan, const cohort_shards *shards, int lag, cohort_scratch *out);
void cohort_scratch_release(cohort_scratch *scratch);

#endif
