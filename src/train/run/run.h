/* A run: task, spaces, plans, lanes and player with all their state. It can step, evaluate, be saved and be loaded; it
 * knows no terminal and no run directory (train/session/loop.h does). */
#ifndef COHORT_TRAIN_RUN_RUN_H
#define COHORT_TRAIN_RUN_RUN_H

#include "base/comm.h"
#include "base/log.h"
#include "train/engine/client_evaluation.h"
#include "train/engine/label_map.h"
#include "train/profile/profile.h"
#include "train/task/task.h"
#include "update/updater.h"

typedef struct cohort_run cohort_run;

/* Collective. `threads` of this rank. Settings and communicator stay as they are; both, and the config behind the
 * settings, must outlive the run. All faults of the config are reported together, before big memory is taken. Runs
 * nest: a process may hold many, on a communicator of some of the ranks (cohort_comm_part_open) or of one. */
cohort_status cohort_run_create(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                                cohort_run **out, cohort_error *error);
/* The same without the memory it needs: it can be described and estimated (train/run/estimate.h), not stepped.
 * Collective.
 */
cohort_status cohort_run_plan(const cohort_settings *settings, cohort_comm *comm, const cohort_log *log, int threads,
                              cohort_run **out, cohort_error *error);
void cohort_run_destroy(cohort_run *run);

/* The config with every key that the run uses, and its methods in full. */
const cohort_document *cohort_run_expanded(const cohort_run *run);
/* The world that the run lives in, for its counters. */
cohort_comm *cohort_run_comm(const cohort_run *run);
const cohort_task *cohort_run_task(const cohort_run *run);
const cohort_space *cohort_run_space(const cohort_run *run, int number); /* NULL past the last */
const cohort_space *cohort_run_state(const cohort_run *run);             /* what model and losses keep; NULL: nothing */
const cohort_updater *cohort_run_updater(const cohort_run *run);
/* How many columns its optimizer reports, and its rounds of clients, with their names. */
int cohort_run_reports(const cohort_run *run);
int cohort_run_round_columns(const cohort_run *run, const char **name);
/* What its rounds of clients promise of privacy, after so many, as a line; owned by the caller; NULL: nothing. */
char *cohort_run_private_text(const cohort_run *run, int64_t rounds);
/* The steps that its budget of privacy allows; INT64_MAX: it has none. */
int64_t cohort_run_limit(const cohort_run *run);
int cohort_run_lanes(const cohort_run *run);
const char *cohort_run_kernels(const cohort_run *run);
cohort_isa cohort_run_isa(const cohort_run *run); /* of its kernels */

/* Where the run stands; all are functions of the steps taken. */
typedef struct cohort_run_position {
  int64_t step;    /* steps done */
  int64_t samples; /* of the training stream consumed */
  int64_t tokens;  /* 0 without tokens */
  double epoch;
} cohort_run_position;
cohort_run_position cohort_run_where(const cohort_run *run);

typedef struct cohort_run_row {
  cohort_step_report report;
  double loss; /* sum of the objectives' means, weighted where the aggregator's weights are fixed */
  double columns[COHORT_MAX_METRICS]; /* the task's, NaN when not measured; those of the optimizer: report.columns */
  double round[COHORT_MAX_ROUND_COLUMNS]; /* of a round of clients; NaN when there is none to tell */
  const char *refusal; /* why a round of clients has changed nothing, until the next one; NULL: it was not refused */
  bool flagged;        /* some rank raised its flag */
} cohort_run_row;

/* From now on a step or an evaluation is left as soon as *flag (of any rank) is not 0, which anybody may write at any
 * moment: cohort_run_step and cohort_run_evaluate then return COHORT_STOPPED on all ranks, and the run stands where it
 * stood. A step whose updates have begun is done to its end. The flag stays the caller's; NULL: never. */
void cohort_run_stop_on(cohort_run *run, const _Atomic int *flag);

/* Collective. One step; `flag` is this rank's wish to stop, agreed with everything else in the step. A step that is not
 * applied counts as a step (its batch is passed over). */
cohort_status cohort_run_step(cohort_run *run, bool flag, cohort_run_row *row, cohort_error *error);

/* Collective. Every sample of the split counts once. `samples` 0 in the task: BAD_CONFIG. */
cohort_status cohort_run_evaluate(cohort_run *run, cohort_split split, cohort_run_row *row, cohort_error *error);
/* Collective: so many texts as evaluate.samples says, into the log. */
cohort_status cohort_run_write_samples(cohort_run *run, cohort_error *error);
/* Whether its clients are evaluated, and what each evaluation measures of them (federated runs alone). */
bool cohort_run_evaluates_clients(const cohort_run *run, bool measured[COHORT_CLIENT_FIGURES]);
/* Collective. Clients on samples of their own. COHORT_STOPPED: it was left. */
cohort_status cohort_run_evaluate_clients(cohort_run *run, cohort_client_results *out, cohort_error *error);
/* Which labels clients hold; false: samples have no labels. Released by the caller. Not collective. */
bool cohort_run_label_map(const cohort_run *run, cohort_label_map *out);
/* Samples that a client trains on. */
int64_t cohort_run_client_samples(const cohort_run *run, int64_t client);
/* Fills the task's table, if it has one, by the weights as they are: once, before the first step. Collective. */
cohort_status cohort_run_score(cohort_run *run, cohort_error *error);

