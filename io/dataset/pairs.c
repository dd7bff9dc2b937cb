/* Preference pairs: one JSON object a line. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "io/run_directory.h"

static const char *const keys[3] = {"prompt", "chosen", "rejected"};

/* Refuses what could not be scored or teaches nothing. */
static cohort_status check_pair(const char *path, int64_t number, const char *const text[3], cohort_error *error) {
  if (!text[0][0])
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s:%lld:1: prompt is empty; a completion's first token needs text before it, give some", path,
                       (long long)number);
  for (int k = 1; k < 3; k++)
    if (!text[k][0])
      return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: %s is empty; there is nothing to score, remove the line",
                         path, (long long)number, keys[k]);
  if (strcmp(text[1], text[2]) == 0)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s:%lld:1: chosen and rejected are equal; neither is preferred, remove the line", path,
                       (long long)number);
  return COHORT_DONE;
}

static cohort_status read_line(const char *path, int64_t number, const char *line, size_t length, char **out[3],
                               int64_t at, cohort_error *error) {
  json_error_t fault;
  json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &fault);
  if (!object)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:%d: not JSON: %s", path, (long long)number, fault.column,
                       fault.text);
  cohort_status status = COHORT_DONE;
  for (int k = 0; k < 3 && status == COHORT_DONE; k++) {
    const json_t *value = json_object_get(object, keys[k]);
    if (!json_is_string(value))
      status = cohort_fail(error, COHORT_BAD_DATA,
                           "%s:%lld:1: expected {\"prompt\", \"chosen\", \"rejected\"} as strings; %s is %s", path,
                           (long long)number, keys[k], value ? "not a string" : "missing");
    else
      out[k][at] = cohort_copy_text(json_string_value(value));
  }
  json_decref(object);
  const char *const text[3] = {out[0][at], out[1][at], out[2][at]};
  return status == COHORT_DONE ? check_pair(path, number, text, error) : status;
}

cohort_status cohort_pairs_read(const char *path, cohort_pairs *out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  memset(out, 0, sizeof *out);
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  size_t lines = 1;
  for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
  out->prompt = cohort_allocate(lines * sizeof *out->prompt);
  out->chosen = cohort_allocate(lines * sizeof *out->chosen);
  out->rejected = cohort_allocate(lines * sizeof *out->rejected);
  out->digest = cohort_digest(text, length, 1);
  char **columns[3] = {out->prompt, out->chosen, out->rejected};
  cohort_status status = COHORT_DONE;
  int64_t number = 0;
  for (size_t first = 0; first < length && status == COHORT_DONE;) {
    const char *end = memchr(text + first, '\n', length - first);
    const size_t own = end ? (size_t)(end - text) - first : length - first;
    number++;
    if (strspn(text + first, " \t\r") >= own)
      status = cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: an empty line; remove it", path, (long long)number);
    else
      status = read_line(path, number, text + first, own, columns, out->count++, error);
    first += own + 1;
  }
  if (status == COHORT_DONE && out->count == 0)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: holds no pairs", path);
  free(text);
  if (status != COHORT_DONE) cohort_pairs_release(out);
  return status;
}

void cohort_pairs_release(cohort_pairs *pairs) {
  for (int64_t i = 0; i < pairs->count; i++) {
    free(pairs->prompt[i]);
    free(pairs->chosen[i]);
    free(pairs->rejected[i]);
  }
  free(pairs->prompt);
  free(pairs->chosen);
  free(pairs->rejected);
  memset(pairs, 0, sizeof *pairs);
}
