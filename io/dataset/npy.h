/* One array in NumPy's .npy format. */
#ifndef COHORT_IO_DATASET_NPY_H
#define COHORT_IO_DATASET_NPY_H

#include <stddef.h>

#include "io/arrays.h"

/* Reads a whole .npy content (format versions 1 to 3) and adds it as `name`. COHORT_BAD_DATA: `path` and `name`, and
 * what is wrong. */
cohort_status cohort_npy_read(const char *path, const char *name, const unsigned char *data, size_t bytes,
                              cohort_arrays *out, cohort_error *error);

#endif
