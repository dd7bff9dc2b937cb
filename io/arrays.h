/* Named arrays in HDF5 files: what `cohort probe` reads and writes, goldens, and datasets that people bring. One rank.
 */
#ifndef COHORT_IO_ARRAYS_H
#define COHORT_IO_ARRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef enum { COHORT_ARRAY_FLOAT32, COHORT_ARRAY_FLOAT64, COHORT_ARRAY_INT32, COHORT_ARRAY_INT64 } cohort_array_type;

typedef struct cohort_array {
  char *name; /* "parameters/w": path without the leading '/' */
  cohort_array_type type;
  int axes;
  int64_t size[8];
  void *data;
  bool used; /* set by who took it; what is never used is an error of the caller's input */
} cohort_array;

typedef struct cohort_arrays {
  int count;
  cohort_array *items;
} cohort_arrays;

int64_t cohort_array_elements(const cohort_array *array);
/* Element of real or integer data, as double. */
double cohort_array_get(const cohort_array *array, int64_t element);
/* Reads every dataset of the file. Integer types of the file up to 64 bits become INT32 (INT64 if values need it),
 * float16 and float32 become FLOAT32, float64 FLOAT64; other types are refused by name, as are arrays whose values do
 * not stand whole in the file (io/array_storage.h) and groups nested too deep. */
cohort_status cohort_arrays_read(const char *path, cohort_arrays *out, cohort_error *error);
/* Shapes of the datasets called one of `names` (NULL-ended), without their data, which stay NULL; integers are INT64.
 */
cohort_status cohort_arrays_read_shapes(const char *path, const char *const *names, cohort_arrays *out,
                                        cohort_error *error);
/* Reads the datasets called one of `names`; others may be there. */
cohort_status cohort_arrays_read_named(const char *path, const char *const *names, cohort_arrays *out,
                                       cohort_error *error);
/* Writes a new file (through a temporary one and a rename). */
cohort_status cohort_arrays_write(const char *path, const cohort_arrays *arrays, cohort_error *error);
cohort_array *cohort_arrays_find(const cohort_arrays *arrays, const char *name);
/* Adds an array with zeroed data; returns it (valid until the next add). */
cohort_array *cohort_arrays_add(cohort_arrays *arrays, const char *name, cohort_array_type type, int axes,
                                const int64_t *size);
void cohort_arrays_release(cohort_arrays *arrays);

#endif