/* The lowest loss of an evaluation and its step (-1: there was none), through saves and resumes. */
typedef struct cohort_run_best {
  int64_t step;
  double loss;
} cohort_run_best;
cohort_run_best cohort_run_best_evaluation(const cohort_run *run);
/* An evaluation of this step. `end`: one that is made only because the run ends here. */
void cohort_run_note_evaluation(cohort_run *run, double loss, bool end);
/* After a resume from `path`, which was the end of a shorter run: forgets the evaluation that only its end has made, so
 * that what follows is what a run of more steps gives. Collective. */
void cohort_run_forget_end(cohort_run *run, const char *path);
/* Whether every step so far had the learning rates that a run of `steps` gives; `before`: of how many it was one. */
bool cohort_run_same_schedule(const cohort_run *run, int64_t before, int64_t steps);

/* What the run saves it saves only while this lock is held (io/run_lock.h); it must be there at every save. */
struct cohort_run_lock;
void cohort_run_guard(cohort_run *run, const struct cohort_run_lock *lock);

/* Collective. Name NULL: step_N.h5 and `latest`. */
cohort_status cohort_run_save(cohort_run *run, const char *directory, const char *name, uint64_t *bytes_written,
                              cohort_error *error);
/* Collective. The newest that is whole of the directory's checkpoints and `last`, the file that a run leaves at its
 * end; either may be missing. path: owned by the caller. */
cohort_status cohort_run_resume(cohort_run *run, const char *directory, const char *last, bool *found, char **path,
                                cohort_error *error);
/* Collective. The run's state in this rank's memory, to be taken up by a run of the same config on as many ranks. */
typedef struct cohort_snapshot {
  void *memory; /* owned by the caller: cohort_snapshot_release */
  size_t bytes;
} cohort_snapshot;
void cohort_run_to_memory(cohort_run *run, cohort_snapshot *out);
/* COHORT_BUG when it is of a run of another shape. */
cohort_status cohort_run_from_memory(cohort_run *run, const cohort_snapshot *snapshot, cohort_error *error);
void cohort_snapshot_release(cohort_snapshot *snapshot);

/* Whether the config names files whose weights the run begins with. */
bool cohort_run_begins_elsewhere(const cohort_run *run);
/* Collective. Weights from a checkpoint, by name; NULL: from the spaces' own files alone. A frozen reference becomes
 * the model's; what the file lacks keeps its start and is named in the log. `every_space`: each space what the file
 * holds for it, which must be all of it. */
cohort_status cohort_run_take_weights(cohort_run *run, const char *path, bool every_space, cohort_error *error);

/* The vector to use of a space in a file: an optimizer may keep another for that than the one it trains. Owned by the
 * caller. Not collective. */
char *cohort_run_vector_in(const char *path, const char *space);

/* Counters of this rank since the last call. */
typedef struct cohort_run_counters {
  double busy_seconds; /* of its executors, summed */
  double flops;        /* of products in this rank's steps */
  int64_t samples;     /* this rank's lanes' samples */
} cohort_run_counters;
cohort_run_counters cohort_run_take_counters(cohort_run *run);
/* Of products in the steps of all ranks since counters were last taken: every lane has the same. */
double cohort_run_flops(const cohort_run *run);

/* Takes `count` pieces of `bytes` from what lanes compute in, for use between steps; false when there is less. */
bool cohort_run_borrow(const cohort_run *run, size_t bytes, int count, void **piece);
/* Gives back what lanes compute in; afterwards the run cannot step or evaluate. */
void cohort_run_release_lanes(cohort_run *run);

/* Threads of this rank that are left over while lanes run: its executors have equally many. */
int cohort_run_idle_threads(const cohort_run *run);

/* The profile of its steps when the settings ask for one, else NULL. */
cohort_profile *cohort_run_profile(const cohort_run *run);

/* Counters of this rank's updates since the last call. */
cohort_updater_counters cohort_run_take_updater_counters(cohort_run *run);

/* Waits until what the last step has sent to the others is there. Collective. */
void cohort_run_wait(cohort_run *run);

/* A few lines of what is trained: data, model, optimizer, batch, steps; and of how: lanes and how they are spread, what
 * is sharded, memory of an executor. Owned by the caller. */
char *cohort_run_describe(const cohort_run *run);
char *cohort_run_describe_plan(const cohort_run *run);

/* The global random key of a purpose and a step, for dropout and draws. */
cohort_random_key cohort_run_key(const cohort_settings *settings, const char *purpose, int64_t number);

#endif
