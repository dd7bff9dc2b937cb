/* A player: a space, its loss's gradient and its optimizer. It turns gradients into steps: several objectives into one
 * direction, norm and finiteness, clipping, the groups' updates on this rank's shard, and the gather of the new
 * weights.
 *
 * The gradient comes from an oracle: who runs the lanes (train/run.h), a round of clients (train/federated.h). */
#ifndef COHORT_TRAIN_PLAYER_H
#define COHORT_TRAIN_PLAYER_H

#include "base/log.h"
#include "io/checkpoint.h"
#include "kernel/kernel.h"
#include "method/optimizer/optimizer.h"
#include "method/registry.h"
#include "train/activity.h"
#include "train/fetch.h"
#include "train/settings.h"
#include "train/space.h"

typedef struct cohort_player cohort_player;

/* Evaluates the step's batch at the weights `point`. *rows receives the sums over lanes on this rank's shard:
 * `objectives` gradients one after another, then the Hessian-vector product with `direction` when that is not NULL.
 * losses[objectives] are the means over the batch. Collective. */
typedef struct cohort_oracle {
  void *argument;
  int objectives;
  cohort_status (*ask)(void *argument, const cohort_point *point, const float *direction, float **rows, double *losses,
                       cohort_error *error);
  /* Of the last ask's first gradient: the sum of squares of each of this rank's pieces, by the kernels' dot; others are
   * undefined. NULL: the player reads the gradient itself. */
  const double *(*squares)(void *argument);
} cohort_oracle;

/* What to build a player from. `optimizer`, `groups`, `aggregator`, `schedule` are read from the settings' documents.
 */
typedef struct cohort_player_plan {
  const cohort_settings *settings;
  const cohort_document *optimizer; /* instead of the settings' own (a federated server); NULL: theirs */
  cohort_space *space;
  cohort_comm *comm;
  const cohort_kernel_set *kernels;
  cohort_variant variant;
  int threads;
  int objectives;
  cohort_sharding sharding;      /* what it does with one rank is that of any */
  bool overlap;                  /* new weights travel while the next step begins */
  const cohort_holders *holders; /* stays the caller's */
  cohort_shard_sizes sizes;
} cohort_player_plan;

cohort_status cohort_player_create(const cohort_player_plan *plan, cohort_faults *faults, cohort_player **out,
                                   cohort_error *error);
void cohort_player_destroy(cohort_player *player);

const cohort_shards *cohort_player_shards(const cohort_player *player);
/* [pieces]: those whose weights it updates here; with sharding none all, else its own. */
const bool *cohort_player_updates(const cohort_player *player);

/* What it steps: the space's weights, and how they travel. Before the first step; all stay the caller's. Collective. */
cohort_status cohort_player_connect(cohort_player *player, const cohort_vector *weights, cohort_transfer *transfer,
                                    cohort_error *error);
/* The weights as an oracle takes them: some may still be on their way. */
cohort_point cohort_player_point(const cohort_player *player);
/* Waits until all weights are here. Collective. */
void cohort_player_settle(cohort_player *player);
/* What its step asks for: whether Hessian-vector products, how many evaluations, how many vectors of a driver. */
typedef struct cohort_player_needs {
  bool curvature;
  int asks, shadows;
} cohort_player_needs;
cohort_player_needs cohort_player_needs_of(const cohort_player *player);

/* From now on steps are measured; NULL: no longer. */
void cohort_player_record(cohort_player *player, cohort_recorder *recorder);

/* What this rank's element-wise updates took since the last call, and the bytes of parameters, gradients and state that
 * they read and wrote. */
typedef struct cohort_player_figures {
  double update_seconds, update_bytes;
} cohort_player_figures;
cohort_player_figures cohort_player_take_figures(cohort_player *player);

/* What a step reports; the same on all ranks. */
typedef struct cohort_step_report {
  double losses[16];
  double learning_rate, gradient_norm;
  bool applied; /* false: loss or gradient was not finite and nothing has changed */
} cohort_step_report;

/* Step number `step` (from 0) of `steps`: collective. COHORT_DIVERGED is not returned: look at report->applied. */
cohort_status cohort_player_step(cohort_player *player, const cohort_oracle *oracle, int64_t step, int64_t steps,
                                 cohort_step_report *report, cohort_error *error);

/* State vectors, for the checkpoint: one per state name, compact over the tensors that have it. */
typedef struct cohort_slot {
  const char *name;
  int tensors;
  cohort_stored_tensor *tensor;
  int64_t elements;
  float *values;         /* whole vector; this rank's part is current */
  cohort_shards *shards; /* who holds what, in the vector's own offsets; NULL: all hold all */
} cohort_slot;
int cohort_player_slots(const cohort_player *player);
const cohort_slot *cohort_player_slot(const cohort_player *player, int index);

/* A line a group: which tensors, which optimizer; for the log. Owned by the caller. */
char *cohort_player_describe(const cohort_player *player);

#endif
