/* Reads a tokenizer.json: the model's vocabulary and merges, the added tokens, the steps and the template. Whatever it
 * holds, it is read into a tokenizer whose ids and merges fit together, or refused. Linear in the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_json.h"
#include "io/tokenizer/tokenizer_own.h"

/* The text of an optional member; NULL when it is absent, null or no text. */
static const char *optional_text(const json_t *value, const char *key) {
  return json_string_value(json_object_get(value, key));
}

static cohort_status refuse(const char *name, const char *what, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: %s; is it a tokenizer.json?", name, what);
}

/* jansson takes no key with a NUL, so that of the token \u0000 goes by the last character of Unicode, which is none. */
static const char nul_escape[] = "\\u0000", stand_in_escape[] = "\\udbff\\udfff", stand_in[] = "\xF4\x8F\xBF\xBF";

/* Where the string that begins at `at` ends, behind its quote. */
static size_t string_end(const char *text, size_t length, size_t at) {
  for (at++; at < length && text[at] != '"'; at++)
    if (text[at] == '\\') at++;
  return at < length ? at + 1 : length;
}

/* The file with stand-ins in its keys, owned by the caller; NULL: it needs none. */
static char *hide_nul_keys(const char *text, size_t length, size_t *made_length) {
  if (!memmem(text, length, nul_escape, 6) || memmem(text, length, stand_in, 4)) return NULL;
  cohort_text made = {0};
  for (size_t at = 0; at < length;) {
    const size_t end = text[at] == '"' ? string_end(text, length, at) : at + 1;
    size_t behind = end;
    while (behind < length && strchr(" \t\r\n", text[behind])) behind++;
    const bool key = text[at] == '"' && behind < length && text[behind] == ':';
    for (size_t next = at; next < end;) {
      const bool hides = key && end - next >= 6 && memcmp(text + next, nul_escape, 6) == 0;
      const size_t bytes = hides ? 6 : text[next] == '\\' && next + 1 < end ? 2 : 1;
      cohort_text_put_bytes(&made, hides ? stand_in_escape : text + next, hides ? 12 : bytes);
      next += bytes;
    }
    at = end;
  }
  *made_length = made.length;
  return made.text;
}

/* Adds a token with NUL in place of stand-ins. */
static void add_shown(cohort_bpe *bpe, const char *text, int32_t id) {
  const char *found;
  cohort_text shown = {0};
  while ((found = strstr(text, stand_in))) {
    cohort_text_put_bytes(&shown, text, (size_t)(found - text) + 1);
    shown.text[shown.length - 1] = '\0';
    text = found + 4;
  }
  cohort_text_put_bytes(&shown, text, strlen(text));
  cohort_bpe_add(bpe, shown.text, shown.length, id);
  cohort_text_release(&shown);
}

static cohort_status read_vocabulary(const char *name, json_t *vocabulary, bool hidden, cohort_bpe *bpe,
                                     cohort_error *error) {
  const char *text;
  json_t *id;
  if (!json_is_object(vocabulary) || !json_object_size(vocabulary))
    return refuse(name, "the model has no vocabulary", error);
  json_object_foreach(vocabulary, text, id) {
    const json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0 || value >= COHORT_LARGEST_VOCABULARY)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: the id of the token %s is no number from 0 to %d", name,
                         cohort_json_quote(text), COHORT_LARGEST_VOCABULARY - 1);
    if (hidden)
      add_shown(bpe, text, (int32_t)value);
    else
      cohort_bpe_add(bpe, text, strlen(text), (int32_t)value);
  }
  return COHORT_DONE;
}

/* Both texts of a merge: ["a", "b"] or "a b". */
static bool merge_texts(const json_t *merge, cohort_token_text side[2]) {
  if (json_is_string(merge)) {
    const char *text = json_string_value(merge);
    const size_t length = json_string_length(merge);
    const char *space = memchr(text, ' ', length);
    if (!space) return false;
    side[0] = (cohort_token_text){text, (size_t)(space - text)};
    side[1] = (cohort_token_text){space + 1, length - side[0].length - 1};
    return memchr(side[1].text, ' ', side[1].length) == NULL;
  }
  if (json_array_size(merge) != 2) return false;
  for (size_t s = 0; s < 2; s++) {
    const json_t *text = json_array_get(merge, s);
    if (!json_is_string(text)) return false;
    side[s] = (cohort_token_text){json_string_value(text), json_string_length(text)};
  }
  return true;
}

