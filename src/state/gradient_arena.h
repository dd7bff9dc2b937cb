/* Memory of gradients on their way: where each bucket's lie in a lane's row while they are written and until they have
 * left, by the lifetimes that a plan's events give them. */
#ifndef COHORT_STATE_GRADIENT_ARENA_H
#define COHORT_STATE_GRADIENT_ARENA_H

#include "graph/partition.h"
#include "state/space_layout.h"

typedef struct cohort_gradient_arena {
  int64_t *place; /* [buckets of a row] */
  int *before;    /* [buckets]: the last to use memory of this one before it in a step, or -1 */
  int64_t elements;
} cohort_gradient_arena;

/* `lag`: a bucket's place is kept until so many others are complete after it, so that it can leave meanwhile. */
void cohort_gradient_arena_plan(const cohort_plan *plan, const cohort_space_layout *layout, int lag,
                                cohort_gradient_arena *out);
void cohort_gradient_arena_release(cohort_gradient_arena *arena);

#endif
