/* Scalars for TensorBoard: one event file a session, in the run's tensorboard/. */
#ifndef COHORT_IO_TENSORBOARD_H
#define COHORT_IO_TENSORBOARD_H

#include <stdint.h>

#include "base/status.h"

typedef struct cohort_tensorboard cohort_tensorboard;

/* The file's name holds the step the session starts from (`resume_step`, or 0 for -1, a fresh run), so that files sort
 * by session. A resumed session says where it starts (SessionLog START at `resume_step` + 1): readers drop what earlier
 * files tell of later steps, and files of sessions that began later are removed. */
cohort_status cohort_tensorboard_open(const char *run_directory, int64_t resume_step, cohort_tensorboard **out,
                                      cohort_error *error);
/* What cannot be written is dropped: metrics.csv is the record. */
void cohort_tensorboard_scalar(cohort_tensorboard *board, int64_t step, const char *tag, double value);
/* What was told so far can be read. */
void cohort_tensorboard_flush(cohort_tensorboard *board);
void cohort_tensorboard_close(cohort_tensorboard *board);

#endif