static cohort_status read_merge(const char *name, const json_t *merge, int32_t rank, cohort_bpe *bpe, cohort_text *made,
                                cohort_error *error) {
  cohort_token_text side[2];
  if (!merge_texts(merge, side))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: merge %d is not two tokens", name, rank);
  const size_t prefix = bpe->prefix ? strlen(bpe->prefix) : 0;
  if (side[1].length < prefix)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: merge %d lacks the prefix of its second token", name, rank);
  made->length = 0;
  cohort_text_put_bytes(made, side[0].text, side[0].length);
  cohort_text_put_bytes(made, side[1].text + prefix, side[1].length - prefix);
  const int32_t left = cohort_bpe_find(bpe, side[0].text, side[0].length),
                right = cohort_bpe_find(bpe, side[1].text, side[1].length),
                id = cohort_bpe_find(bpe, made->text, made->length);
  if (left < 0 || right < 0 || id < 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: merge %d has tokens that the vocabulary lacks", name, rank);
  cohort_bpe_merge_add(bpe, left, right, id, rank);
  return COHORT_DONE;
}

static cohort_status read_merges(const char *name, const json_t *merges, cohort_bpe *bpe, cohort_error *error) {
  if (!json_is_array(merges)) return refuse(name, "the model has no merges", error);
  cohort_bpe_merges_create(bpe, (int64_t)json_array_size(merges));
  cohort_text made = {0};
  cohort_status status = COHORT_DONE;
  for (size_t i = 0; i < json_array_size(merges) && status == COHORT_DONE; i++) {
    const json_t *merge = json_array_get(merges, i);
    if (json_is_string(merge) && strncmp(json_string_value(merge), "#version", 8) == 0) continue;
    status = read_merge(name, merge, (int32_t)i, bpe, &made, error);
  }
  cohort_text_release(&made);
  return status;
}

static cohort_status read_model(const char *name, const json_t *model, bool hidden, cohort_bpe *bpe,
                                cohort_error *error) {
  const char *type = cohort_json_type(model);
  if (!json_is_object(model)) return refuse(name, "there is no model", error);
  if (*type && strcmp(type, "BPE") != 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the model %s is not read here, only BPE", name,
                       cohort_json_quote(type));
  if (!*type && !json_object_get(model, "merges"))
    return refuse(name, "the model names no kind and has no merges", error);
  if (json_number_value(json_object_get(model, "dropout")) > 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the model drops merges at random; set its dropout to null", name);
  const char *prefix = optional_text(model, "continuing_subword_prefix"),
             *suffix = optional_text(model, "end_of_word_suffix"), *unknown = optional_text(model, "unk_token");
  if (prefix && *prefix) bpe->prefix = cohort_copy_text(prefix);
  if (suffix && *suffix) bpe->suffix = cohort_copy_text(suffix);
  bpe->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
  bpe->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
  bpe->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
  COHORT_TRY(read_vocabulary(name, json_object_get(model, "vocab"), hidden, bpe, error));
  bpe->unknown = unknown ? cohort_bpe_find(bpe, unknown, strlen(unknown)) : -1;
  if (unknown && bpe->unknown < 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the unknown token %s is not in the vocabulary", name,
                       cohort_json_quote(unknown));
  return read_merges(name, json_object_get(model, "merges"), bpe, error);
}

/* A token that the vocabulary lacks takes the next id, as `tokenizers` has it; the file must agree. seen: their places
 * by their texts. */
static cohort_status add_token(const char *name, const json_t *token, int32_t *next, cohort_bpe *seen,
                               cohort_tokenizer *own, cohort_error *error) {
  const json_t *content = json_object_get(token, "content"), *id = json_object_get(token, "id");
  const size_t length = json_string_length(content);
  if (!json_is_string(content)) return refuse(name, "an added token has no content", error);
  if (!length) return COHORT_DONE;
  const char *text = json_string_value(content);
  const int32_t known = cohort_bpe_find(seen, text, length);
  cohort_added_token *slot = &own->added[known < 0 ? own->added_count : known];
  cohort_added_token added = {
      .text = known < 0 ? cohort_allocate(length + 1) : slot->text,
      .length = length,
      .id = known < 0 ? cohort_bpe_find(&own->bpe, text, length) : slot->id,
      .special = json_is_true(json_object_get(token, "special")),
      .single_word = json_is_true(json_object_get(token, "single_word")),
      .left = json_is_true(json_object_get(token, "lstrip")),
      .right = json_is_true(json_object_get(token, "rstrip")),
      .normalised = json_is_true(json_object_get(token, "normalized")),
  };
  memcpy(added.text, text, length);
  if (added.id < 0) added.id = (*next)++;
  if (known < 0) cohort_bpe_add(seen, text, length, own->added_count++);
  *slot = added;
  if (json_is_integer(id) && json_integer_value(id) != added.id)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: the added token %s has the id %lld, but the ids before it leave %d for it", name,
                       cohort_json_quote(text), (long long)json_integer_value(id), added.id);
  return COHORT_DONE;
}

static cohort_status read_added(const char *name, const json_t *tokens, cohort_tokenizer *own, cohort_error *error) {
  const size_t count = json_array_size(tokens);
  if (tokens && !json_is_null(tokens) && !json_is_array(tokens))
    return refuse(name, "the added tokens are no list", error);
  own->added = cohort_allocate((count + 1) * sizeof *own->added);
  int32_t next = (int32_t)own->bpe.entries;
  if ((int64_t)count + next > COHORT_LARGEST_VOCABULARY)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: more than %d tokens", name, COHORT_LARGEST_VOCABULARY);
  cohort_bpe seen = {.unknown = -1};
  cohort_status status = COHORT_DONE;
  for (size_t i = 0; i < count && status == COHORT_DONE; i++)
    status = add_token(name, json_array_get(tokens, i), &next, &seen, own, error);
  cohort_bpe_release(&seen);
  return status;
}

/* What a template adds around the text: a piece that is a special token, or the text. */
typedef struct template_reader {
  const char *name;
  cohort_token_buffer before, behind;
} template_reader;

static cohort_status add_template_ids(template_reader *own, const json_t *ids, bool before, cohort_error *error) {
  for (size_t i = 0; i < json_array_size(ids); i++) {
    const json_int_t id = json_integer_value(json_array_get(ids, i));
    const int32_t token = (int32_t)id;
    if (id < 0 || id >= COHORT_LARGEST_VOCABULARY || !json_is_integer(json_array_get(ids, i)))
      return refuse(own->name, "the template has an id that is no token's", error);
    cohort_token_buffer_add(before ? &own->before : &own->behind, &token, 1);
  }
  return COHORT_DONE;
}

static cohort_status read_template(template_reader *own, const json_t *value, cohort_error *error) {
  const json_t *pieces = json_object_get(value, "single"), *tokens = json_object_get(value, "special_tokens");
  template_reader inner = {.name = own->name};
  int texts = 0;
  cohort_status status = json_is_array(pieces) ? COHORT_DONE : refuse(own->name, "the template has no pieces", error);
  for (size_t i = 0; i < json_array_size(pieces) && status == COHORT_DONE; i++) {
    const json_t *piece = json_array_get(pieces, i), *token = json_object_get(piece, "SpecialToken"),
                 *sequence = json_object_get(piece, "Sequence");
    const char *id = optional_text(token ? token : sequence, "id");
    const json_t *ids = token && id ? json_object_get(json_object_get(tokens, id), "ids") : NULL;
    if (sequence && id && strcmp(id, "A") == 0 && !texts++) continue;
    status = json_is_array(ids) ? add_template_ids(&inner, ids, texts == 0, error)
                                : refuse(own->name, "the template has a piece that is not read", error);
  }
  if (status == COHORT_DONE && !texts) status = refuse(own->name, "the template leaves out the text", error);
  if (status == COHORT_DONE) { /* a template is put around what those before it made */
    cohort_token_buffer_add(&inner.before, own->before.token, own->before.count);
    cohort_token_buffer_add(&own->behind, inner.behind.token, inner.behind.count);
    const cohort_token_buffer swapped = own->before;
    own->before = inner.before;
    inner.before = swapped;
  }
  free(inner.before.token);
  free(inner.behind.token);
  return status;
}

/* ["[CLS]", 101] */
static cohort_status read_pair(template_reader *own, const json_t *value, const char *key, bool before,
                               cohort_error *error) {
  const json_t *pair = json_object_get(value, key);
  json_t *ids = json_array();
  (void)json_array_append(ids, json_array_get(pair, 1));
  const cohort_status status = json_array_size(pair) == 2 ? add_template_ids(own, ids, before, error)
                                                          : refuse(own->name, "the template is not read", error);
  json_decref(ids);
  return status;
}

static cohort_status read_processor(template_reader *own, const json_t *value, int depth, cohort_error *error) {
  enum { DEEPEST = 8 };
  const char *type = cohort_json_type(value);
  if (strcmp(type, "ByteLevel") == 0) return COHORT_DONE; /* it is about places in the text alone */
  if (strcmp(type, "TemplateProcessing") == 0) return read_template(own, value, error);
  if (strcmp(type, "Sequence") == 0 && depth < DEEPEST) {
    const json_t *parts = json_object_get(value, "processors");
    for (size_t i = 0; i < json_array_size(parts); i++)
      COHORT_TRY(read_processor(own, json_array_get(parts, i), depth + 1, error));
    return COHORT_DONE;
  }
  if (strcmp(type, "BertProcessing") != 0 && strcmp(type, "RobertaProcessing") != 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the post-processor %s is not read here", own->name,
                       *type ? cohort_json_quote(type) : "without a type");
  template_reader outer = {.name = own->name};
  cohort_status status = read_pair(&outer, value, "cls", true, error);
  if (status == COHORT_DONE) status = read_pair(&outer, value, "sep", false, error);
  cohort_token_buffer_add(&outer.before, own->before.token, own->before.count);
  cohort_token_buffer_add(&own->behind, outer.behind.token, outer.behind.count);
  free(own->before.token);
  own->before = outer.before;
  free(outer.behind.token);
  return status;
}

/* With the alphabet as the last step (pieces of a fixed size may follow), words stay bytes. */
static bool stays_bytes(const cohort_tokenizer *own) {
  int found = -1;
  for (int i = 0; i < own->pre_tokenizer.count; i++) {
    const cohort_step_kind kind = own->pre_tokenizer.step[i].kind;
    if (kind == COHORT_STEP_ALPHABET && found >= 0) return false;
    if (kind == COHORT_STEP_ALPHABET) found = i;
    if (found >= 0 && i > found && kind != COHORT_STEP_FIXED) return false;
    if (found < 0 && kind == COHORT_STEP_FIXED) return false; /* it counts characters */
  }
  return found >= 0 && !own->bpe.prefix && !own->bpe.suffix;
}

static cohort_status read_root(const char *name, const json_t *root, bool hidden, cohort_tokenizer *own,
                               cohort_error *error) {
  COHORT_TRY(read_model(name, json_object_get(root, "model"), hidden, &own->bpe, error));
  COHORT_TRY(cohort_normalizer_read(name, json_object_get(root, "normalizer"), &own->normalizer, error));
  COHORT_TRY(cohort_pre_tokenizer_read(name, json_object_get(root, "pre_tokenizer"), &own->pre_tokenizer, error));
  COHORT_TRY(cohort_decoder_read(name, json_object_get(root, "decoder"), &own->decoder, error));
  COHORT_TRY(read_added(name, json_object_get(root, "added_tokens"), own, error));
  template_reader reader = {.name = name};
  const json_t *processor = json_object_get(root, "post_processor");
  const cohort_status status =
      processor && !json_is_null(processor) ? read_processor(&reader, processor, 0, error) : COHORT_DONE;
  own->before = reader.before;
  own->behind = reader.behind;
  own->bpe.bytes = stays_bytes(own);
  return status;
}

cohort_status cohort_tokenizer_parse(const char *name, char *text, size_t length, cohort_tokenizer **out,
                                     cohort_error *error) {
  json_error_t fault;
  size_t shown = 0;
  char *hidden = hide_nul_keys(text, length, &shown);
  json_t *root = json_loadb(hidden ? hidden : text, hidden ? shown : length, JSON_ALLOW_NUL, &fault);
  for (char *at = fault.text; !root && *at; at++)
    if (*at == '\n') *at = ' '; /* it quotes the file */
  if (!root) {
    free(text);
    free(hidden);
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: %s; is it a tokenizer.json?", name, fault.line, fault.column,
                       fault.text);
  }
  cohort_tokenizer *own = cohort_tokenizer_create();
  own->source = text;
  own->source_length = length;
  const cohort_status status = read_root(name, root, hidden != NULL, own, error);
  json_decref(root);
  free(hidden);
  if (status != COHORT_DONE) {
    cohort_tokenizer_destroy(own);
    return status;
  }
  own->digest = XXH3_64bits(text, length);
  cohort_tokenizer_finish(own);
  *out = own;
  return COHORT_DONE;
}
