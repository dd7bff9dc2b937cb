/* What is known while a plan is made; for the planner's files alone. */
#ifndef COHORT_GRAPH_PLANNER_H
#define COHORT_GRAPH_PLANNER_H

#include "graph/planned.h"
#include "kernel/fusion.h"

/* Memory that values share: a value that is no view, and all views of it. Indexed by that value, its root. */
typedef struct cohort_storage {
  cohort_location place;
  int first, last;       /* when in use */
  int32_t interval;      /* -1: none */
  cohort_value external; /* the output whose bound memory it is written into, or COHORT_NO_VALUE */
  bool asked;            /* it, or a view of it, is an output of the plan */
  bool covered;          /* a later value lies over it */
  bool inside;           /* lives in tiles of a fusion alone */
  bool rolling;          /* has memory for one part of the images of its tiling */
} cohort_storage;

/* Nodes that run as one step. A node alone is a set of one and runs by its own kernel, unless it repeats short rows:
 * a fusion lays them out once for a tile. */
typedef struct cohort_node_set {
  bool fused; /* runs as the fusion */
  int members;
  int32_t member[COHORT_FUSION_OPERATIONS]; /* nodes, in order */
  int inputs, outputs;
  cohort_value input[COHORT_MAX_INPUTS], output[COHORT_MAX_OUTPUTS];
  cohort_fusion fusion;
} cohort_node_set;

/* Steps that run together, part by part of the images. */
typedef struct cohort_tiling {
  int first, last; /* of the order: [first, last) */
  int from, to;    /* times of the first and the last step */
  int parts;
  int64_t images; /* of all parts */
} cohort_tiling;

/* Times: each needed node has one, that of the step it is part of, and each end of a phase (its exchange) one. */
typedef struct cohort_planner {
  const cohort_graph *graph;
  const cohort_kernel_set *kernels;
  int outputs;
  const cohort_plan_output *output;
  bool *needed;       /* [nodes] */
  int *phase;         /* [nodes]: in which it runs; a lane operation: that it ends */
  int *value_phase;   /* [values]: in which it is first there */
  int *time;          /* [nodes] */
  int *exchange_time; /* [phases] */
  int32_t *order;     /* needed nodes that are no leaves, by phase; of a set, its last */
  int ordered, phases, end_time;
  cohort_value *root;      /* [values] */
  cohort_storage *storage; /* [values], by root */
  cohort_node_set **set;   /* [nodes]: NULL where it can be in none */
  uint8_t *extent;         /* [values]: 1 + whose rows it has, or 0; NULL: all steps run whole */
  cohort_tiling *tiling;   /* [tilings], in order */
  int tilings;
  cohort_plan *plan;
} cohort_planner;

static inline size_t cohort_planner_bytes(const cohort_planner *own, cohort_value value) {
  const cohort_value_entry *entry = &own->graph->value[value];
  const size_t element = entry->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : own->kernels->real_size;
  return (size_t)cohort_shape_elements(entry->shape) * element;
}

static inline const cohort_node *cohort_planner_node(const cohort_planner *own, cohort_value value) {
  return &own->graph->node[own->graph->value[value].node];
}

/* The set that runs as a fusion at the node's step, or NULL. */
static inline const cohort_node_set *cohort_planner_fused(const cohort_planner *own, int32_t n) {
  return own->set[n] && own->set[n]->fused ? own->set[n] : NULL;
}

/* Finds the sets, marks what lives inside, gives members the time of the last, and takes the others out of the
 * order. Roots and `asked` are known. */
void cohort_planner_fuse(cohort_planner *own);
void cohort_planner_release_sets(cohort_planner *own);

/* ragged.c. Whose rows values have, where runs may use fewer than there are; sets stand. */
void cohort_planner_find_extents(cohort_planner *own);
/* Marks what of the node's step follows an extent. */
void cohort_planner_shorten(const cohort_planner *own, int32_t n, cohort_step *step);

/* Whether the output of a set may lie over the input: each element is read for the last time before it is written. */
bool cohort_node_set_in_place(const cohort_planner *own, const cohort_node_set *set, cohort_value input,
                              cohort_value output);

/* Finds the tilings and marks what rolls; lifetimes and externals are known. */
void cohort_planner_tile(cohort_planner *own);

/* The tiling that runs at the time, or NULL. */
const cohort_tiling *cohort_planner_tiling_at(const cohort_planner *own, int time);

/* What is in use at a time of a tiling and does not roll is in use through all of it. */
void cohort_planner_widen(const cohort_planner *own, int *first, int *last);

/* Cuts the tensors of the plan's last step to one part where the node's step belongs to a tiling. Returns whether the
 * step gathers sums over parts: then its workspace is its own through the tiling. */
bool cohort_planner_divide(const cohort_planner *own, int32_t n, cohort_step *step);

/* Names the plan's last step and counts its work. `set`: the fusion that it runs, or NULL. */
void cohort_planner_label(cohort_planner *own, const cohort_step *step, const cohort_node_set *set, cohort_op op);

/* plan_places.c. An interval of the arena in use at times [first, last]; returns its number. */
int cohort_planner_add_interval(cohort_planner *own, size_t bytes, int first, int last);
/* Of a node that adds to what is there: the root that its output may lie over, as the node is its last reader. */
cohort_value cohort_planner_base(const cohort_planner *own, const cohort_node *node);
/* Gives leaves their places, and values that are computed; then writes all into the steps and lays out the arena. */
cohort_status cohort_planner_place_leaves(cohort_planner *own, cohort_error *error);
void cohort_planner_place_computed(cohort_planner *own);
void cohort_planner_fill_places(cohort_planner *own);
void cohort_planner_allocate(cohort_plan *plan);

/* The graph with some nodes twice, so that what the second sweep reads again need not be kept through the first; NULL
 * when nothing is worth it. Values of the given graph keep their numbers, new ones follow; nodes get others. Needs the
 * order, roots and lifetimes of nodes that are not grouped yet. Names belong to the given graph. */
cohort_graph *cohort_planner_rematerialise(const cohort_planner *own);
void cohort_planner_release_graph(cohort_graph *graph);

#endif
