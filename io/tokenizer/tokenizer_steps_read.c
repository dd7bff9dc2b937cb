/* Reads normalizers, pre-tokenizers and decoders into steps. One function a part; a sequence is its parts one after
 * another. What is not known is refused by name. Linear in the file. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_json.h"

enum { DEEPEST = 8 };

/* Where a part stands. */
typedef struct part_reader {
  const char *name, *what; /* the file; "normalizer" ... */
  cohort_step_list *out;
  int depth;
} part_reader;

const char *cohort_json_type(const json_t *value) {
  const char *type = json_string_value(json_object_get(value, "type"));
  return type ? type : "";
}

const char *cohort_json_quote(const char *text) {
  static _Thread_local char quoted[72];
  size_t n = 0;
  for (; n < 64 && text[n]; n++) quoted[n] = (unsigned char)text[n] < 32 ? ' ' : text[n];
  memcpy(quoted + n, text[n] ? "..." : "", text[n] ? 4 : 1);
  return quoted;
}

static cohort_status unknown(const part_reader *own, const json_t *value, cohort_error *error) {
  const char *type = cohort_json_type(value);
  return cohort_fail(error, COHORT_BAD_DATA, "%s: the %s %s is not read here; use a tokenizer without it", own->name,
                     own->what, *type ? cohort_json_quote(type) : "without a type");
}

static cohort_status wrong(const part_reader *own, const json_t *value, const char *key, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: the %s %s has no %s that can be read", own->name, own->what,
                     cohort_json_quote(cohort_json_type(value)), key);
}

static cohort_status add(const part_reader *own, cohort_text_step step, cohort_error *error) {
  if (own->out->count < COHORT_MOST_STEPS) {
    own->out->step[own->out->count++] = step;
    return COHORT_DONE;
  }
  cohort_step_list lost = {.step = {step}, .count = 1};
  cohort_steps_release(&lost);
  return cohort_fail(error, COHORT_BAD_DATA, "%s: the %s has more than %d steps", own->name, own->what,
                     COHORT_MOST_STEPS);
}

/* A value that may be absent or null. */
static cohort_status read_switch(const part_reader *own, const json_t *value, const char *key, bool absent, bool *out,
                                 cohort_error *error) {
  const json_t *held = json_object_get(value, key);
  if (held && !json_is_null(held) && !json_is_boolean(held)) return wrong(own, value, key, error);
  *out = json_is_boolean(held) ? json_is_true(held) : absent;
  return COHORT_DONE;
}

static cohort_status read_text(const part_reader *own, const json_t *value, const char *key, char **out, size_t *length,
                               cohort_error *error) {
  const json_t *held = json_object_get(value, key);
  if (!json_is_string(held)) return wrong(own, value, key, error);
  *length = json_string_length(held);
  *out = cohort_allocate(*length + 1);
  memcpy(*out, json_string_value(held), *length);
  return COHORT_DONE;
}

static cohort_status read_count(const part_reader *own, const json_t *value, const char *key, size_t absent,
                                size_t *out, cohort_error *error) {
  const json_t *held = json_object_get(value, key);
  if (held && (!json_is_integer(held) || json_integer_value(held) < 0)) return wrong(own, value, key, error);
  *out = held ? (size_t)json_integer_value(held) : absent;
  return COHORT_DONE;
}

/* {"String": TEXT} or {"Regex": EXPRESSION}. */
static cohort_status read_pattern(const part_reader *own, const json_t *value, cohort_pattern **out,
                                  cohort_error *error) {
  const json_t *pattern = json_object_get(value, "pattern"), *text = json_object_get(pattern, "String"),
               *expression = json_object_get(pattern, "Regex");
  if (json_is_string(text)) {
    *out = cohort_pattern_literal(json_string_value(text), json_string_length(text));
    return COHORT_DONE;
  }
  if (!json_is_string(expression) || strlen(json_string_value(expression)) != json_string_length(expression))
    return wrong(own, value, "pattern", error);
  return cohort_pattern_create(own->name, json_string_value(expression), out, error);
}

static cohort_status add_replace(const part_reader *own, const json_t *value, cohort_error *error) {
  cohort_text_step step = {.kind = COHORT_STEP_REPLACE};
  COHORT_TRY(read_text(own, value, "content", &step.text, &step.length, error));
  cohort_step_list held = {.step = {step}, .count = 1};
  const cohort_status status = read_pattern(own, value, &held.step[0].pattern, error);
  if (status == COHORT_DONE) return add(own, held.step[0], error);
  cohort_steps_release(&held);
  return status;
}

