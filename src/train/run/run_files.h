/* The files of a run that has been trained: its config and its weights. */
#ifndef COHORT_TRAIN_RUN_RUN_FILES_H
#define COHORT_TRAIN_RUN_RUN_FILES_H

#include "base/document.h"
#include "base/status.h"

/* The weights that `path` means: the file itself, or those of a run directory: final.h5, else the latest checkpoint.
 * Owned by the caller. COHORT_BAD_DATA when there are none. */
cohort_status cohort_run_files_weights(const char *path, char **weights, cohort_error *error);
/* The same, and where the config of their run is: for a file in its folder, in the one above, or, when it stands alone,
 * in the file itself; a released model (io/model/files.h) is both. Owned by the caller. */
cohort_status cohort_run_files_find(const char *path, char **config, char **weights, cohort_error *error);

/* The config of a YAML file, the one that a checkpoint holds, or that of a language task with a released model, with
 * its overrides; owned by the caller. */
cohort_status cohort_run_files_config(const char *config, int overrides, char *const *override, cohort_document **out,
                                      cohort_error *error);

#endif
