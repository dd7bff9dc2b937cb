/* Completions of prompts: one JSON object a line. A shape is the keys that it has; the first line says which.
 * Invariant: sample i is line i + 1, and what is given out is whole or nothing. The text is read once and cut where it
 * stands; a line costs its length. */
#include "io/dataset/completions.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/completions_own.h"
#include "io/dataset/dataset.h"
#include "io/run_directory.h"

typedef cohort_completions_line line;

static const char *const names[] = {"text", "prompt", "completion", "unpaired", "preference", "list", "stepwise"};
const char *cohort_data_shape_name(cohort_data_shape shape) { return names[shape]; }

static const char *const expected[] = {
    [COHORT_DATA_TEXT] = "{\"text\"} as a string",
    [COHORT_DATA_PROMPT] = "{\"prompt\"} as a string",
    [COHORT_DATA_COMPLETION] = "{\"prompt\", \"completion\"} as strings",
    [COHORT_DATA_UNPAIRED] = "{\"prompt\", \"completion\"} as strings and \"label\" as true or false",
    [COHORT_DATA_PREFERENCE] = "{\"prompt\", \"chosen\", \"rejected\"} as strings",
    [COHORT_DATA_LIST] = "\"prompt\" as a string and \"completions\" as a list of strings",
    [COHORT_DATA_STEPWISE] =
        "\"prompt\" as a string, \"completions\" as a list of strings and \"labels\" as a list of true or false",
};

cohort_status cohort_completions_fail(const line *at, cohort_error *error, const char *format, ...) {
  char what[384];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:1: %s", at->path, at->number, what);
}

static const json_t *get(const line *at, const char *key) { return json_object_get(at->object, key); }

static cohort_data_shape shape_of(const line *at) {
  if (get(at, "text") || get(at, "messages")) return COHORT_DATA_TEXT;
  if (get(at, "chosen") || get(at, "rejected")) return COHORT_DATA_PREFERENCE;
  if (get(at, "completions")) return get(at, "labels") ? COHORT_DATA_STEPWISE : COHORT_DATA_LIST;
  if (get(at, "label")) return COHORT_DATA_UNPAIRED;
  return get(at, "completion") ? COHORT_DATA_COMPLETION
         : get(at, "prompt")   ? COHORT_DATA_PROMPT
                               : COHORT_DATA_PREFERENCE;
}

static cohort_status unexpected(const line *at, cohort_data_shape shape, const char *key, const char *is,
                                cohort_error *error) {
  return cohort_completions_fail(at, error, "expected %s%s; %s is %s", expected[shape],
                                 at->number > 1 ? ", as the first line has" : "", key, is);
}

static cohort_status take_text(const line *at, cohort_data_shape shape, const char *key, const json_t *value,
                               char **out, cohort_error *error) {
  if (!json_is_string(value))
    return unexpected(at, shape, key,
                      !value                 ? "missing"
                      : json_is_array(value) ? "a list of messages; write their text"
                                             : "not a string",
                      error);
  *out = cohort_copy_text(json_string_value(value));
  return COHORT_DONE;
}

/* A list of texts as one, with its parts. */
static cohort_status take_parts(const line *at, cohort_data_shape shape, const char *key, const json_t *value,
                                cohort_completion *out, cohort_error *error) {
  size_t length = 0;
  const size_t parts = json_array_size(value);
  for (size_t i = 0; i < parts; i++) {
    const json_t *part = json_array_get(value, i);
    if (json_is_object(part)) return unexpected(at, shape, key, "a list of messages; write their text", error);
    if (!json_is_string(part)) return unexpected(at, shape, key, "a list of other things than strings", error);
    if (!json_string_length(part))
      return cohort_completions_fail(at, error, "%s: step %zu is empty; remove it", key, i + 1);
    length += json_string_length(part);
  }
  out->text = cohort_allocate(length + 1);
  out->part = cohort_allocate((parts + 1) * sizeof *out->part);
  out->parts = (int)parts;
  length = 0;
  for (size_t i = 0; i < parts; i++) {
    const json_t *part = json_array_get(value, i);
    memcpy(out->text + length, json_string_value(part), json_string_length(part));
    out->part[i] = (cohort_span){length, length + json_string_length(part)};
    length = out->part[i].end;
  }
  return COHORT_DONE;
}

