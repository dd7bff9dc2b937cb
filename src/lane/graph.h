/* A task's graph, planned and ready to run on lanes: forward alone, or with gradients and Hessian-vector products. */
#ifndef COHORT_LANE_GRAPH_H
#define COHORT_LANE_GRAPH_H

#include "graph/executor.h"
#include "lane/engine.h"
#include "lane/source.h"
#include "state/activity.h"
#include "state/space_layout.h"

/* Values that cross lanes at the end of one phase, at most. */
enum { COHORT_MAX_LANE_OPERATIONS = 64 };

typedef struct cohort_lane_graph_options {
  bool gradients;       /* with respect to every tensor of the trained spaces, per objective */
  int trained;          /* how many spaces are: the first ones; 0 counts as 1 */
  bool hessian_product; /* and the Hessian-vector product of the sum of objectives; the graph is decomposed */
  bool summed;          /* one gradient, of sum_i weight[i] * objective_i, and the product of that sum */
  double weight[COHORT_MAX_OBJECTIVES]; /* when summed */
  bool exact;                           /* the rows' losses are summed in float64: for optimizers that compare them */
  bool training;                        /* dropout on */
  cohort_lane_subject subject;
  int before;                /* with COHORT_LANE_DIVERGENCE: the space that it is from */
  int lanes;                 /* in the whole batch, for lane operations */
  int64_t capacity;          /* samples a lane has room for */
  const cohort_space *state; /* where what the graph keeps lies; NULL: a graph that keeps any is refused */
} cohort_lane_graph_options;

typedef struct cohort_lane_graph {
  cohort_lane_graph_options options;
  cohort_plan *plan;
  int32_t values;
  int inputs;
  cohort_value input[COHORT_MAX_TASK_INPUTS]; /* NO_VALUE when the plan does not need it */
  size_t input_bytes[COHORT_MAX_TASK_INPUTS];
  cohort_value inverse_count;
  int objectives, scalars; /* scalars: objectives, then the task's metrics */
  int vectors;             /* gradients: one an objective, or one of all; with hvp diagonal the product follows them */
  cohort_value scalar[COHORT_MAX_SCALARS]; /* or, when exact, the terms of an objective that is a sum of them */
  int64_t terms[COHORT_MAX_SCALARS];
  int tensors;             /* of all spaces */
  cohort_value *parameter; /* [tensors] */
  int *space;              /* [tensors] */
  bool *frozen;            /* [tensors]: trained ones that a group of the optimizer freezes */
  int64_t *offset;         /* [tensors]: in the space's vector, or (of a cut graph) in the bucket */
  int *bucket;             /* [tensors]: of a cut graph, counted through all spaces; else the space */
  cohort_value row;        /* [row_elements]: leaves the lane; COHORT_NO_VALUE: none does */
  int64_t row_elements;
  cohort_value *gradient;            /* [vectors][tensors], NO_VALUE for those of frozen spaces */
  cohort_value *direction, *product; /* [tensors]; NO_VALUE where there is none */
  int states;                        /* numbers kept from batch to batch, by tensor */
  cohort_value *state, *next;        /* [states]; next: COHORT_NO_VALUE when it stays as it is */
  const cohort_space_tensor **kept;  /* [states]: where each lies */
} cohort_lane_graph;

/* `spaces` may be NULL when only the shape of the graph matters; else offsets are looked up by name. */
cohort_status cohort_lane_graph_create(const cohort_lane_source *source, const cohort_lane_graph_options *options,
                                       cohort_space *const *spaces, const cohort_kernel_set *kernels,
                                       cohort_lane_graph **out, cohort_error *error);
void cohort_lane_graph_destroy(cohort_lane_graph *graph);

/* Cuts the plan at the events of the buckets of its first `spaces` spaces (graph/partition.h): what a run binds then
 * has a place for every bucket, of the other spaces too. Once, before it runs. */
cohort_status cohort_lane_graph_partition(cohort_lane_graph *graph, const cohort_space_layout *layout, int spaces,
                                          cohort_error *error);
/* Lets the lanes of one rank, each on an executor of its own and all at once, keep activations in the row of gradients
 * of the leftmost one until gradients are written there. Of a cut graph whose lanes need not run together, once. */
void cohort_lane_graph_overlay(cohort_lane_graph *graph, const cohort_space_layout *layout, int executors);
/* Whether lanes must run phase by phase together. */
bool cohort_lane_graph_lockstep(const cohort_lane_graph *graph);

/* The task's bare graph, to make spaces from; destroyed by the caller. */
cohort_status cohort_lane_source_graph(const cohort_lane_source *source, cohort_graph **out, cohort_error *error);

/* What one executor needs to run any of some lane graphs. */
typedef struct cohort_lane_context {
  cohort_executor *executor;
  int slots;
  cohort_team team;                      /* the executor's */
  void **memory;                         /* bindings, reused */
  void **input;                          /* [slots][COHORT_MAX_TASK_INPUTS] */
  int64_t *position;                     /* [largest capacity] */
  int64_t (*extent)[COHORT_MAX_EXTENTS]; /* [slots]: of the lane that is alive in each */
  float inverse_count;
  cohort_recorder *recorder; /* or NULL */
} cohort_lane_context;
/* `slots`: lanes that are alive at once, the most of all graphs. */
cohort_status cohort_lane_context_create(int graphs, cohort_lane_graph *const *graph, int slots, int threads,
                                         cohort_lane_context *out, cohort_error *error);
void cohort_lane_context_release(cohort_lane_context *context);
/* From now on its runs are measured; NULL: no longer. */
void cohort_lane_context_record(cohort_lane_context *context, cohort_recorder *recorder);

/* What a run is about. */
typedef struct cohort_lane_pass {
  cohort_split split;
  bool direct, plain;            /* as in cohort_feed */
  int64_t count;                 /* samples of this lane */
  int64_t first, samples;        /* positions of the whole batch, as in cohort_feed */
  const cohort_relabel *relabel; /* as in cohort_feed */
  int lane;
  double inverse_count;          /* 1 / what the whole batch is divided by */
  const float *const *point;     /* [buckets] (uncut: [spaces]): weights; a bucket counts while it is needed */
  const float *const *direction; /* [buckets], or NULL */
  cohort_random_key random_key;
  int executor;               /* which of the rank's it is */
  float *leftmost;            /* row of the rank's leftmost lane, where a graph overlays activations */
  const cohort_lane_row *row; /* for the gradients of the objectives, then the product; NULL or empty: forward only */
  double *scalars;            /* [scalars]; filled in the last phase */
  float *kept;                /* [row_elements], filled in the last phase; or NULL */
  const float *state;         /* laid out as options.state; NULL: the graph keeps none */
  float *next;                /* the same, receives in the last phase what it becomes; or NULL */
} cohort_lane_pass;

/* Runs one phase; in phase 0 the samples at context->position[0..count) are fed. False: it was left before its end
 * (cohort_executor_stop_on). What it gives is then undefined, but what other lanes get of it in lane operations is 0,
 * so that they find no index out of range. */
bool cohort_lane_graph_run(const cohort_lane_source *source, const cohort_lane_graph *graph,
                           cohort_lane_context *context, int phase, int slot, const cohort_lane_pass *run);

#endif
