/* Who holds which sample, in a file: HDF5 with the array /owner [samples], or CSV with the columns sample, client (a
 * line a sample, in any order, after a line with these two words). Samples and clients are numbered from 0. */
#ifndef COHORT_IO_DATASET_OWNERS_H
#define COHORT_IO_DATASET_OWNERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The owners of so many samples, which must be the file's; owned by the caller (free). *clients: the largest + 1.
 * COHORT_BAD_DATA names the file, and the line or element. The first bytes tell which kind it is. */
cohort_status cohort_owners_read(const char *path, int64_t samples, int32_t **owner, int64_t *clients,
                                 cohort_error *error);
/* Whether a file of this name is written: ".h5" and ".csv" can be. */
cohort_status cohort_owners_check_name(const char *path, cohort_error *error);
/* Writes it whole, by its name's ending. */
cohort_status cohort_owners_write(const char *path, int64_t samples, const int32_t *owner, cohort_error *error);

/* A text cut where its lines name another part: a line that `pattern` (PCRE2, UTF-8) matches belongs to the part that
 * its first group names, or all that is matched, where it has none; other lines to the part of the line before. Parts
 * are numbered in the order of their first lines; what stands before the first name belongs to the first. */
typedef struct cohort_text_parts {
  int64_t runs;  /* of neighbouring lines of one part */
  size_t *first; /* [runs]: where in the text each begins */
  int32_t *part; /* [runs] */
  int64_t parts;
} cohort_text_parts;
/* COHORT_BAD_CONFIG: the pattern is none; COHORT_BAD_DATA: no line matches. */
cohort_status cohort_text_parts_find(const char *text, size_t length, const char *pattern, cohort_text_parts *out,
                                     cohort_error *error);
void cohort_text_parts_release(cohort_text_parts *parts);

#endif
