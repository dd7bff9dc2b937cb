/* From arrays to samples, whatever file they stood in. Every number is looked at once, so that what would spoil a run
 * steps later is refused before it begins. Time and memory are those of the data. */
#include "io/dataset/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool is_integer(const cohort_array *array) {
  return array->type == COHORT_ARRAY_INT32 || array->type == COHORT_ARRAY_INT64;
}

/* Images of PyTorch have their channels first; read as they are they would be few rows of many channels, and train to
 * nonsense. Sizes that say so: 1 or 3 where a height would stand, and no such number where channels would. */
static bool looks_channels_first(const cohort_array *x) {
  const int64_t first = x->size[1], last = x->size[3];
  return x->axes == 4 && (first == 1 || first == 3) && last != 1 && last != 3 && last != 4;
}

static cohort_status check_layout(const char *path, const cohort_array *x, cohort_layout layout, cohort_error *error) {
  if (layout == COHORT_LAYOUT_CHANNELS_FIRST && x->axes != 4)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: x has %d axes; data.layout: channels_first is for [n, channels, height, width]; remove it",
                       path, x->axes);
  if (layout == COHORT_LAYOUT_AUTO && looks_channels_first(x))
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: x [%lld, %lld, %lld, %lld] looks like [n, channels, height, width], but images are [n, "
                       "height, width, channels]; set data.layout: channels_first to have it turned, or channels_last "
                       "to take it as it is",
                       path, (long long)x->size[0], (long long)x->size[1], (long long)x->size[2],
                       (long long)x->size[3]);
  return COHORT_DONE;
}

cohort_status cohort_samples_check_shapes(const char *path, const cohort_array *x, const cohort_array *y,
                                          cohort_layout layout, cohort_error *error) {
  if (!x || !y)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: has no array %s; arrays x and y are needed", path, x ? "y" : "x");
  if (x->axes < 2 || x->axes > 4)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: x has %d axes; it wants [n, features], [n, h, w] or [n, h, w, c]",
                       path, x->axes);
  if (cohort_array_elements(x) == 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: x is empty", path);
  if (y->axes < 1 || y->axes > 2 || y->size[0] != x->size[0] || (y->axes == 2 && y->size[1] == 0))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: y wants [%lld] classes or [%lld, k] real targets", path,
                       (long long)x->size[0], (long long)x->size[0]);
  return check_layout(path, x, layout, error);
}

/* What is not finite would be found in the loss, many steps from its cause. */
static cohort_status refuse_value(const char *path, const char *name, int64_t i, int64_t row_elements, double value,
                                  cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA,
                     "%s: %s[%lld] holds %g (its element %lld): not a finite float32; correct or remove the row", path,
                     name, (long long)(i / row_elements), isnan(value) ? (double)NAN : value,
                     (long long)(i % row_elements));
}

/* [n, channels, height, width] to [n, height, width, channels]. */
static void turn_channels(cohort_samples *own) {
  const int64_t channels = own->size[0], pixels = own->size[1] * own->size[2], features = channels * pixels;
  float *const turned = cohort_allocate((size_t)(own->count * features) * sizeof *turned);
  for (int64_t i = 0; i < own->count; i++)
    for (int64_t c = 0; c < channels; c++)
      for (int64_t p = 0; p < pixels; p++)
        turned[i * features + p * channels + c] = own->input[i * features + c * pixels + p];
  free(own->input);
  own->input = turned;
  own->size[0] = own->size[1];
  own->size[1] = own->size[2];
  own->size[2] = channels;
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
    const double value = cohort_array_get(x, i);
    if (bytes && !(value >= 0 && value <= 255))
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: x[%lld] holds %.0f; integers must be bytes, 0 to 255; else store real numbers", path,
                         (long long)(i / (elements / out->count)), value);
    out->input[i] = (float)(bytes ? value * (1.0 / 255) : value);
    if (!isfinite(out->input[i])) return refuse_value(path, "x", i, elements / out->count, value, error);
  }
  return COHORT_DONE;
}

static cohort_status take_classes(const char *path, const char *name, const cohort_array *array, int32_t *labels,
                                  int64_t *classes, cohort_error *error) {
  const int64_t elements = cohort_array_elements(array);
  for (int64_t i = 0; i < elements; i++) {
    const double value = cohort_array_get(array, i);
    if (!(value >= 0 && value < 1 << 24))
      return cohort_fail(error, COHORT_BAD_DATA, "%s: %s[%lld] is %.0f; classes are numbered from 0", path, name,
                         (long long)i, value);
    labels[i] = (int32_t)value;
    if (labels[i] >= *classes) *classes = labels[i] + 1;
  }
  return COHORT_DONE;
}

static cohort_status take_target(const char *path, const cohort_array *y, cohort_samples *out, cohort_error *error) {
  const int64_t elements = cohort_array_elements(y);
  if (is_integer(y) && y->axes == 1) {
    out->labels = cohort_allocate((size_t)elements * sizeof *out->labels);
    return take_classes(path, "y", y, out->labels, &out->classes, error);
  }
  out->target_size = y->axes == 2 ? y->size[1] : 1;
  out->targets = cohort_allocate((size_t)elements * sizeof *out->targets + 1);
  for (int64_t i = 0; i < elements; i++) {
    out->targets[i] = (float)cohort_array_get(y, i);
    if (!isfinite(out->targets[i])) return refuse_value(path, "y", i, out->target_size, cohort_array_get(y, i), error);
  }
  return COHORT_DONE;
}

