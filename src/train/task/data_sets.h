/* Data sets that the runs of a process share: each is read once, by the first run that asks for it, and stays until all
 * are destroyed. For who makes many runs of one config's data (trials).
 *
 * Intended usage:
 *   cohort_data_sets *sets = cohort_data_sets_create();
 *   settings.data_sets = sets;    of every run; from any thread
 *   cohort_data_sets_destroy(sets);    after the runs */
#ifndef COHORT_TRAIN_TASK_DATA_SETS_H
#define COHORT_TRAIN_TASK_DATA_SETS_H

#include "io/dataset/dataset.h"

typedef struct cohort_data_sets cohort_data_sets;

cohort_data_sets *cohort_data_sets_create(void);
void cohort_data_sets_destroy(cohort_data_sets *sets); /* NULL is fine */

/* Which samples: images and labels as IDX, or a file of arrays with further columns. */
typedef struct cohort_data_request {
  const char *path, *labels; /* labels: NULL when it is a file of arrays */
  cohort_layout layout;
  const char *const *columns; /* NULL-ended */
} cohort_data_request;

/* Reads them, or finds them. With `sets` they are read-only and stay the sets'; without (NULL) they are the caller's to
 * release. One thread at a time reads. */
cohort_status cohort_data_sets_samples(cohort_data_sets *sets, const cohort_data_request *request, cohort_samples *out,
                                       cohort_error *error);

#endif
