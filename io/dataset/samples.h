/* What x and y of a file of arrays become: samples with classes or real targets. */
#ifndef COHORT_IO_DATASET_SAMPLES_H
#define COHORT_IO_DATASET_SAMPLES_H

#include "io/arrays.h"
#include "io/dataset/dataset.h"

/* Whether x and y can be samples; their data are not looked at. `x` and `y` may be NULL: not in the file. */
cohort_status cohort_samples_check_shapes(const char *path, const cohort_array *x, const cohort_array *y,
                                          cohort_layout layout, cohort_error *error);
/* Copies them. COHORT_BAD_DATA names the array and the row of what cannot be: numbers that are not finite, integers
 * that are not bytes, labels below 0. */
cohort_status cohort_samples_take(const char *path, const cohort_array *x, const cohort_array *y, cohort_layout layout,
                                  cohort_samples *out, cohort_error *error);

/* Samples of clients: arrays x, y, and client [n], which becomes COHORT_CLIENT_COLUMN; the same errors. */
cohort_status cohort_samples_take_clients(const char *path, const cohort_arrays *arrays, cohort_layout layout,
                                          cohort_samples *out, cohort_error *error);

/* Adds a column of `name`, which stays the caller's; the same errors. */
cohort_status cohort_samples_add_column(const char *path, const char *name, const cohort_array *array,
                                        cohort_samples *samples, cohort_error *error);

#endif
