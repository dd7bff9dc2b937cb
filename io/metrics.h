/* A run's numbers on disk, written by one rank: metrics.csv (deterministic columns alone), timing.csv, TensorBoard
 * events. metrics.csv: step,split,epoch,samples,tokens,loss,learning_rate,gradient_norm, then method columns in
 * alphabetical order; floats as %.9g; an empty field is "not measured" (NaN given with measured = false).
 *
 * Every row goes to the system at once, and to the disk with cohort_metrics_sync. Rows that a full disk does not take
 * wait in memory and go with a later one, so that a run goes on and its files lack nothing once there is room: a write
 * that returns COHORT_NO_RESOURCE is to be told, once, and is no end. */
#ifndef COHORT_IO_METRICS_H
#define COHORT_IO_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_metrics cohort_metrics;

/* Opens (creates, or continues) metrics.csv, timing.csv and tensorboard/ of the run directory; rows of steps after
 * `resume_step` (-1: a fresh run, everything is cut) are removed first, through a temporary file and a rename. So are
 * rows of `resume_step` itself whose split is in the NULL-ended list `ended` (or NULL): what only the end of a shorter
 * run has measured. `columns` are the method columns ("preference/accuracy"), sorted here. A header that differs is an
 * error. */
cohort_status cohort_metrics_open(const char *run_directory, int64_t resume_step, const char *const *ended, int columns,
                                  const char *const *column, cohort_metrics **out, cohort_error *error);
/* Whether opening has kept a row of `resume_step` of this split. */
bool cohort_metrics_kept(const cohort_metrics *metrics, const char *split);
/* Step and loss of the last row of split train that opening has kept; -1: there is none. */
int64_t cohort_metrics_last_train(const cohort_metrics *metrics, double *loss);

/* Brings all rows to the disk: with every checkpoint, so that a checkpoint that survives has its rows. */
cohort_status cohort_metrics_sync(cohort_metrics *metrics, cohort_error *error);
/* COHORT_NO_RESOURCE when rows could not be written to the end; NULL is fine. */
cohort_status cohort_metrics_close(cohort_metrics *metrics, cohort_error *error);

typedef struct cohort_metrics_row {
  int64_t step;
  const char *split;       /* train, validation, test */
  double epoch;            /* NaN: empty; the same for the doubles below */
  int64_t samples, tokens; /* -1: empty */
  double loss, learning_rate, gradient_norm;
  const double *extra; /* one per column in the order given to open; NaN: empty */
} cohort_metrics_row;
cohort_status cohort_metrics_write(cohort_metrics *metrics, const cohort_metrics_row *row, cohort_error *error);

typedef struct cohort_timing_row {
  int64_t step;
  double seconds; /* since the run's start, all sessions */
  double samples_per_second, tokens_per_second, gflops_per_second;
  double exposed_communication_seconds; /* in this interval */
  double checkpoint_seconds, evaluation_seconds;
  uint64_t bytes_received; /* by rank 0, in this interval: messages, and reads of other ranks' memory */
  double peak_memory_bytes;
  uint64_t messages;                   /* sent by rank 0, in this interval */
  double hidden_communication_seconds; /* in this interval: messages were on their way while rank 0 computed */
} cohort_timing_row;
cohort_status cohort_metrics_write_timing(cohort_metrics *metrics, const cohort_timing_row *row, cohort_error *error);

#endif
