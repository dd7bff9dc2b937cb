/* HDF5 files with arrays x and y. Shapes are judged before data take memory; then both are held twice for a moment, as
 * arrays and as samples. */
#include <string.h>

#include "io/dataset/samples.h"

static const char *const names[] = {"x", "y", NULL};

/* Before any data take memory. */
static cohort_status check_file(const char *path, cohort_layout layout, cohort_error *error) {
  cohort_arrays shapes = {0};
  COHORT_TRY(cohort_arrays_read_shapes(path, names, &shapes, error));
  const cohort_status status = cohort_samples_check_shapes(path, cohort_arrays_find(&shapes, "x"),
                                                           cohort_arrays_find(&shapes, "y"), layout, error);
  cohort_arrays_release(&shapes);
  return status;
}

cohort_status cohort_samples_read_hdf5(const char *path, cohort_layout layout, cohort_samples *out,
                                       cohort_error *error) {
  cohort_arrays arrays = {0};
  memset(out, 0, sizeof *out);
  COHORT_TRY(check_file(path, layout, error));
  COHORT_TRY(cohort_arrays_read_named(path, names, &arrays, error));
  const cohort_array *x = cohort_arrays_find(&arrays, "x"), *y = cohort_arrays_find(&arrays, "y");
  const cohort_status status = x && y ? cohort_samples_take(path, x, y, layout, out, error)
                                      : cohort_fail(error, COHORT_BAD_DATA, "%s: changed while it was read", path);
  cohort_arrays_release(&arrays);
  return status;
}
