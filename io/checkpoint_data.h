/* A flat dataset as the ranks share it: who holds which slice, and the dataset's digest from all slices. */
#ifndef COHORT_IO_CHECKPOINT_DATA_H
#define COHORT_IO_CHECKPOINT_DATA_H

#include <stdbool.h>

#include "io/checkpoint_structure.h"

/* Collective. The digest of flat `flat` from all ranks' slices, the same on all ranks. */
uint64_t cohort_flat_digest(cohort_comm *comm, const cohort_stored_flat *flat);

/* One rank: streams a stored dataset of an open file and compares its digest; *fits tells. */
cohort_status cohort_flat_verify(int descriptor, const char *path, const cohort_flat_entry *flat, bool *fits,
                                 cohort_error *error);

/* The steps of the files step_*.h5 in a directory, ascending; owned by the caller; NULL and *count 0 when there are
 * none or there is no such directory. COHORT_BAD_DATA when it cannot be read. */
cohort_status cohort_checkpoint_steps(const char *directory, int64_t **steps, int *count, cohort_error *error);
/* "DIRECTORY/step_00000100.h5", owned by the caller. */
char *cohort_checkpoint_path(const char *directory, int64_t step);
/* The file name in DIRECTORY/latest, owned by the caller; NULL when there is none or it is no file's name.
 * COHORT_BAD_DATA when it cannot be read. */
cohort_status cohort_checkpoint_latest(const char *directory, char **name, cohort_error *error);
/* The step of a name step_NUMBER.h5, else -1. */
int64_t cohort_checkpoint_step_of(const char *name);

#endif