/* Of both Metaspaces. An old file says add_prefix_space instead of a scheme. */
static cohort_status read_metaspace(const part_reader *own, const json_t *value, cohort_text_step *step,
                                    cohort_error *error) {
  static const char *const schemes[] = {
      [COHORT_PREPEND_ALWAYS] = "always", [COHORT_PREPEND_FIRST] = "first", [COHORT_PREPEND_NEVER] = "never"};
  const json_t *scheme = json_object_get(value, "prepend_scheme");
  const char *wanted = json_is_string(scheme) ? json_string_value(scheme) : scheme ? "" : "always";
  int found = -1;
  for (int i = 0; i < 3; i++)
    if (strcmp(schemes[i], wanted) == 0) found = i;
  if (found < 0) return wrong(own, value, "prepend_scheme", error);
  bool space = true;
  COHORT_TRY(read_switch(own, value, "add_prefix_space", true, &space, error));
  if (!space && scheme && found != COHORT_PREPEND_NEVER) return wrong(own, value, "add_prefix_space", error);
  *step = (cohort_text_step){.kind = COHORT_STEP_METASPACE,
                             .scheme = space ? (cohort_prepend_scheme)found : COHORT_PREPEND_NEVER};
  COHORT_TRY(read_text(own, value, "replacement", &step->text, &step->length, error));
  size_t bytes = 0;
  if (step->length && cohort_utf8_read(step->text, step->length, &bytes) >= 0 && bytes == step->length)
    return COHORT_DONE;
  free(step->text);
  return wrong(own, value, "replacement of one character", error);
}

typedef cohort_status (*part_function)(part_reader *own, const json_t *value, cohort_error *error);

static cohort_status read_sequence(part_reader *own, const json_t *value, const char *key, part_function read,
                                   cohort_error *error) {
  const json_t *parts = json_object_get(value, key);
  if (!json_is_array(parts)) return wrong(own, value, key, error);
  if (++own->depth > DEEPEST)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the %s has sequences inside sequences", own->name, own->what);
  for (size_t i = 0; i < json_array_size(parts); i++) COHORT_TRY(read(own, json_array_get(parts, i), error));
  own->depth--;
  return COHORT_DONE;
}

static cohort_status read_normalizer(part_reader *own, const json_t *value, cohort_error *error) {
  static const char *const forms[] = {
      [COHORT_FORM_NFC] = "NFC", [COHORT_FORM_NFD] = "NFD", [COHORT_FORM_NFKC] = "NFKC", [COHORT_FORM_NFKD] = "NFKD"};
  const char *type = cohort_json_type(value);
  cohort_text_step step = {0};
  for (int i = 0; i < 4; i++)
    if (strcmp(forms[i], type) == 0)
      return add(own, (cohort_text_step){.kind = COHORT_STEP_FORM, .form = (cohort_normal_form)i}, error);
  if (strcmp(type, "Sequence") == 0) return read_sequence(own, value, "normalizers", read_normalizer, error);
  if (strcmp(type, "Lowercase") == 0) return add(own, (cohort_text_step){.kind = COHORT_STEP_LOWER}, error);
  if (strcmp(type, "ByteLevel") == 0) return add(own, (cohort_text_step){.kind = COHORT_STEP_ALPHABET}, error);
  if (strcmp(type, "Replace") == 0) return add_replace(own, value, error);
  if (strcmp(type, "Prepend") == 0) {
    step.kind = COHORT_STEP_PREPEND;
    COHORT_TRY(read_text(own, value, "prepend", &step.text, &step.length, error));
    return add(own, step, error);
  }
  if (strcmp(type, "Strip") != 0) return unknown(own, value, error);
  step.kind = COHORT_STEP_TRIM;
  COHORT_TRY(read_switch(own, value, "strip_left", true, &step.left, error));
  COHORT_TRY(read_switch(own, value, "strip_right", true, &step.right, error));
  return add(own, step, error);
}

cohort_status cohort_normalizer_read(const char *name, const json_t *value, cohort_step_list *out,
                                     cohort_error *error) {
  part_reader own = {name, "normalizer", out, 0};
  return value && !json_is_null(value) ? read_normalizer(&own, value, error) : COHORT_DONE;
}

