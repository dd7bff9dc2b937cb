/* Completions of prompts: one JSON object a line. A shape is the keys that it has: of a preference with or without its
 * prompt, or of a completion with its label. The text is read once and cut where it stands; a line costs its length. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "io/run_directory.h"

typedef enum { SHAPE_PREFERENCE, SHAPE_IMPLICIT, SHAPE_UNPAIRED } shape;

static const char *const keys[][4] = {
    {"prompt", "chosen", "rejected", NULL}, {"chosen", "rejected", NULL}, {"prompt", "completion", "label", NULL}};
static const char *const wanted[] = {"{\"prompt\", \"chosen\", \"rejected\"} as strings",
                                     "{\"chosen\", \"rejected\"} as strings, as the first line has",
                                     "{\"prompt\", \"completion\"} as strings and \"label\" as true or false"};

/* Where in a file a line stands. */
typedef struct place {
  const char *path;
  long long number;
} place;

/* Refuses what could not be scored or teaches nothing. */
static cohort_status check_texts(const place *at, const char *prompt, const char *chosen, const char *rejected,
                                 cohort_error *error) {
  if (!prompt[0])
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s:%lld:1: prompt is empty; a completion's first token needs text before it, give some",
                       at->path, at->number);
  const char *const text[2] = {chosen, rejected};
  const char *const name[2] = {rejected ? "chosen" : "completion", "rejected"};
  for (int k = 0; k < 2; k++)
    if (text[k] && !text[k][0])
      return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: %s is empty; there is nothing to score, remove the line",
                         at->path, at->number, name[k]);
  if (rejected && strcmp(chosen, rejected) == 0)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s:%lld:1: chosen and rejected are equal; neither is preferred, remove the line", at->path,
                       at->number);
  return COHORT_DONE;
}

static bool is_good(shape form, int key, const json_t *value) {
  return form == SHAPE_UNPAIRED && key == 2 ? json_is_boolean(value) : json_is_string(value);
}

static shape shape_of(const json_t *object) {
  if (json_object_get(object, "completion") || json_object_get(object, "label")) return SHAPE_UNPAIRED;
  return !json_object_get(object, "prompt") && json_object_get(object, "chosen") && json_object_get(object, "rejected")
             ? SHAPE_IMPLICIT
             : SHAPE_PREFERENCE;
}

static cohort_status check_keys(const place *at, const json_t *object, shape form, cohort_error *error) {
  for (int k = 0; keys[form][k]; k++) {
    const json_t *value = json_object_get(object, keys[form][k]);
    if (is_good(form, k, value)) continue;
    const char *why = !value ? "missing" : json_is_array(value) ? "a list of messages; write their text" : "neither";
    if (value && !json_is_array(value)) why = form == SHAPE_UNPAIRED && k == 2 ? "neither" : "not a string";
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: expected %s; %s is %s", at->path, at->number, wanted[form],
                       keys[form][k], why);
  }
  return COHORT_DONE;
}

/* The bytes that both begin with: to the space before they differ, whole characters of UTF-8. */
static size_t common_prompt(const char *a, const char *b) {
  size_t length = 0;
  while (a[length] && a[length] == b[length]) length++;
  while (length > 0 && ((unsigned char)a[length] & 0xc0) == 0x80) length--;
  return length > 0 && a[length - 1] == ' ' ? length - 1 : length;
}

static char *copy_part(const char *text, size_t length) {
  char *copy = cohort_allocate(length + 1);
  memcpy(copy, text, length);
  return copy;
}

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static void take_line(const json_t *object, shape form, cohort_pairs *out, int64_t at) {
  if (form == SHAPE_UNPAIRED) {
    out->prompt[at] = cohort_copy_text(text_of(object, "prompt"));
    out->chosen[at] = cohort_copy_text(text_of(object, "completion"));
    out->desirable[at] = json_is_true(json_object_get(object, "label"));
    return;
  }
  const char *chosen = text_of(object, "chosen"), *rejected = text_of(object, "rejected");
  const size_t cut = form == SHAPE_IMPLICIT ? common_prompt(chosen, rejected) : 0;
  out->prompt[at] = form == SHAPE_IMPLICIT ? copy_part(chosen, cut) : cohort_copy_text(text_of(object, "prompt"));
  out->chosen[at] = cohort_copy_text(chosen + cut);
  out->rejected[at] = cohort_copy_text(rejected + cut);
}

/* Every line gives the first one's columns; the first says which. */
static void make_columns(cohort_pairs *out, shape form, size_t lines) {
  out->prompt = cohort_allocate(lines * sizeof *out->prompt);
  out->chosen = cohort_allocate(lines * sizeof *out->chosen);
  if (form == SHAPE_UNPAIRED)
    out->desirable = cohort_allocate(lines * sizeof *out->desirable);
  else
    out->rejected = cohort_allocate(lines * sizeof *out->rejected);
}

/* How much better chosen is: a number in every line, or in none. */
static cohort_status take_margin(const place *where, const json_t *object, size_t lines, int64_t at, cohort_pairs *out,
                                 cohort_error *error) {
  const json_t *value = json_object_get(object, "margin");
  if (at == 0 && value && out->rejected) out->margin = cohort_allocate(lines * sizeof *out->margin);
  if (!value && !out->margin) return COHORT_DONE;
  if (!value || !out->margin || !json_is_number(value))
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: margin is %s; give pairs a number in every line or in none",
                       where->path, where->number,
                       !value        ? "missing"
                       : out->margin ? "no number"
                                     : "new here");
  out->margin[at] = (float)json_number_value(value);
  return COHORT_DONE;
}

static cohort_status read_line(const place *where, const char *line, size_t length, size_t lines, shape *form,
                               cohort_pairs *out, cohort_error *error) {
  json_error_t fault;
  json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &fault);
  if (!object)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:%d: not JSON: %s", where->path, where->number, fault.column,
                       fault.text);
  if (!out->prompt) *form = shape_of(object);
  cohort_status status = check_keys(where, object, *form, error);
  if (status == COHORT_DONE) {
    if (!out->prompt) make_columns(out, *form, lines);
    const int64_t at = out->count++;
    take_line(object, *form, out, at);
    status = check_texts(where, out->prompt[at], out->chosen[at], out->rejected ? out->rejected[at] : NULL, error);
    if (status == COHORT_DONE) status = take_margin(where, object, lines, at, out, error);
  }
  json_decref(object);
  return status;
}

cohort_status cohort_pairs_read(const char *path, cohort_pairs *out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  memset(out, 0, sizeof *out);
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  size_t lines = 1;
  for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
  out->digest = cohort_digest(text, length, 1);
  cohort_status status = COHORT_DONE;
  place at = {path, 0};
  shape form = SHAPE_PREFERENCE;
  for (size_t first = 0; first < length && status == COHORT_DONE;) {
    const char *end = memchr(text + first, '\n', length - first);
    const size_t own = end ? (size_t)(end - text) - first : length - first;
    at.number++;
    if (strspn(text + first, " \t\r") >= own)
      status = cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: an empty line; remove it", path, at.number);
    else
      status = read_line(&at, text + first, own, lines, &form, out, error);
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
    if (pairs->rejected) free(pairs->rejected[i]);
  }
  free(pairs->prompt);
  free(pairs->chosen);
  free(pairs->rejected);
  free(pairs->desirable);
  free(pairs->margin);
  memset(pairs, 0, sizeof *pairs);
}
