/* The update engine: it alone calls a method's update. It reads an optimizer's document (drivers around a base, groups
 * of tensors with updates of their own), keeps their state, asks an oracle and moves the weights of one space: several
 * objectives into one direction, norm and finiteness, clipping, schedule, decay by role, the passes of the updates on
 * this rank's shard, and the gather of the new weights. Generic in type: a player trains with it in float32, a probe
 * and the contract tests run it in float64 as well.
 *
 * Intended usage:
 *   cohort_updater_create(&plan, &faults, &updater, &error);   all faults of the config together
 *   cohort_updater_connect(updater, &connection, &error);
 *   for each step: cohort_updater_step(updater, &oracle, step, steps, &report, &error);
 *   cohort_updater_destroy(updater);
 * State is saved and loaded through its slots (cohort_updater_slot). Nothing is allocated in a step. */
#ifndef COHORT_UPDATE_UPDATER_H
#define COHORT_UPDATE_UPDATER_H

#include "base/log.h"
#include "io/checkpoint.h"
#include "method/aggregator/aggregator.h"
#include "method/registry.h"
#include "state/activity.h"
#include "state/collective.h"
#include "update/oracle.h"

typedef struct cohort_updater cohort_updater;

/* What to build one from. Documents may be NULL but for `optimizer` (or `made`): one group, a constant schedule, the
 * sum. */
typedef struct cohort_updater_options {
  const cohort_document *optimizer, *groups, *schedule, *aggregator;
  const cohort_choice *made; /* an update that is set up already, copied, instead of `optimizer` and groups; or NULL */
  cohort_document *expanded; /* receives every method with all its parameters; may be NULL */
  const char *optimizer_path, *groups_path; /* their keys: "optimizer", "groups" */
  double clip;                              /* largest norm of a gradient; 0: none */
  uint64_t seed;
  cohort_space *space; /* stays the caller's; row-cut tensors get pieces of whole rows (cohort_space_cut_rows) */
  cohort_comm *comm;
  const cohort_kernel_set *kernels;  /* its type is the engine's */
  const cohort_kernel_set *products; /* for products of updates, of the same type; NULL: kernels */
  cohort_variant variant;
  int threads;
  int objectives;
  cohort_sharding sharding;          /* what it does with one rank is that of any */
  bool overlap;                      /* new weights travel while the next step begins */
  cohort_activity activity;          /* as what its updates are measured */
  bool unjudged;                     /* neither norm nor finiteness is looked at: a client's own steps without a clip */
  bool plan_only;                    /* layout and sizes alone: no memory of state */
  const cohort_shard_group *members; /* stays the caller's */
  cohort_shard_sizes sizes;
} cohort_updater_options;

cohort_status cohort_updater_create(const cohort_updater_options *options, cohort_faults *faults, cohort_updater **out,
                                    cohort_error *error);
void cohort_updater_destroy(cohort_updater *updater);

const cohort_shards *cohort_updater_shards(const cohort_updater *updater);
/* [tensors]: how its updates cut each. */
const cohort_cut *cohort_updater_cuts(const cohort_updater *updater);
/* [pieces]: those whose weights it updates here; with sharding none all, else its own. */
const bool *cohort_updater_updates(const cohort_updater *updater);

/* What it steps, and how that travels; all stay the caller's. */
typedef struct cohort_updater_connection {
  const cohort_vector *weights;  /* of its space */
  cohort_collective *collective; /* NULL: one rank */
  int first_bucket;              /* of its space among the collective's */
  int64_t row;                   /* elements between an answer's gradients; 0: its space's */
} cohort_updater_connection;
/* Before the first step. Collective. */
cohort_status cohort_updater_connect(cohort_updater *updater, const cohort_updater_connection *connection,
                                     cohort_error *error);
/* All state as at the start, for another run of steps from step 0. */
void cohort_updater_reset(cohort_updater *updater);
/* The weights as an oracle takes them: some may still be on their way. */
cohort_point cohort_updater_point(const cohort_updater *updater);
/* The vector that is evaluated instead of the weights, and the name of its slot; NULL: none. Collective. */
const cohort_vector *cohort_updater_evaluated(cohort_updater *updater);
const char *cohort_updater_evaluated_slot(const cohort_updater *updater);
/* Waits until all weights are here. Collective. */
void cohort_updater_wait(cohort_updater *updater);

/* Whether the first `step` steps (at least 1) have the same learning rates in runs of `before` and of `steps` steps; a
 * sample of them is looked at. */
bool cohort_updater_same_schedule(const cohort_updater *updater, int64_t step, int64_t before, int64_t steps);

