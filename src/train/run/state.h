/* The inside of a run, shared by the files of src/train/run alone. */
#ifndef COHORT_TRAIN_RUN_STATE_H
#define COHORT_TRAIN_RUN_STATE_H

#include "lane/exchange.h"
#include "lane/graph.h"
#include "state/gradient_arena.h"
#include "state/prefetch.h"
#include "train/engine/federated.h"
#include "train/engine/sampled.h"
#include "train/player/player.h"
#include "train/run/per_sample.h"
#include "train/run/run.h"
#include "train/task/task.h"

struct cohort_run {
  cohort_settings *settings; /* own: with its own expanded config, and what a |command printed */
  cohort_settings own;
  cohort_comm *comm;
  const cohort_log *log;
  int threads, lanes;
  cohort_task task;
  const cohort_kernel_set *kernels;
  cohort_isa isa;
  cohort_variant variant;
  cohort_spaces spaces;
  cohort_sharding sharding;
  bool plan_only;              /* to know what it would take */
  cohort_shard_group *members; /* between whom spaces are dealt */
  cohort_link link;
  cohort_comm apart;                       /* the same ranks, each a host by itself, when they shall not share memory */
  cohort_updater *updater;                 /* of the first space */
  cohort_player player[COHORT_MAX_SPACES]; /* of the other trained ones, by number */
  bool begun;                              /* it has stepped or was resumed: vectors of its optimizer count */
  cohort_lane_engine *engine;
  /* Plans of a step's questions, each made only when the optimizer asks it: the gradient, the gradient with a
   * Hessian-vector product (`train` itself when every step wants it), losses alone. */
  cohort_lane_graph *train, *product, *losses, *evaluate;
  /* The same of other subjects; that of COHORT_LANE_OBJECTIVES is NULL. */
  cohort_lane_graph *subject[COHORT_LANE_SUBJECTS];
  cohort_prefetch *subject_prefetch[COHORT_LANE_SUBJECTS];
  cohort_per_sample *per_sample; /* or NULL */
  cohort_prefetch *train_prefetch, *product_prefetch, *losses_prefetch, *evaluate_prefetch;
  float *prefetched;                        /* arena of sharded parameters */
  cohort_space gathered[COHORT_MAX_SPACES]; /* whole on this rank, for tasks that ask; memory: of sharded ones */
  uint64_t scored_by;      /* digest of the file whose weights made the task's scores; 0: they were drawn */
  const float **direction; /* [buckets of a row] */
  cohort_gradient_arena arena;
  cohort_federation *federation;
  cohort_sampled *sampled;        /* what draws batches; NULL: epochs follow one another */
  cohort_choice strategy, server; /* of a federated run; strategy without a method: the server is any optimizer */
  cohort_lane_context *context;   /* [executors] */
  float *spare;                   /* [executors][row]: what a pass that is run again writes of gradients; or NULL */
  int64_t *spare_place, spare_vectors; /* [buckets]; vectors of each */
  void *exchange;                      /* for lane operations */
  int64_t step, samples;               /* of the stream */
  cohort_run_best best, before_end;    /* before_end: without the evaluation of the end */
  bool ended;                          /* the last evaluation was one of the end alone, at this step */
  const _Atomic int *stop;             /* or NULL */
  cohort_run_counters counters;
  cohort_profile *profile;     /* or NULL */
  const cohort_run_lock *lock; /* of the run directory, or NULL */
};

/* The player of a trained space. */
cohort_updater *cohort_run_player(const cohort_run *run, int space);
/* Waits until all weights are here. Collective. */
void cohort_run_wait_for_weights(const cohort_run *run);

/* What its lanes can answer: COHORT_WANTS_... */
unsigned cohort_run_answers(const cohort_run *run);

/* The text of a checkpoint that names the vector to use of a space, where that is not its parameters; owned by the
 * caller. */
char *cohort_run_evaluated_text(const char *space);

/* Whether its lanes run one after another although values cross them, from the start again for every exchange. */
/* Whether other plans write gradients beside the step's own: then rows have all their room at once. */
bool cohort_run_has_more_rows(const cohort_run *run);
bool cohort_run_recomputes(const cohort_run *run, const cohort_lane_graph *graph);
/* Where its passes that are run again leave gradients that nobody reads. */
cohort_status cohort_run_make_spare(cohort_run *run, int graphs, cohort_lane_graph *const *graph, int executors,
                                    cohort_error *error);
/* Whether lanes of work on a graph run phase by phase together: values cross lanes, or its parameters come and go, or
 * its gradients leave before another lane's. */
bool cohort_run_lockstep(const cohort_run *run, const cohort_lane_graph *graph);

/* Collective. Positions [base, base + samples) of a split through the graph that is not for training, `lane_samples` of
 * them in each lane (0: cut evenly, as a step's batch is). rows[lanes][row elements of the graph]: what leaves the
 * lanes of this rank. COHORT_STOPPED: it was left. */
cohort_status cohort_run_forward(cohort_run *run, cohort_split split, int64_t base, int64_t samples,
                                 int64_t lane_samples, float *rows, cohort_error *error);

/* Scores: a row table of what the weights at the start say of every sample (train/run/scores.c). Collective. Before
 * lanes run: reads those of this rank's positions [first, last). */
void cohort_run_fetch_scores(cohort_run *run, cohort_split split, int64_t first, int64_t last);
/* What they were made from, as a checkpoint's text; NULL: the task has none. Owned by the caller. */
char *cohort_run_scores_text(const cohort_run *run);
/* Collective. After they were loaded from `path`: COHORT_BAD_DATA when they are about other data than the run's, or
 * were made by other weights than those that it begins with. */
cohort_status cohort_run_check_scores(cohort_run *run, const char *path, cohort_error *error);
/* Collective. The scores of a checkpoint, alone. */
cohort_status cohort_run_take_scores(cohort_run *run, const char *path, cohort_error *error);

/* Collective. A round's step was applied, or not: its row, and what clients and modules keep. A round that nobody takes
 * part in, and that has no step. */
void cohort_run_end_round(cohort_run *run, cohort_run_row *row);
cohort_status cohort_run_pass_round(cohort_run *run, cohort_run_row *row, cohort_error *error);

/* Batches that a sampler draws (train/engine/sampled.h): made where the config has one; the batch of the step in hand,
 * whose samples stand at the positions from run->samples on; what has been spent, as a row tells it. */
cohort_status cohort_run_make_sampled(cohort_run *run, cohort_faults *faults, cohort_error *error);
int64_t cohort_run_draw(cohort_run *run);
void cohort_run_fill_account(const cohort_run *run, cohort_run_row *row);

/* Collective. What the task does before a step (train/task/task.h). */
cohort_status cohort_run_prepare(cohort_run *run, cohort_error *error);
/* Collective: a space with the weights as they are, whole on this rank; its vector stays where it is from call to call.
 */
cohort_status cohort_run_whole_weights(cohort_run *run, int number, const cohort_space **out, cohort_error *error);
/* Collective. A step of a task without a model: its items, dealt over lanes. */
cohort_status cohort_run_block(cohort_run *run, cohort_run_row *row, cohort_error *error);

#endif
