/* What the files that read completions share. */
#ifndef COHORT_IO_DATASET_COMPLETIONS_OWN_H
#define COHORT_IO_DATASET_COMPLETIONS_OWN_H

#include <jansson.h>

#include "io/dataset/completions.h"

enum { COHORT_MAX_SIDES = 64 };

/* A line that is being read, and what it becomes. */
typedef struct cohort_completions_line {
  const char *path;
  long long number; /* from 1 */
  const json_t *object;
  const cohort_completions_options *options;
  int64_t at;                      /* the sample's number */
  size_t samples;                  /* room for so many */
  int64_t order[COHORT_MAX_SIDES]; /* of a list: which of its completions stands at each place */
} cohort_completions_line;

/* "PATH:LINE:1: what" as a fault of the data. */
cohort_status cohort_completions_fail(const cohort_completions_line *line, cohort_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether the line's texts are lists of messages. */
bool cohort_completions_is_conversation(const cohort_completions_line *line);
/* Its prompt and completions, rendered; of a list in the line's order. */
cohort_status cohort_completions_take_conversation(const cohort_completions_line *line, cohort_completions *out,
                                                   cohort_error *error);

/* Reads the line's fields into sample number `at`, whose completions are there. */
cohort_status cohort_completions_take_fields(const cohort_completions_line *line, cohort_completions *out,
                                             cohort_error *error);

#endif
