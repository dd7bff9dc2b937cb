/* The inside of a training session, shared by loop.c (what happens at a step) and loop_ends.c (how it begins and ends)
 * alone. */
#ifndef COHORT_TRAIN_SESSION_LOOP_STATE_H
#define COHORT_TRAIN_SESSION_LOOP_STATE_H

#include <stdatomic.h>

#include "io/metrics.h"
#include "io/run_directory.h"
#include "train/session/loop.h"
#include "train/session/progress.h"
#include "train/session/summary.h"

/* A library loaded before the program may define `void cohort_step_ended(int64_t step)`: it is called at the end of
 * every step, so that tools can tell what happens inside steps. */
typedef void (*cohort_step_hook)(int64_t step);

/* Counters of communication as they stood at some moment. */
typedef struct cohort_traffic {
  uint64_t received, shared, sent, messages;
  double exposed, hidden;
} cohort_traffic;

typedef struct cohort_loop {
  cohort_settings *settings;
  cohort_comm *comm;
  cohort_log *log;
  cohort_run *run;
  const cohort_loop_program *program;
  int threads;
  cohort_run_directory directory;
  char *checkpoints;
  cohort_metrics *metrics; /* rank 0 */
  cohort_progress progress;
  cohort_session session;
  cohort_shared_memory *shared;             /* where the host's ranks see `stop` */
  _Atomic int *stop;                        /* not 0: a signal or the time limit asks to stop */
  bool kept[COHORT_SPLITS];                 /* a row of the step where the session began was there */
  bool clients_kept;                        /* one of the clients */
  int64_t saved_step;                       /* of the last checkpoint; -1: none yet */
  bool saves_fail, rows_fail;               /* it was said, and is still so */
  double start, step_seconds, loop_seconds; /* loop_seconds: from the first step to the end of the last */
  double last_logged;                       /* step_seconds at the last timing row */
  int64_t last_logged_samples;
  double last_logged_flops;
  int64_t first_samples; /* where the session began */
  cohort_traffic last_traffic;
  double peak_memory, peak_seen; /* bytes, as they stood at that clock second */
  double saved_bytes;            /* by this rank, in all saves */
  double evaluation_shown;       /* clock seconds of the last line about one */
  cohort_step_hook step_ended;   /* or NULL */
} cohort_loop;

/* File errors of rank 0 become everyone's. */
cohort_status cohort_loop_agree(const cohort_loop *loop, cohort_status status, cohort_error *error);
cohort_status cohort_loop_save(cohort_loop *loop, const char *directory, const char *name, cohort_error *error);
/* Collective. Evaluates what this step has due, at the end every split; what the rows of an earlier session tell
 * already is measured again only at the end, for the summary, and not written again. COHORT_STOPPED: a signal came, the
 * rest is left to who resumes. */
cohort_status cohort_loop_evaluate(cohort_loop *loop, cohort_error *error);
bool cohort_loop_due(int64_t every, int64_t step);

/* Clients (loop_clients.c). The columns of their rows in metrics.csv, names owned by the caller; returns how many. */
#define COHORT_LOOP_CLIENTS "clients"
enum { COHORT_CLIENT_COLUMNS = COHORT_CLIENT_FIGURES * COHORT_CLIENT_STATISTICS };
int cohort_loop_client_columns(const cohort_run *run, char *name[COHORT_CLIENT_COLUMNS]);
/* Their values, of `clients` (NULL: empty ones); returns how many. */
int cohort_loop_client_values(const cohort_run *run, const cohort_client_results *clients,
                              double value[COHORT_CLIENT_COLUMNS]);
/* Collective. Evaluates them when this step has it due, or is the last. COHORT_STOPPED: as cohort_loop_evaluate. */
cohort_status cohort_loop_evaluate_clients(cohort_loop *loop, cohort_error *error);
/* plots/labels.svg, where samples have labels. */
void cohort_loop_draw_labels(const cohort_loop *loop);
/* A row of metrics.csv: of split train, with what the optimizer reports; of the clients, with `clients`; else of a
 * split. */
void cohort_loop_write_row(cohort_loop *loop, const char *split, const cohort_run_row *row,
                           const cohort_client_results *clients);
/* Of the steps so far; what follows is not theirs. Collective. */
cohort_traffic cohort_loop_traffic(cohort_loop *loop);
/* Forgets the traffic since `then`: evaluation and saving are not charged to the steps. */
void cohort_loop_restore_traffic(cohort_comm *comm, const cohort_traffic *then);

/* Opens the run directory, finds what to go on from, and opens the files. */
cohort_status cohort_loop_begin(cohort_loop *loop, const char *run_path, cohort_error *error);
/* From here on the first signal stops the run at a step. */
cohort_status cohort_loop_listen(cohort_loop *loop, cohort_error *error);
/* Summary, profile and plots of a session that came to `status`: COHORT_DONE, COHORT_STOPPED or COHORT_DIVERGED, which
 * are returned. */
cohort_status cohort_loop_finish(cohort_loop *loop, cohort_status status, cohort_error *error);
void cohort_loop_close(cohort_loop *loop);

#endif
