/* Samples that people bring: arrays x [n, ...] and y. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/arrays.h"
#include "io/dataset/dataset.h"

static double element(const cohort_array *array, int64_t i) {
  switch (array->type) {
    case COHORT_ARRAY_FLOAT32:
      return (double)((const float *)array->data)[i];
    case COHORT_ARRAY_FLOAT64:
      return ((const double *)array->data)[i];
    case COHORT_ARRAY_INT32:
      return ((const int32_t *)array->data)[i];
    case COHORT_ARRAY_INT64:
      return (double)((const int64_t *)array->data)[i];
  }
  return 0;
}

static bool is_integer(const cohort_array *array) {
  return array->type == COHORT_ARRAY_INT32 || array->type == COHORT_ARRAY_INT64;
}

static cohort_status check_shapes(const char *path, const cohort_array *x, const cohort_array *y, cohort_error *error) {
  if (!x || !y)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: has no array %s; arrays x and y are needed", path, x ? "y" : "x");
  if (x->axes < 2 || x->axes > 4)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: x has %d axes; it wants [n, features], [n, h, w] or [n, h, w, c]",
                       path, x->axes);
  if (cohort_array_elements(x) == 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: x is empty", path);
  if (y->axes < 1 || y->axes > 2 || y->size[0] != x->size[0] || (y->axes == 2 && y->size[1] == 0))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: y wants [%lld] classes or [%lld, k] real targets", path,
                       (long long)x->size[0], (long long)x->size[0]);
  return COHORT_DONE;
}

/* What is not finite would be found in the loss, many steps from its cause. */
static cohort_status refuse_value(const char *path, const char *name, int64_t i, int64_t row_elements, double value,
                                  cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: %s[%lld] holds %g (its element %lld): not a finite float32; correct or remove the row", path,
                     name, (long long)(i / row_elements), isnan(value) ? (double)NAN : value,
                     (long long)(i % row_elements));
}

static cohort_status take_input(const char *path, const cohort_array *x, cohort_samples *out, cohort_error *error) {
  out->count = x->size[0];
  out->axes = x->axes == 2 ? 1 : 3;
  for (int a = 1; a < x->axes; a++) out->size[a - 1] = x->size[a];
  if (x->axes == 3) out->size[2] = 1;
  const int64_t elements = cohort_array_elements(x);
  out->input = cohort_allocate((size_t)elements * sizeof *out->input);
  const bool bytes = is_integer(x); /* of an image */
  for (int64_t i = 0; i < elements; i++) {
    const double value = element(x, i);
    if (bytes && !(value >= 0 && value <= 255))
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: x holds %.0f; integers must be bytes, 0 to 255; else store real numbers", path, value);
    out->input[i] = (float)(bytes ? value * (1.0 / 255) : value);
    if (!isfinite(out->input[i])) return refuse_value(path, "x", i, elements / out->count, value, error);
  }
  return COHORT_DONE;
}

static cohort_status take_target(const char *path, const cohort_array *y, cohort_samples *out, cohort_error *error) {
  const int64_t elements = cohort_array_elements(y);
  if (is_integer(y) && y->axes == 1) {
    out->labels = cohort_allocate((size_t)elements * sizeof *out->labels);
    for (int64_t i = 0; i < elements; i++) {
      const double value = element(y, i);
      if (!(value >= 0 && value < 1 << 24))
        return cohort_fail(error, COHORT_BAD_DATA, "%s: y[%lld] is %.0f; classes are numbered from 0", path,
                           (long long)i, value);
      out->labels[i] = (int32_t)value;
      if (out->labels[i] >= out->classes) out->classes = out->labels[i] + 1;
    }
    return COHORT_DONE;
  }
  out->target_size = y->axes == 2 ? y->size[1] : 1;
  out->targets = cohort_allocate((size_t)elements * sizeof *out->targets + 1);
  for (int64_t i = 0; i < elements; i++) {
    out->targets[i] = (float)element(y, i);
    if (!isfinite(out->targets[i])) return refuse_value(path, "y", i, out->target_size, element(y, i), error);
  }
  return COHORT_DONE;
}

static size_t input_bytes(const cohort_samples *out) {
  return (size_t)(out->count * out->size[0] * (out->axes == 3 ? out->size[1] * out->size[2] : 1)) * sizeof(float);
}

static cohort_status take_both(const char *path, const cohort_array *x, const cohort_array *y, cohort_samples *out,
                               cohort_error *error) {
  COHORT_TRY(take_input(path, x, out, error));
  return take_target(path, y, out, error);
}

static const char *const names[] = {"x", "y", NULL};

/* Before any data take memory. */
static cohort_status check_file(const char *path, cohort_error *error) {
  cohort_arrays shapes = {0};
  COHORT_TRY(cohort_arrays_read_shapes(path, names, &shapes, error));
  const cohort_status status =
      check_shapes(path, cohort_arrays_find(&shapes, "x"), cohort_arrays_find(&shapes, "y"), error);
  cohort_arrays_release(&shapes);
  return status;
}

cohort_status cohort_samples_read_hdf5(const char *path, cohort_samples *out, cohort_error *error) {
  cohort_arrays arrays = {0};
  memset(out, 0, sizeof *out);
  COHORT_TRY(check_file(path, error));
  COHORT_TRY(cohort_arrays_read_named(path, names, &arrays, error));
  const cohort_array *x = cohort_arrays_find(&arrays, "x"), *y = cohort_arrays_find(&arrays, "y");
  cohort_status status = x && y ? take_both(path, x, y, out, error)
                                : cohort_fail(error, COHORT_BAD_DATA, "%s: changed while it was read", path);
  if (status == COHORT_DONE) {
    const uint64_t inputs = cohort_digest(out->input, input_bytes(out), 1);
    out->digest = out->labels
                      ? cohort_digest(out->labels, (size_t)out->count * sizeof *out->labels, inputs)
                      : cohort_digest(out->targets, (size_t)(out->count * out->target_size) * sizeof(float), inputs);
  }
  cohort_arrays_release(&arrays);
  if (status != COHORT_DONE) cohort_samples_release(out);
  return status;
}