/* What its steps ask for, for plans and estimates. */
typedef struct cohort_updater_needs {
  unsigned wants;    /* COHORT_WANTS_... */
  bool hvp_diagonal; /* Hessian-vector products with signs drawn */
  int64_t hvp_diagonal_every;
  int asks;    /* gradients in a step at most */
  int vectors; /* of drivers, like the weights; a rank holds its share */
  int whole;   /* of them, that are asked about or evaluated: then it holds all */
  /* What a question about a gradient is answered with: that of sum_i weight[i] * objective_i (summed), or one of each
   * objective, whose weights are 1 here. */
  bool summed;
  int gradients;
  double weight[COHORT_MAX_OBJECTIVES];
} cohort_updater_needs;
cohort_updater_needs cohort_updater_needs_of(const cohort_updater *updater);

/* From now on steps are measured; NULL: no longer. */
void cohort_updater_record(cohort_updater *updater, cohort_recorder *recorder);

/* What this rank's element-wise updates took since the last call, and the bytes of parameters, gradients and state that
 * they read and wrote. */
typedef struct cohort_updater_counters {
  double update_seconds, update_bytes;
} cohort_updater_counters;
cohort_updater_counters cohort_updater_take_counters(cohort_updater *updater);

enum { COHORT_MAX_COLUMNS = 16 };
/* Columns of metrics.csv that its methods report, "optimizer/NAME"; returns how many. */
int cohort_updater_columns(const cohort_updater *updater, const char **name);

/* What a step reports; the same on all ranks. */
typedef struct cohort_step_report {
  double losses[COHORT_MAX_OBJECTIVES];
  double learning_rate, gradient_norm;
  double columns[COHORT_MAX_COLUMNS]; /* NAN: not reported in this step */
  bool applied;                       /* false: loss or gradient was not finite and nothing has changed */
} cohort_step_report;

/* Step number `step` (from 0) of `steps`: collective. COHORT_DIVERGED is not returned: look at report->applied. */
cohort_status cohort_updater_step(cohort_updater *updater, const cohort_oracle *oracle, int64_t step, int64_t steps,
                                  cohort_step_report *report, cohort_error *error);

/* Its learning rate: of the last group's update, else of the driver. The schedule's factor comes on top. */
double cohort_updater_rate(const cohort_updater *updater);

/* The same with the schedule's factor given. */
cohort_status cohort_updater_step_by(cohort_updater *updater, const cohort_oracle *oracle, int64_t step, int64_t steps,
                                     double factor, cohort_step_report *report, cohort_error *error);

/* The kernels of a variant: an engine's type. */
const cohort_kernel_set *cohort_updater_kernels(cohort_variant variant);

/* State, for the checkpoint: one slot per state name (compact over the tensors that have it) and per kept vector. */
typedef struct cohort_slot {
  const char *name;
  cohort_state_type type;
  bool scratch; /* is not saved */
  bool vector;  /* of a driver: laid out like the weights */
  int tensors;
  cohort_stored_tensor *tensor;
  int64_t elements;
  void *values;          /* whole; this rank's part is current */
  cohort_shards *shards; /* who holds what, in the slot's own offsets; NULL: all hold all */
} cohort_slot;
/* Slots have been filled from outside. */
void cohort_updater_loaded(cohort_updater *updater);
/* Bytes of the whole state, vectors of drivers apart. */
double cohort_updater_state_bytes(const cohort_updater *updater);
/* The same as one rank takes it, which uses every page. */
double cohort_updater_taken_bytes(const cohort_updater *updater);
/* The share of what the first of so many ranks writes of a vector that another of so many members holds. */
double cohort_updater_foreign_share(const cohort_updater *updater, int ranks, int members);
/* Room that updates compute in, of so many threads. */
double cohort_updater_workspace_bytes(const cohort_updater *updater, int threads);
int cohort_updater_slots(const cohort_updater *updater);
const cohort_slot *cohort_updater_slot(const cohort_updater *updater, int index);
size_t cohort_updater_type_size(const cohort_updater *updater, cohort_state_type type);
static inline size_t cohort_slot_bytes(const cohort_updater *updater, const cohort_slot *slot) {
  return (size_t)slot->elements * cohort_updater_type_size(updater, slot->type);
}

/* A line a group: which tensors, which optimizer; for the log. Owned by the caller. */
char *cohort_updater_describe(const cohort_updater *updater);

/* Whether a tensor of this role decays by default: matrices, kernels, embeddings and heads do; norms and biases do not.
 */
bool cohort_role_decays(cohort_role role);

#endif