static cohort_status read_behaviour(const part_reader *own, const json_t *value, cohort_split_behaviour *out,
                                    cohort_error *error) {
  static const char *const names[] = {
      [COHORT_SPLIT_ISOLATED] = "Isolated",
      [COHORT_SPLIT_REMOVED] = "Removed",
      [COHORT_SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
      [COHORT_SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
      [COHORT_SPLIT_CONTIGUOUS] = "Contiguous",
  };
  const json_t *held = json_object_get(value, "behavior");
  const char *wanted = json_is_string(held) ? json_string_value(held) : "";
  for (int i = 0; i < 5; i++) {
    if (strcmp(names[i], wanted) != 0) continue;
    *out = (cohort_split_behaviour)i;
    return COHORT_DONE;
  }
  return wrong(own, value, "behavior", error);
}

static bool after_alphabet(const cohort_step_list *list) {
  for (int i = 0; i < list->count; i++)
    if (list->step[i].kind == COHORT_STEP_ALPHABET) return true;
  return false;
}

/* The expression .{1,N} over the alphabet, which has no newline, is pieces of a fixed size: Cohort's own files have it.
 */
static size_t fixed_size(const part_reader *own, const json_t *value, const cohort_text_step *step) {
  const char *text = json_string_value(json_object_get(json_object_get(value, "pattern"), "Regex"));
  if (!text || step->behaviour != COHORT_SPLIT_ISOLATED || step->invert || !after_alphabet(own->out)) return 0;
  if (strncmp(text, ".{1,", 4) != 0) return 0;
  char *end = NULL;
  const long size = strtol(text + 4, &end, 10);
  return size > 0 && strcmp(end, "}") == 0 ? (size_t)size : 0;
}

static cohort_status add_split(const part_reader *own, const json_t *value, cohort_error *error) {
  cohort_text_step step = {.kind = COHORT_STEP_SPLIT};
  COHORT_TRY(read_behaviour(own, value, &step.behaviour, error));
  COHORT_TRY(read_switch(own, value, "invert", false, &step.invert, error));
  step.size = fixed_size(own, value, &step);
  if (step.size) {
    step.kind = COHORT_STEP_FIXED;
    return add(own, step, error);
  }
  COHORT_TRY(read_pattern(own, value, &step.pattern, error));
  return add(own, step, error);
}

static cohort_status add_words(const part_reader *own, const char *expression, cohort_split_behaviour behaviour,
                               bool invert, cohort_error *error) {
  cohort_text_step step = {.kind = COHORT_STEP_SPLIT, .behaviour = behaviour, .invert = invert};
  COHORT_TRY(cohort_pattern_create(own->name, expression, &step.pattern, error));
  return add(own, step, error);
}

static cohort_status add_class(const part_reader *own, cohort_character_class class, cohort_split_behaviour behaviour,
                               cohort_error *error) {
  return add(own, (cohort_text_step){.kind = COHORT_STEP_CLASS, .class = class, .behaviour = behaviour}, error);
}

static cohort_status add_byte_level(const part_reader *own, const json_t *value, cohort_error *error) {
  bool space = true, words = true;
  COHORT_TRY(read_switch(own, value, "add_prefix_space", true, &space, error));
  COHORT_TRY(read_switch(own, value, "use_regex", true, &words, error));
  if (space) COHORT_TRY(add(own, (cohort_text_step){.kind = COHORT_STEP_SPACE}, error));
  if (words) COHORT_TRY(add_words(own, cohort_pattern_gpt2, COHORT_SPLIT_ISOLATED, false, error));
  return add(own, (cohort_text_step){.kind = COHORT_STEP_ALPHABET}, error);
}

static cohort_status add_metaspace(const part_reader *own, const json_t *value, cohort_error *error) {
  cohort_text_step step;
  bool split = true;
  COHORT_TRY(read_switch(own, value, "split", true, &split, error));
  COHORT_TRY(read_metaspace(own, value, &step, error));
  cohort_text_step cut = {.kind = COHORT_STEP_SPLIT, .behaviour = COHORT_SPLIT_MERGED_WITH_NEXT};
  if (split) cut.pattern = cohort_pattern_literal(step.text, step.length);
  const cohort_status status = add(own, step, error);
  if (status == COHORT_DONE && split) return add(own, cut, error);
  cohort_pattern_destroy(cut.pattern);
  return status;
}

static cohort_status add_delimiter(const part_reader *own, const json_t *value, cohort_error *error) {
  const json_t *held = json_object_get(value, "delimiter");
  const size_t length = json_string_length(held);
  size_t bytes = 0;
  const int32_t code = length ? cohort_utf8_read(json_string_value(held), length, &bytes) : -1;
  if (code < 0 || bytes != length) return wrong(own, value, "delimiter", error);
  return add(
      own,
      (cohort_text_step){
          .kind = COHORT_STEP_CLASS, .class = COHORT_CLASS_CODE, .given = code, .behaviour = COHORT_SPLIT_REMOVED},
      error);
}

static cohort_status read_pre_tokenizer(part_reader *own, const json_t *value, cohort_error *error) {
  const char *type = cohort_json_type(value);
  if (strcmp(type, "Sequence") == 0) return read_sequence(own, value, "pretokenizers", read_pre_tokenizer, error);
  if (strcmp(type, "ByteLevel") == 0) return add_byte_level(own, value, error);
  if (strcmp(type, "Metaspace") == 0) return add_metaspace(own, value, error);
  if (strcmp(type, "Split") == 0) return add_split(own, value, error);
  if (strcmp(type, "CharDelimiterSplit") == 0) return add_delimiter(own, value, error);
  if (strcmp(type, "Whitespace") == 0) return add_words(own, cohort_pattern_words, COHORT_SPLIT_REMOVED, true, error);
  if (strcmp(type, "WhitespaceSplit") == 0) return add_class(own, COHORT_CLASS_SPACE, COHORT_SPLIT_REMOVED, error);
  if (strcmp(type, "BertPreTokenizer") == 0) {
    COHORT_TRY(add_class(own, COHORT_CLASS_SPACE, COHORT_SPLIT_REMOVED, error));
    return add_class(own, COHORT_CLASS_PUNCTUATION, COHORT_SPLIT_ISOLATED, error);
  }
  if (strcmp(type, "Digits") == 0) {
    bool apart = false;
    COHORT_TRY(read_switch(own, value, "individual_digits", false, &apart, error));
    return add_class(own, COHORT_CLASS_NUMBER, apart ? COHORT_SPLIT_ISOLATED : COHORT_SPLIT_CONTIGUOUS, error);
  }
  if (strcmp(type, "Punctuation") == 0) {
    cohort_split_behaviour behaviour = COHORT_SPLIT_ISOLATED;
    if (json_object_get(value, "behavior")) COHORT_TRY(read_behaviour(own, value, &behaviour, error));
    return add_class(own, COHORT_CLASS_PUNCTUATION, behaviour, error);
  }
  if (strcmp(type, "FixedLength") != 0) return unknown(own, value, error);
  cohort_text_step step = {.kind = COHORT_STEP_FIXED};
  COHORT_TRY(read_count(own, value, "length", 5, &step.size, error));
  return step.size ? add(own, step, error) : wrong(own, value, "length above 0", error);
}

cohort_status cohort_pre_tokenizer_read(const char *name, const json_t *value, cohort_step_list *out,
                                        cohort_error *error) {
  part_reader own = {name, "pre-tokenizer", out, 0};
  return value && !json_is_null(value) ? read_pre_tokenizer(&own, value, error) : COHORT_DONE;
}

static cohort_status read_decoder(part_reader *own, const json_t *value, cohort_error *error) {
  const char *type = cohort_json_type(value);
  cohort_text_step step = {0};
  if (strcmp(type, "Sequence") == 0) return read_sequence(own, value, "decoders", read_decoder, error);
  if (strcmp(type, "ByteLevel") == 0) return add(own, (cohort_text_step){.kind = COHORT_STEP_ALPHABET}, error);
  if (strcmp(type, "ByteFallback") == 0) return add(own, (cohort_text_step){.kind = COHORT_STEP_BYTE_FALLBACK}, error);
  if (strcmp(type, "Fuse") == 0) return add(own, (cohort_text_step){.kind = COHORT_STEP_FUSE}, error);
  if (strcmp(type, "Replace") == 0) return add_replace(own, value, error);
  if (strcmp(type, "Metaspace") == 0) {
    COHORT_TRY(read_metaspace(own, value, &step, error));
    return add(own, step, error);
  }
  if (strcmp(type, "BPEDecoder") == 0) {
    step.kind = COHORT_STEP_SUFFIX;
    COHORT_TRY(read_text(own, value, "suffix", &step.text, &step.length, error));
    return add(own, step, error);
  }
  if (strcmp(type, "Strip") != 0) return unknown(own, value, error);
  step.kind = COHORT_STEP_STRIP;
  COHORT_TRY(read_count(own, value, "start", 0, &step.start, error));
  COHORT_TRY(read_count(own, value, "stop", 0, &step.stop, error));
  COHORT_TRY(read_text(own, value, "content", &step.text, &step.length, error));
  if (step.length) return add(own, step, error);
  free(step.text);
  return wrong(own, value, "content of one character", error);
}

cohort_status cohort_decoder_read(const char *name, const json_t *value, cohort_step_list *out, cohort_error *error) {
  part_reader own = {name, "decoder", out, 0};
  return value && !json_is_null(value) ? read_decoder(&own, value, error) : COHORT_DONE;
}
