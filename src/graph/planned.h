/* Inside of a plan; for the files of this folder and their tests. */
#ifndef COHORT_GRAPH_PLANNED_H
#define COHORT_GRAPH_PLANNED_H

#include "graph/allocation.h"
#include "graph/executor.h"
#include "graph/node.h"
#include "graph/partition.h"
#include "graph/plan.h"
#include "kernel/fusion.h"

typedef enum cohort_location_kind {
  COHORT_LOCATION_NONE,  /* not in the plan */
  COHORT_LOCATION_ARENA, /* at `offset` of the lane's arena */
  COHORT_LOCATION_BOUND, /* memory[value] of the bindings */
  COHORT_LOCATION_FIXED, /* at `offset` of the plan's constants */
} cohort_location_kind;

typedef struct cohort_location {
  cohort_location_kind kind;
  cohort_value value;
  size_t offset;
  int32_t interval; /* in the arena: of the plan's intervals */
} cohort_location;

/* One kernel to run. Data pointers of `call` are filled in from the places for each run. A step of a tiling (see
 * graph/tilings.c) runs once for every part of the images: shapes of `call` are those of one part. */
typedef struct cohort_step {
  cohort_kernel run;
  cohort_location input[COHORT_MAX_INPUTS], output[COHORT_MAX_OUTPUTS];
  bool has_workspace;
  size_t workspace; /* offset in the arena */
  int32_t workspace_interval;
  int32_t node;
  int time;                           /* of the plan's intervals */
  int first_of_tiling, end_of_tiling; /* steps [first, end) of its tiling; else itself */
  int parts;                          /* how often it runs */
  size_t input_part[COHORT_MAX_INPUTS], output_part[COHORT_MAX_OUTPUTS]; /* bytes from one part to the next */
  int extent;                             /* 1 + whose rows its marked tensors have; 0: none */
  unsigned ragged_inputs, ragged_outputs; /* bits */
  cohort_call call;
} cohort_step;

/* After the steps of a phase. */
typedef struct cohort_copy {
  cohort_location from, to;
  size_t bytes;
} cohort_copy;

typedef struct cohort_phase {
  int first_step, last_step; /* [first, last) */
  int first_copy, last_copy;
  int first_lane, last_lane; /* of the lane operations that end it */
  int first_event, last_event;
} cohort_phase;

/* Of a lane operation, for people. */
typedef struct cohort_lane_label {
  char *name;
  cohort_shape shape; /* of what comes out */
} cohort_lane_label;

struct cohort_plan {
  cohort_step *step;
  cohort_fusion *fusion;   /* [fusions], which the calls of steps point to */
  cohort_plan_step *label; /* [steps]; names owned */
  cohort_copy *copy;
  cohort_lane_operation *lane;
  cohort_lane_label *lane_label;
  cohort_phase *phase;
  int steps, fusions, copies, lanes, phases;
  cohort_location *place;          /* [values]: where to read each value of the graph */
  int32_t values, given;           /* given: those of the caller's graph, which come first */
  void *fixed;                     /* constants and iotas */
  size_t arena_bytes, whole_bytes; /* of a lane; and what it was before values were overlaid elsewhere */
  double flops;
  int extents; /* that runs may shorten; 0: none */
  int64_t most[COHORT_MAX_EXTENTS];
  uint8_t *extent; /* [values]: 1 + whose rows a value has, or 0; NULL: none does */
  cohort_interval *interval;
  int intervals;
  cohort_plan_event *event; /* of all phases, one after another; NULL until the plan is cut */
  int overlaid, overlay_lanes;
  size_t *overlaid_offset; /* [overlaid][overlay_lanes] */
};

/* Sets every place in the arena to where its interval lies now; or, with `moved` (by interval; may be NULL) not
 * negative, outside it, in the plan's own bound value of that number. */
void cohort_plan_resolve(cohort_plan *plan, const int *moved);

static inline void *cohort_location_memory(const cohort_location *place, char *arena, const cohort_plan *plan,
                                           void *const *memory) {
  switch (place->kind) {
    case COHORT_LOCATION_ARENA:
      return arena + place->offset;
    case COHORT_LOCATION_BOUND:
      return memory[place->value];
    case COHORT_LOCATION_FIXED:
      return (char *)plan->fixed + place->offset;
    default:
      return 0;
  }
}

#endif
