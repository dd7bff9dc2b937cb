/* Memory that is meant for results which are written late can hold, until then, what lanes keep from the forward sweep
 * for the backward one: gradients of the first layers are written when little of that is still needed. Where a value
 * lies changes no bit. */
#ifndef COHORT_GRAPH_OVERLAY_H
#define COHORT_GRAPH_OVERLAY_H

#include "graph/allocation.h"
#include "graph/plan.h"

/* The memory, and when it must be left alone. */
typedef struct cohort_overlay {
  size_t bytes;
  int lanes; /* that run at once, each with values of its own in it; phases begin and end together */
  int taken;
  const cohort_interval *interval; /* [taken]: in phases [first, last] these bytes are in use */
} cohort_overlay;

/* Moves values that live in several phases out of the arena, as many as find room for every lane. Of a cut plan (cut.h)
 * without lane operations, once, before it runs. Never the last phase's: they may be read after the run. */
void cohort_plan_overlay(cohort_plan *plan, const cohort_overlay *overlay);

/* How many bindings cohort_plan_bind_overlaid makes; they follow those of the graph's values. */
int cohort_plan_overlaid(const cohort_plan *plan);
/* Of lane 0 <= lane < lanes; `base`: where the memory begins. */
void cohort_plan_bind_overlaid(const cohort_plan *plan, int lane, void *base, void **memory);

/* Of a lane when nothing is moved. */
size_t cohort_plan_whole_bytes(const cohort_plan *plan);

#endif