static cohort_status take_completion(const line *at, cohort_data_shape shape, const char *key, const json_t *value,
                                     cohort_completion *out, cohort_error *error) {
  const bool steps = json_is_array(value) && (shape == COHORT_DATA_PREFERENCE || shape == COHORT_DATA_STEPWISE);
  return steps ? take_parts(at, shape, key, value, out, error) : take_text(at, shape, key, value, &out->text, error);
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

/* A preference without a prompt: it is cut from both. */
static cohort_status part_prompt(const line *at, char **prompt, cohort_completion *pair, cohort_error *error) {
  if (pair[0].parts || pair[1].parts)
    return cohort_completions_fail(at, error, "prompt is missing; completions in steps need it");
  const size_t cut = common_prompt(pair[0].text, pair[1].text);
  *prompt = copy_part(pair[0].text, cut);
  for (int side = 0; side < 2; side++) {
    char *rest = cohort_copy_text(pair[side].text + cut);
    free(pair[side].text);
    pair[side].text = rest;
  }
  return COHORT_DONE;
}

/* A second prompt stands in every line or in none. */
static cohort_status open_second_prompt(const line *at, cohort_completions *out, cohort_error *error) {
  const json_t *other = get(at, "prompt_rejected");
  if (other && at->at == 0) out->prompt_rejected = cohort_allocate(at->samples * sizeof *out->prompt_rejected);
  if (!other == !out->prompt_rejected) return COHORT_DONE;
  return cohort_completions_fail(at, error, "prompt_rejected is %s; give it in every line or in none",
                                 other ? "new here" : "missing");
}

static cohort_status take_preference(const line *at, cohort_completions *out, cohort_error *error) {
  cohort_completion *pair = &out->completion[2 * at->at];
  const bool implicit = !get(at, "prompt") && get(at, "chosen") && get(at, "rejected");
  const json_t *other = get(at, "prompt_rejected");
  if (!implicit) COHORT_TRY(take_text(at, out->shape, "prompt", get(at, "prompt"), &out->prompt[at->at], error));
  COHORT_TRY(take_completion(at, out->shape, "chosen", get(at, "chosen"), &pair[0], error));
  COHORT_TRY(take_completion(at, out->shape, "rejected", get(at, "rejected"), &pair[1], error));
  if (implicit) COHORT_TRY(part_prompt(at, &out->prompt[at->at], pair, error));
  if (other) COHORT_TRY(take_text(at, out->shape, "prompt_rejected", other, &out->prompt_rejected[at->at], error));
  return COHORT_DONE;
}

/* Completions that are empty, or equal after one prompt. */
static cohort_status check_texts(const line *at, const cohort_completions *out, cohort_error *error) {
  const cohort_completion *own = &out->completion[at->at * out->sides];
  const char *const *keys = (const char *const[]){"chosen", "rejected"};
  const bool pair = out->shape == COHORT_DATA_PREFERENCE;
  const char *other = out->prompt_rejected ? out->prompt_rejected[at->at] : NULL;
  if (out->shape != COHORT_DATA_TEXT && !out->prompt[at->at][0])
    return cohort_completions_fail(at, error,
                                   "prompt is empty; a completion's first token needs text before it, give some");
  for (int k = 0; k < out->sides && own[k].text; k++) {
    if (!own[k].text[0])
      return cohort_completions_fail(at, error, "%s is empty; there is nothing to score, remove the line",
                                     pair ? keys[k] : "completion");
    if (pair && other && strcmp(other, out->prompt[at->at]) != 0) continue;
    for (int before = 0; before < k; before++)
      if (strcmp(own[k].text, own[before].text) == 0)
        return pair ? cohort_completions_fail(at, error,
                                              "chosen and rejected are equal; neither is preferred, remove the line")
                    : cohort_completions_fail(at, error, "completions %lld and %lld are equal; remove one",
                                              (long long)at->order[before] + 1, (long long)at->order[k] + 1);
  }
  return COHORT_DONE;
}

/* The places of a list's completions: by their scores, the best first, or as they stand. */
static cohort_status order_list(line *at, size_t count, cohort_error *error) {
  const json_t *scores = get(at, "scores");
  if (scores && json_array_size(scores) != count)
    return cohort_completions_fail(at, error, "scores has %zu elements for %zu completions", json_array_size(scores),
                                   count);
  for (size_t i = 0; i < count; i++) {
    size_t place = i;
    const json_t *own = json_array_get(scores, i);
    if (scores && !json_is_number(own))
      return cohort_completions_fail(at, error, "scores: element %zu is no number", i + 1);
    for (; scores && place > 0; place--) {
      const json_t *before = json_array_get(scores, (size_t)at->order[place - 1]);
      if (json_number_value(before) >= json_number_value(own)) break;
      at->order[place] = at->order[place - 1];
    }
    at->order[place] = (int64_t)i;
  }
  return COHORT_DONE;
}

/* An array of `size` bytes a completion for more of them a sample: what is there moves apart. */
static void *widened(void *array, size_t size, const line *at, int before, int sides) {
  if (!array) return NULL;
  char *wide = cohort_allocate(at->samples * (size_t)sides * size);
  const size_t own = (size_t)before * size;
  for (int64_t i = 0; i < at->at; i++)
    memcpy(wide + (size_t)i * (size_t)sides * size, (char *)array + (size_t)i * own, own);
  free(array);
  return wide;
}

/* Room for lists of more completions than any before. */
static void widen(cohort_completions *out, const line *at, int sides) {
  out->completion = widened(out->completion, sizeof *out->completion, at, out->sides, sides);
  for (int f = 0; out->fields && out->fields[f].name; f++) {
    if (out->fields[f].owner == COHORT_FIELD_SAMPLE) continue;
    cohort_field_values *own = &out->field[f];
    own->value = widened(own->value, sizeof *own->value, at, out->sides, sides);
    own->list = widened(own->list, sizeof *own->list, at, out->sides, sides);
    own->elements = widened(own->elements, sizeof *own->elements, at, out->sides, sides);
  }
  out->sides = sides;
}

/* A list's order and room for it. */
static cohort_status open_list(line *at, cohort_completions *out, cohort_error *error) {
  const json_t *list = get(at, "completions");
  const size_t count = json_array_size(list);
  if (!json_is_array(list)) return unexpected(at, out->shape, "completions", list ? "no list" : "missing", error);
  if (count < 2 || count > COHORT_MAX_SIDES)
    return cohort_completions_fail(at, error, "completions has %zu elements; a list is of 2 to %d", count,
                                   (int)COHORT_MAX_SIDES);
  COHORT_TRY(order_list(at, count, error));
  if ((int)count > out->sides) widen(out, at, (int)count);
  return COHORT_DONE;
}

static cohort_status take_list(const line *at, cohort_completions *out, cohort_error *error) {
  const json_t *list = get(at, "completions");
  COHORT_TRY(take_text(at, out->shape, "prompt", get(at, "prompt"), &out->prompt[at->at], error));
  for (size_t k = 0; k < json_array_size(list); k++)
    COHORT_TRY(take_completion(at, out->shape, "completions", json_array_get(list, (size_t)at->order[k]),
                               &out->completion[at->at * out->sides + (int64_t)k], error));
  return COHORT_DONE;
}

static cohort_status take_stepwise(const line *at, cohort_completions *out, cohort_error *error) {
  const json_t *steps = get(at, "completions"), *labels = get(at, "labels");
  if (!json_is_array(steps)) return unexpected(at, out->shape, "completions", steps ? "no list" : "missing", error);
  if (!json_is_array(labels)) return unexpected(at, out->shape, "labels", labels ? "no list" : "missing", error);
  COHORT_TRY(take_text(at, out->shape, "prompt", get(at, "prompt"), &out->prompt[at->at], error));
  return take_completion(at, out->shape, "completions", steps, &out->completion[at->at], error);
}

static cohort_status take_label(const line *at, cohort_completions *out, cohort_error *error) {
  const json_t *label = get(at, "label");
  if (!json_is_boolean(label)) return unexpected(at, out->shape, "label", label ? "neither" : "missing", error);
  out->desirable[at->at] = json_is_true(label);
  return COHORT_DONE;
}

static cohort_status take_single(const line *at, cohort_completions *out, cohort_error *error) {
  const bool text = out->shape == COHORT_DATA_TEXT;
  if (text)
    out->prompt[at->at] = cohort_copy_text("");
  else
    COHORT_TRY(take_text(at, out->shape, "prompt", get(at, "prompt"), &out->prompt[at->at], error));
  if (out->shape == COHORT_DATA_PROMPT) return COHORT_DONE;
  const char *key = text ? "text" : "completion";
  return take_completion(at, out->shape, key, get(at, key), &out->completion[at->at], error);
}

static cohort_status take_texts(const line *at, cohort_completions *out, cohort_error *error) {
  const bool conversation = cohort_completions_is_conversation(at);
  if (at->at == 0) out->conversational = conversation;
  if (conversation != out->conversational)
    return cohort_completions_fail(at, error, "%s; the first line has %s", conversation ? "messages" : "texts alone",
                                   conversation ? "texts" : "messages");
  if (conversation) return cohort_completions_take_conversation(at, out, error);
  if (out->shape == COHORT_DATA_PREFERENCE) return take_preference(at, out, error);
  if (out->shape == COHORT_DATA_LIST) return take_list(at, out, error);
  if (out->shape == COHORT_DATA_STEPWISE) return take_stepwise(at, out, error);
  return take_single(at, out, error);
}

static cohort_status take_sample(line *at, cohort_completions *out, cohort_error *error) {
  if (out->shape == COHORT_DATA_LIST) COHORT_TRY(open_list(at, out, error));
  if (out->shape == COHORT_DATA_PREFERENCE) COHORT_TRY(open_second_prompt(at, out, error));
  if (out->shape == COHORT_DATA_UNPAIRED) COHORT_TRY(take_label(at, out, error));
  COHORT_TRY(take_texts(at, out, error));
  COHORT_TRY(check_texts(at, out, error));
  return cohort_completions_take_fields(at, out, error);
}

static void make_room(const line *at, cohort_completions *out) {
  out->shape = shape_of(at);
  out->sides = out->shape == COHORT_DATA_PREFERENCE || out->shape == COHORT_DATA_LIST ? 2
               : out->shape == COHORT_DATA_PROMPT                                     ? 0
                                                                                      : 1;
  out->prompt = cohort_allocate(at->samples * sizeof *out->prompt);
  out->completion = cohort_allocate(at->samples * (size_t)out->sides * sizeof *out->completion + 1);
  if (out->shape == COHORT_DATA_UNPAIRED) out->desirable = cohort_allocate(at->samples * sizeof *out->desirable);
}

static cohort_status read_line(line *at, const char *text, size_t length, cohort_completions *out,
                               cohort_error *error) {
  if (strspn(text, " \t\r") >= length) return cohort_completions_fail(at, error, "an empty line; remove it");
  json_error_t fault;
  json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &fault);
  if (!object)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%lld:%d: not JSON: %s", at->path, at->number, fault.column,
                       fault.text);
  at->object = object;
  if (!out->prompt) make_room(at, out);
  at->at = out->count++;
  const cohort_status status = take_sample(at, out, error);
  json_decref(object);
  return status;
}

