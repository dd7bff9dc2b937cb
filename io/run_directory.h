/* The run directory: made, owned and checked. */
#ifndef COHORT_IO_RUN_DIRECTORY_H
#define COHORT_IO_RUN_DIRECTORY_H

#include <stdbool.h>

#include "base/comm.h"
#include "base/document.h"
#include "base/parameter.h"
#include "base/status.h"
#include "io/file.h"

typedef struct cohort_run_directory {
  char *path;
  int lock;   /* file descriptor of the lock, held by rank 0; -1 elsewhere */
  bool fresh; /* there was no run here */
} cohort_run_directory;

/* Collective. Creates the directory (with parents) or takes it over. Refused: one in use by a living process of any
 * host that sees the lock (fcntl/flock on `lock`), one whose config.yaml differs from `expanded` in a key that may not
 * change (all changed keys are listed as `key: old -> new`; `may_change` tells by dotted key) once the run has written
 * metrics or a checkpoint, one that is a file or unwritable. Writes config.yaml (expanded) through a rename. Makes
 * checkpoints/, plots/, tensorboard/. */
cohort_status cohort_run_directory_open(cohort_comm *comm, const char *path, const cohort_document *expanded,
                                        bool (*may_change)(const char *key), cohort_run_directory *out,
                                        cohort_error *error);
void cohort_run_directory_close(cohort_run_directory *directory);

#endif
