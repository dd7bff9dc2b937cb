/* Partition of a plan at the events of groups of bound values: parameters can be gathered just before they are read
 * and gradients can leave as soon as they are written (sharding). Only the borders of phases move: steps, their order
 * and the arena stay, hence so do the bits. */
#ifndef COHORT_GRAPH_PARTITION_H
#define COHORT_GRAPH_PARTITION_H

#include "graph/plan.h"

/* Groups of bound values: parameters that are gathered together, external outputs that leave together. */
typedef struct cohort_plan_bound_groups {
  int groups;
  const int *read;    /* [values of the graph]: group of a parameter, or -1: bound all the time */
  const int *written; /* [values of the graph]: group of an external output, or -1: bound all the time */
} cohort_plan_bound_groups;

/* What happens to a group, in the order in which the events of one phase stand. Before the steps of the phase:
 *   NEED      parameters of the group are read in this phase, and may be until FREE; none was since the last FREE
 *   OPEN      external outputs of the group are written from this phase on; no memory of theirs was touched before
 * and after the steps (and before the lane operations) of the phase:
 *   FREE      parameters of the group are not read until the next NEED, if there is one
 *   COMPLETE  all external outputs of the group are written, nothing in the plan reads or writes their memory again
 * A group that no step reads has no NEED, one that no step writes no OPEN. A group is FREE and needed again when
 * another group was needed since it was read last: NEED and FREE of a group follow one another like brackets. OPEN and
 * COMPLETE come once for a group.
 *
 * NEED stands at the phase that begins with the interval's first reading step, COMPLETE at the phase that ends with the
 * last step that touches the group's external outputs (or with the lane operations that follow it at once): these two
 * cut. FREE stands at the phase that holds the interval's last reading step, OPEN at the one that holds the first
 * writing step: these do not. Events of one kind in one phase stand in order of their steps, then of groups. */
typedef enum cohort_plan_event_kind {
  COHORT_PLAN_NEED,
  COHORT_PLAN_OPEN,
  COHORT_PLAN_FREE,
  COHORT_PLAN_COMPLETE,
} cohort_plan_event_kind;

typedef struct cohort_plan_event {
  cohort_plan_event_kind kind;
  int group;
} cohort_plan_event;

/* Cuts the phases of a plan further. At most once, before the plan is run; phases get other numbers. From then on
 * memory[value] of a parameter counts between NEED and FREE of its group alone, memory[value] of an external output
 * between OPEN and COMPLETE alone (cohort_executor_value of an external output reads that memory too). External outputs
 * that their step could not write in place are copied when their group completes. Fails (COHORT_BUG) when the plan is
 * cut already or a group is out of range; the plan is then as it was. */
cohort_status cohort_plan_partition(cohort_plan *plan, const cohort_plan_bound_groups *groups, cohort_error *error);

/* The events of a phase; returns how many, *event is the plan's. None when the plan was not cut. */
int cohort_plan_events(const cohort_plan *plan, int phase, const cohort_plan_event **event);

/* Whether some phase ends with lane operations: lanes must then run phase by phase together. Cut or not. */
bool cohort_plan_has_lane_operations(const cohort_plan *plan);

#endif