cohort_status cohort_completions_read(const char *path, const cohort_completions_options *options,
                                      cohort_completions *out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  memset(out, 0, sizeof *out);
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  line at = {.path = path, .options = options, .samples = 1};
  for (size_t i = 0; i < length; i++) at.samples += text[i] == '\n';
  out->path = cohort_copy_text(path);
  out->fields = options ? options->fields : NULL;
  out->digest = cohort_digest(text, length, 1);
  cohort_status status = COHORT_DONE;
  for (size_t first = 0; first < length && status == COHORT_DONE;) {
    const char *end = memchr(text + first, '\n', length - first);
    const size_t own = end ? (size_t)(end - text) - first : length - first;
    at.number++;
    status = read_line(&at, text + first, own, out, error);
    first += own + 1;
  }
  if (status == COHORT_DONE && out->count == 0)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: holds no lines of texts, no pairs", path);
  free(text);
  if (status == COHORT_DONE && out->conversational) out->digest ^= cohort_chat_digest(options->chat);
  if (status != COHORT_DONE) cohort_completions_release(out);
  return status;
}

cohort_completions cohort_completions_view(const cohort_completions *own, int64_t first, int64_t count) {
  cohort_completions view = *own;
  view.first += first;
  view.count = count;
  view.prompt += first;
  view.completion += first * own->sides;
  if (view.prompt_rejected) view.prompt_rejected += first;
  if (view.desirable) view.desirable += first;
  for (int f = 0; own->fields && own->fields[f].name; f++) {
    cohort_field_values *field = &view.field[f];
    if (field->value) field->value += own->fields[f].owner == COHORT_FIELD_SAMPLE ? first : first * own->sides;
    if (field->list) field->list += first * own->sides;
    if (field->elements) field->elements += first * own->sides;
  }
  return view;
}

void cohort_completions_release(cohort_completions *own) {
  for (int64_t i = 0; i < own->count; i++) {
    free(own->prompt[i]);
    if (own->prompt_rejected) free(own->prompt_rejected[i]);
  }
  for (int64_t c = 0; c < own->count * own->sides; c++) {
    free(own->completion[c].text);
    free(own->completion[c].part);
  }
  for (int f = 0; f < COHORT_MAX_FIELDS; f++) {
    for (int64_t c = 0; own->field[f].list && c < own->count * own->sides; c++) free(own->field[f].list[c]);
    free(own->field[f].value);
    free(own->field[f].list);
    free(own->field[f].elements);
  }
  free(own->prompt);
  free(own->prompt_rejected);
  free(own->completion);
  free(own->desirable);
  free(own->path);
  memset(own, 0, sizeof *own);
}
