/* JSON objects and their settings. Invariant: a reader keeps its first fault, so that who reads many settings asks once
 * at the end. Costs the size of the file. */
#include "io/model/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"

cohort_status cohort_json_parse(const char *text, size_t length, const char *where, json_t **out, cohort_error *error) {
  json_error_t fault;
  json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &fault);
  if (!root) return cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: %s", where, fault.line, fault.column, fault.text);
  if (!json_is_object(root)) {
    json_decref(root);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is no JSON object {...}", where);
  }
  *out = root;
  return COHORT_DONE;
}

cohort_status cohort_json_read(const char *path, json_t **out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  const cohort_status status = cohort_json_parse(text, length, path, out, error);
  free(text);
  return status;
}

cohort_status cohort_json_write(json_t *object, const char *path, cohort_error *error) {
  char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  json_t *again = text ? json_loads(text, 0, NULL) : NULL;
  if (!again || !json_equal(again, object)) { /* a number has more digits */
    free(text);
    text = json_dumps(object, JSON_INDENT(2));
  }
  json_decref(again);
  json_decref(object);
  if (!text) return cohort_fail(error, COHORT_BUG, "%s: cannot be put into words; report this", path);
  char *lines = cohort_format_text("%s\n", text);
  free(text);
  const cohort_status status = cohort_file_write(path, lines, strlen(lines), error);
  free(lines);
  return status;
}

void cohort_json_fault(cohort_json_reader *reader, const char *format, ...) {
  if (reader->status != COHORT_DONE) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  reader->status = cohort_fail(reader->error, COHORT_BAD_DATA, "%s: %s", reader->path, text);
}

/* NULL: absent or null. */
static const json_t *find(const cohort_json_reader *reader, const char *key) {
  const json_t *value = json_object_get(reader->object, key);
  return value && !json_is_null(value) ? value : NULL;
}

int64_t cohort_json_integer(cohort_json_reader *reader, const char *key, int64_t otherwise) {
  const json_t *value = find(reader, key);
  if (!value) return otherwise;
  const bool whole = json_is_integer(value) ||
                     (json_is_real(value) && json_real_value(value) >= 0 && json_real_value(value) < 0x1p40 &&
                      json_real_value(value) == (double)(int64_t)json_real_value(value));
  const int64_t number = !whole                   ? -1
                         : json_is_integer(value) ? (int64_t)json_integer_value(value)
                                                  : (int64_t)json_real_value(value);
  if (number >= 0 && number <= INT64_C(1) << 40) return number;
  cohort_json_fault(reader, "%s: expected a whole number of at least 0", key);
  return otherwise;
}

double cohort_json_real(cohort_json_reader *reader, const char *key, double otherwise) {
  const json_t *value = find(reader, key);
  if (!value) return otherwise;
  if (json_is_number(value)) return json_number_value(value);
  cohort_json_fault(reader, "%s: expected a number", key);
  return otherwise;
}

bool cohort_json_boolean(cohort_json_reader *reader, const char *key, bool otherwise) {
  const json_t *value = find(reader, key);
  if (!value) return otherwise;
  if (json_is_boolean(value)) return json_is_true(value);
  cohort_json_fault(reader, "%s: expected true or false", key);
  return otherwise;
}

const char *cohort_json_text(cohort_json_reader *reader, const char *key, const char *otherwise) {
  const json_t *value = find(reader, key);
  if (!value) return otherwise;
  if (json_is_string(value)) return json_string_value(value);
  cohort_json_fault(reader, "%s: expected a text", key);
  return otherwise;
}
