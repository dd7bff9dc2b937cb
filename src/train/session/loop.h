/* The loop around a run: run directory, resume, steps, evaluation, checkpoints, signals, metrics, plots and the
 * summary. */
#ifndef COHORT_TRAIN_SESSION_LOOP_H
#define COHORT_TRAIN_SESSION_LOOP_H

#include "mpi/topology.h"
#include "train/run/run.h"

/* Provenance that the program knows: version, commit. */
typedef struct cohort_loop_program {
  const char *version, *commit;
  const char *blas, *blas_before;  /* OpenBLAS's core; the one it had chosen itself when that was changed, or NULL */
  const cohort_topology *topology; /* printed with the run's first lines; or NULL */
} cohort_loop_program;

/* Collective. Trains to the end, or until a signal (SIGTERM, SIGINT, SIGUSR1) or max_seconds: then saves and returns
 * COHORT_STOPPED (train/session/signals.h). A run that is at its end already is left as it is, in milliseconds. A step
 * that diverges ends the run with its summary and COHORT_DIVERGED. `run_path` is the run directory; its log.txt is
 * opened as the log's file, for the caller to close. */
cohort_status cohort_loop_train(cohort_settings *settings, const char *run_path, cohort_comm *comm, cohort_log *log,
                                int threads, const cohort_loop_program *program, cohort_error *error);

#endif
