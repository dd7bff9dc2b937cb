/* The counters of a training session, gathered from all ranks, for people (a table) and programs (summary.json). */
#ifndef COHORT_TRAIN_SESSION_SUMMARY_H
#define COHORT_TRAIN_SESSION_SUMMARY_H

#include "train/run/run.h"
#include "train/session/loop.h"

typedef struct cohort_session {
  const char *run_path;
  const char *outcome;  /* "done", "stopped", "diverged" */
  const char *reason;   /* the error of a run that has diverged, else NULL */
  const char *ended_by; /* what ended it before its steps; NULL: nothing */
  double seconds;       /* of the steps of this session, evaluation and saving not counted */
  double total_seconds, evaluation_seconds, checkpoint_seconds;
  int64_t first_step;
  cohort_run_row last_train;                /* when `trained` */
  bool trained;                             /* a step of this session was applied */
  double train_loss;                        /* of the last row before this session; NaN: there is none */
  cohort_run_row evaluation[COHORT_SPLITS]; /* the last of each split, when `evaluated` */
  bool evaluated[COHORT_SPLITS];
  cohort_client_results clients; /* the last of clients, when `clients_evaluated` */
  bool clients_evaluated;
  uint64_t checkpoint_bytes; /* written by this rank in the last save */
  double baseline_nats;      /* NaN: none */
  double tokens_per_byte;
  int baseline_order;
} cohort_session;

/* Peak resident memory of this process in bytes. */
double cohort_peak_memory(void);

/* Collective. Prints the table on rank 0 and writes summary.json. */
cohort_status cohort_summary_write(cohort_run *run, const cohort_session *session, cohort_comm *comm,
                                   const cohort_log *log, int threads, const cohort_loop_program *program,
                                   cohort_error *error);

#endif
