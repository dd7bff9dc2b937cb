/* The run directory: made, owned and checked. */
#ifndef COHORT_IO_RUN_DIRECTORY_H
#define COHORT_IO_RUN_DIRECTORY_H

#include <stdbool.h>

#include "base/comm.h"
#include "base/document.h"
#include "base/parameter.h"
#include "base/status.h"
#include "io/file.h"
#include "io/run_lock.h"

typedef struct cohort_run_directory {
  char *path;
  cohort_run_lock lock; /* rank 0 holds it; every rank can ask whether the directory is still this job's */
  bool fresh;           /* there was no run here */
} cohort_run_directory;

/* Collective. Creates the directory (with parents) or takes it over. Refused: one that another job
 * owns (io/run_lock.h), one whose config.yaml differs from `expanded` in a key that may not
 * change (all changed keys are listed as `key: old -> new`; `may_change` tells by dotted key) once the run has written
 * metrics or a checkpoint, one that is a file or unwritable. Writes config.yaml (expanded) through a rename. Makes
 * checkpoints/, plots/, tensorboard/. */
cohort_status cohort_run_directory_open(cohort_comm *comm, const char *path, const cohort_document *expanded,
                                        bool (*may_change)(const char *key), cohort_run_directory *out,
                                        cohort_error *error);
void cohort_run_directory_close(cohort_run_directory *directory);

#endif
