/* Whether an array's values stand in its file. HDF5 lets an array say that its bytes are in any other file, and gives
 * zeros, without a word, for what was never written or is not found: nothing of that is data. */
#ifndef COHORT_IO_ARRAY_STORAGE_H
#define COHORT_IO_ARRAY_STORAGE_H

#include <hdf5.h>

#include "base/status.h"

/* COHORT_BAD_DATA, naming the file, the array and the reason, for a dataset that has external storage, is a view of
 * sources of which one is missing, too small or itself unfit, is a view with parts that no source fills, or was never
 * or only partly written. An array without elements is whole. */
cohort_status cohort_array_check_stored(const char *path, const char *name, hid_t dataset, cohort_error *error);

#endif
