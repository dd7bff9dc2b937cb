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
  cohort_run_lock lock;    /* rank 0 holds it; every rank can ask whether the directory is still this job's */
  bool fresh;              /* there was no run here, or it was removed */
  cohort_document *before; /* config of the run that goes on, as it was; rank 0; NULL when it has not begun */
} cohort_run_directory;

/* How the config of a run may differ from that of the session that takes it over. */
typedef struct cohort_config_rules {
  bool (*may_change)(const char *key); /* by dotted key */
  /* A config that an older version wrote, with the keys that came since at their defaults, owned by the caller; NULL:
   * it has keys that are no more, and is compared as it stands. */
  cohort_document *(*complete)(const cohort_document *before);
} cohort_config_rules;

/* Collective. Creates the directory (with parents) or takes it over. Refused: one that another job
 * owns (io/run_lock.h), one whose config.yaml differs from `expanded` in a key that may not
 * change (all changed keys are listed as `key: old -> new`; a new key at its default is none) once the run has written
 * metrics or a checkpoint, one that is a file or unwritable. With `overwrite: true` in `expanded` the run that is here
 * is removed instead (the files that a run writes, no others), unless it has not ended, itself began with `overwrite:
 * true` and is of this config: then the same command was started again, and it goes on. Writes config.yaml (expanded)
 * through a rename. Makes checkpoints/, plots/, tensorboard/. */
cohort_status cohort_run_directory_open(cohort_comm *comm, const char *path, const cohort_document *expanded,
                                        const cohort_config_rules *rules, cohort_run_directory *out,
                                        cohort_error *error);
void cohort_run_directory_close(cohort_run_directory *directory);

/* One rank. Whether open would refuse a run that has begun here because of its config; changes nothing. */
cohort_status cohort_run_directory_compare(const char *path, const cohort_document *expanded,
                                           const cohort_config_rules *rules, cohort_error *error);
/* One rank. The outcome that the directory's summary.json tells ("done", "stopped", "diverged"), owned by the caller;
 * NULL: it tells none. */
char *cohort_run_outcome(const char *path);

#endif