static size_t input_bytes(const cohort_samples *out) {
  return (size_t)(out->count * out->size[0] * (out->axes == 3 ? out->size[1] * out->size[2] : 1)) * sizeof(float);
}

cohort_status cohort_samples_take(const char *path, const cohort_array *x, const cohort_array *y, cohort_layout layout,
                                  cohort_samples *out, cohort_error *error) {
  memset(out, 0, sizeof *out);
  cohort_status status = take_input(path, x, out, error);
  if (status == COHORT_DONE) status = take_target(path, y, out, error);
  if (status != COHORT_DONE) {
    cohort_samples_release(out);
    return status;
  }
  if (layout == COHORT_LAYOUT_CHANNELS_FIRST) turn_channels(out);
  const uint64_t inputs = cohort_digest(out->input, input_bytes(out), 1);
  out->digest = out->labels
                    ? cohort_digest(out->labels, (size_t)out->count * sizeof *out->labels, inputs)
                    : cohort_digest(out->targets, (size_t)(out->count * out->target_size) * sizeof(float), inputs);
  return COHORT_DONE;
}

cohort_status cohort_samples_add_column(const char *path, const char *name, const cohort_array *array,
                                        cohort_samples *own, cohort_error *error) {
  if (!array) return cohort_fail(error, COHORT_BAD_DATA, "%s: has no array %s, which the config names", path, name);
  if (array->axes < 1 || array->size[0] != own->count)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s wants a row for each of the %lld samples", path, name,
                       (long long)own->count);
  if (own->columns == COHORT_MAX_SAMPLE_COLUMNS)
    return cohort_fail(error, COHORT_BAD_CONFIG, "data: samples have at most %d columns beside x and y",
                       COHORT_MAX_SAMPLE_COLUMNS);
  cohort_column *column = &own->column[own->columns++];
  const int64_t elements = cohort_array_elements(array);
  *column = (cohort_column){.name = name, .width = elements / own->count};
  if (is_integer(array) && array->axes == 1) {
    column->labels = cohort_allocate((size_t)elements * sizeof *column->labels);
    COHORT_TRY(take_classes(path, name, array, column->labels, &column->classes, error));
    own->digest = cohort_digest(column->labels, (size_t)elements * sizeof *column->labels, own->digest + 1);
    return COHORT_DONE;
  }
  column->values = cohort_allocate((size_t)elements * sizeof *column->values + 1);
  for (int64_t i = 0; i < elements; i++) {
    column->values[i] = (float)cohort_array_get(array, i);
    if (!isfinite(column->values[i]))
      return refuse_value(path, name, i, column->width, cohort_array_get(array, i), error);
  }
  own->digest = cohort_digest(column->values, (size_t)elements * sizeof *column->values, own->digest + 1);
  return COHORT_DONE;
}

cohort_status cohort_samples_take_clients(const char *path, const cohort_arrays *arrays, cohort_layout layout,
                                          cohort_samples *out, cohort_error *error) {
  const cohort_array *x = cohort_arrays_find(arrays, "x"), *y = cohort_arrays_find(arrays, "y");
  const cohort_array *client = cohort_arrays_find(arrays, COHORT_CLIENT_COLUMN);
  COHORT_TRY(cohort_samples_check_shapes(path, x, y, layout, error));
  COHORT_TRY(cohort_samples_take(path, x, y, layout, out, error));
  const cohort_status status = cohort_samples_add_column(path, COHORT_CLIENT_COLUMN, client, out, error);
  if (status != COHORT_DONE) cohort_samples_release(out);
  return status;
}

const cohort_column *cohort_samples_column(const cohort_samples *own, const char *name) {
  for (int c = 0; c < own->columns; c++)
    if (strcmp(own->column[c].name, name) == 0) return &own->column[c];
  return NULL;
}

int64_t cohort_samples_first_row(const cohort_samples *own, int32_t label) {
  int64_t row = 0;
  while (row < own->count && own->labels[row] != label) row++;
  return row;
}

char *cohort_samples_empty_classes(const cohort_samples *own) {
  enum { NAMED = 5 };
  if (!own->labels) return NULL;
  int64_t *const count = cohort_allocate((size_t)own->classes * sizeof *count), empty = 0;
  for (int64_t i = 0; i < own->count; i++) count[own->labels[i]]++;
  char *list = cohort_copy_text("");
  for (int64_t c = 0; c < own->classes; c++) {
    if (count[c] || ++empty > NAMED) continue;
    char *const longer = cohort_format_text("%s%s%lld", list, *list ? ", " : "", (long long)c);
    free(list);
    list = longer;
  }
  const long long last = (long long)own->classes - 1;
  char *const text =
      empty ? cohort_format_text("%lld of %lld classes have no sample: %s%s; labels go up to %lld, which row %lld has",
                                 (long long)empty, (long long)own->classes, list, empty > NAMED ? ", ..." : "", last,
                                 (long long)cohort_samples_first_row(own, (int32_t)last))
            : NULL;
  free(list);
  free(count);
  return text;
}
