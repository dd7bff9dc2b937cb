/* Whole files, decompressed when they are gzip. */
#ifndef COHORT_IO_DATASET_COMPRESSED_H
#define COHORT_IO_DATASET_COMPRESSED_H

#include <stddef.h>

#include "base/status.h"

/* The content of a file; COHORT_BAD_DATA names it and what is wrong. Owned by the caller (free). */
cohort_status cohort_compressed_read(const char *path, unsigned char **out, size_t *length, cohort_error *error);

#endif
