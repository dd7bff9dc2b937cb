/* Numbers beside completions: further keys of a line. Invariant: a field stands in every line or in none. Costs its
 * numbers. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/completions_own.h"

typedef cohort_completions_line line;

static bool holds_lists(const cohort_field *field) {
  return field->owner == COHORT_FIELD_STEP || field->owner == COHORT_FIELD_TOKEN;
}

/* Truth is a number too. */
static bool number_of(const json_t *value, float *out) {
  if (json_is_boolean(value)) *out = json_is_true(value) ? 1 : 0;
  if (json_is_number(value)) *out = (float)json_number_value(value);
  return json_is_boolean(value) || (json_is_number(value) && isfinite(*out));
}

static cohort_status not_numbers(const line *at, const char *key, const cohort_field *field, cohort_error *error) {
  return cohort_completions_fail(at, error, "%s is no %s; it is to say %s", key,
                                 holds_lists(field) ? "list of numbers" : "number", field->meaning);
}

static cohort_status take_number(const line *at, const char *key, const cohort_field *field, const json_t *value,
                                 float *out, cohort_error *error) {
  if (!number_of(value, out)) return not_numbers(at, key, field, error);
  if (field->integer && (*out < 0 || *out != truncf(*out) || *out > 1 << 24))
    return cohort_completions_fail(at, error, "%s is %g, expected a whole number from 0", key, (double)*out);
  return COHORT_DONE;
}

static cohort_status take_list(const line *at, const char *key, const cohort_field *field, const json_t *value,
                               int64_t completion, cohort_completions *out, int f, cohort_error *error) {
  const size_t count = json_array_size(value);
  const int steps = out->completion[completion].parts;
  if (!json_is_array(value)) return not_numbers(at, key, field, error);
  if (field->owner == COHORT_FIELD_STEP && (int)count != steps)
    return cohort_completions_fail(at, error, "%s has %zu numbers, but the completion has %d steps", key, count, steps);
  float *list = out->field[f].list[completion] = cohort_allocate((count + 1) * sizeof *list);
  out->field[f].elements[completion] = (int)count;
  for (size_t i = 0; i < count; i++)
    if (!number_of(json_array_get(value, i), &list[i])) return not_numbers(at, key, field, error);
  return COHORT_DONE;
}

static cohort_status take_one(const line *at, const char *key, int f, const json_t *value, int64_t completion,
                              cohort_completions *out, cohort_error *error) {
  const cohort_field *field = &out->fields[f];
  if (holds_lists(field)) return take_list(at, key, field, value, completion, out, f, error);
  const int64_t place = field->owner == COHORT_FIELD_SAMPLE ? at->at : completion;
  return take_number(at, key, field, value, &out->field[f].value[place], error);
}

/* The key of a side: "score_chosen", "score", "scores". */
static char *key_of(const cohort_completions *out, const cohort_field *field, int side) {
  const bool list = out->shape == COHORT_DATA_LIST, sides = out->shape == COHORT_DATA_PREFERENCE;
  if (field->owner == COHORT_FIELD_SAMPLE) return cohort_copy_text(field->name);
  return cohort_format_text("%s%s%s", field->name, list || holds_lists(field) ? "s" : "",
                            !sides      ? ""
                            : side == 0 ? "_chosen"
                                        : "_rejected");
}

static void make_room(const line *at, cohort_completions *out, int f) {
  const cohort_field *field = &out->fields[f];
  cohort_field_values *own = &out->field[f];
  const bool sample = field->owner == COHORT_FIELD_SAMPLE;
  const size_t count = at->samples * (size_t)(sample ? 1 : out->sides);
  if (!holds_lists(field)) own->value = cohort_allocate(count * sizeof *own->value + 1);
  if (holds_lists(field)) own->list = cohort_allocate(count * sizeof *own->list + 1);
  if (holds_lists(field)) own->elements = cohort_allocate(count * sizeof *own->elements + 1);
}

static bool is_there(const cohort_completions *out, int f) { return out->field[f].value || out->field[f].list; }

/* Of a list: an element for each completion, in the order in which they were put. */
static cohort_status take_elements(const line *at, const char *key, int f, const json_t *value, cohort_completions *out,
                                   cohort_error *error) {
  const int64_t first = at->at * out->sides;
  size_t count = 0;
  while ((int)count < out->sides && out->completion[first + (int64_t)count].text) count++;
  if (json_array_size(value) != count)
    return cohort_completions_fail(at, error, "%s has %zu elements for %zu completions", key, json_array_size(value),
                                   count);
  for (size_t k = 0; k < count; k++)
    COHORT_TRY(take_one(at, key, f, json_array_get(value, (size_t)at->order[k]), first + (int64_t)k, out, error));
  return COHORT_DONE;
}

static cohort_status take_field(const line *at, int f, cohort_completions *out, cohort_error *error) {
  const cohort_field *field = &out->fields[f];
  const bool sample = field->owner == COHORT_FIELD_SAMPLE, list = out->shape == COHORT_DATA_LIST && !sample;
  const int keys = sample || list ? 1 : out->sides;
  for (int side = 0; side < keys; side++) {
    char *key = key_of(out, field, side);
    const json_t *value = json_object_get(at->object, key);
    cohort_status status = COHORT_DONE;
    if (value && at->at == 0 && side == 0) make_room(at, out, f);
    if (!value && (is_there(out, f) || !field->optional))
      status = cohort_completions_fail(at, error, "%s is missing; it is to say %s", key, field->meaning);
    else if (value && !is_there(out, f))
      status = cohort_completions_fail(at, error, "%s is new here; give it in every line or in none", key);
    else if (value && list)
      status = take_elements(at, key, f, value, out, error);
    else if (value)
      status = take_one(at, key, f, value, at->at * out->sides + side, out, error);
    free(key);
    COHORT_TRY(status);
  }
  return COHORT_DONE;
}

cohort_status cohort_completions_take_fields(const line *at, cohort_completions *out, cohort_error *error) {
  for (int f = 0; out->fields && out->fields[f].name; f++) COHORT_TRY(take_field(at, f, out, error));
  return COHORT_DONE;
}
