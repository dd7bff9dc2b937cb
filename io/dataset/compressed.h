/* Whole files, decompressed when they are gzip. */
#ifndef COHORT_IO_DATASET_COMPRESSED_H
#define COHORT_IO_DATASET_COMPRESSED_H

#include <stddef.h>

#include "base/status.h"

/* The most bytes that a content may have, from its first ones (at most COHORT_COMPRESSED_HEAD); 0: nothing but these is
 * of use. So a file that was packed to burst is refused before it takes the memory. */
enum { COHORT_COMPRESSED_HEAD = 64 };
typedef size_t cohort_compressed_most(const unsigned char *head, size_t bytes);

/* The content of a file; COHORT_BAD_DATA names it and what is wrong. Owned by the caller (free). */
cohort_status cohort_compressed_read(const char *path, cohort_compressed_most *most, unsigned char **out,
                                     size_t *length, cohort_error *error);

#endif
