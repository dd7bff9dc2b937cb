/* Makes a tokenizer.json: of Cohort's own tokenizers, and of the arrays that a GGUF file keeps, in the form that the
 * families' own files have. Linear in the vocabulary, but for sorting the merges of scores. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_json.h"
#include "io/tokenizer/tokenizer_own.h"

static json_t *added_token(int id, const char *text, size_t length, bool special) {
  return json_pack("{s:i,s:s%,s:b,s:b,s:b,s:b,s:b}", "id", id, "content", text, length, "single_word", 0, "lstrip", 0,
                   "rstrip", 0, "normalized", 0, "special", special);
}

static json_t *byte_level(bool words) {
  return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex",
                   words);
}

static json_t *split(const char *expression) {
  return json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex", expression, "behavior", "Isolated",
                   "invert", 0);
}

static json_t *sequence(const char *key, json_t *parts) {
  return json_pack("{s:s,s:o}", "type", "Sequence", key, parts);
}

/* Takes the parts; NULL is null. */
typedef struct parts {
  json_t *added, *normalizer, *pre_tokenizer, *post_processor, *decoder, *vocabulary, *merges;
  const char *unknown;
  bool byte_fallback, fuse_unknown, ignore_merges;
} parts;

static char *assemble(const parts *own) {
  json_t *model = json_pack("{s:s,s:n,s:s?,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
                            own->unknown, "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                            own->fuse_unknown, "byte_fallback", own->byte_fallback, "ignore_merges", own->ignore_merges,
                            "vocab", own->vocabulary, "merges", own->merges);
  json_t *root =
      json_pack("{s:s,s:n,s:n,s:o,s:o?,s:o?,s:o?,s:o,s:o}", "version", "1.0", "truncation", "padding", "added_tokens",
                own->added, "normalizer", own->normalizer, "pre_tokenizer", own->pre_tokenizer, "post_processor",
                own->post_processor, "decoder", own->decoder, "model", model);
  char *text = json_dumps(root, JSON_INDENT(2));
  json_decref(root);
  return text;
}

char *cohort_tokenizer_json(const cohort_tokenizer *own) {
  parts made = {
      .added = json_array(), .decoder = byte_level(true), .vocabulary = json_object(), .merges = json_array()};
  char longest[32];
  (void)snprintf(longest, sizeof longest, ".{1,%d}", COHORT_LONGEST_WORD);
  made.pre_tokenizer = sequence("pretokenizers", json_pack("[o,o]", byte_level(true), split(longest)));
  if (own->end >= 0)
    (void)json_array_append_new(made.added,
                                added_token(own->end, own->text[own->end].text, own->text[own->end].length, true));
  for (int id = 0; id < COHORT_BYTES + own->merges; id++)
    (void)json_object_set_new(made.vocabulary, own->text[id].text, json_integer(id));
  for (int i = 0; i < own->merges; i++)
    (void)json_array_append_new(
        made.merges, json_pack("[s,s]", own->text[own->merge[2 * i]].text, own->text[own->merge[2 * i + 1]].text));
  const bool apart = (int)json_object_size(made.vocabulary) == COHORT_BYTES + own->merges;
  char *text = assemble(&made);
  if (apart) return text;
  free(text);
  return NULL;
}

/* The words of the families whose tokenizers are known. */
static const char words_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char words_qwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/* What llama.cpp does for a file that names none. */
static const char *const words_default[] = {
    "[\\p{P}\\$\\+<=>\\^~\\|]+",
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)",
    "\\p{N}+",
    "[0-9][0-9][0-9]",
};

/* The steps of a `pre` of GGUF; false: it is not known. */
static bool add_words(const char *pre, parts *out) {
  json_t *steps = json_array();
  out->pre_tokenizer = sequence("pretokenizers", steps);
  bool words = false;
  if (strcmp(pre, "gpt-2") == 0) {
    words = true;
  } else if (strcmp(pre, "smollm") == 0) {
    (void)json_array_append_new(steps, json_pack("{s:s,s:b}", "type", "Digits", "individual_digits", 1));
    words = true;
  } else if (strcmp(pre, "llama-bpe") == 0) {
    (void)json_array_append_new(steps, split(words_llama3));
    out->ignore_merges = true;
  } else if (strcmp(pre, "qwen2") == 0) {
    (void)json_array_append_new(steps, split(words_qwen2));
    out->normalizer = json_pack("{s:s}", "type", "NFC");
  } else if (strcmp(pre, "default") == 0) {
    for (size_t i = 0; i < sizeof words_default / sizeof *words_default; i++)
      (void)json_array_append_new(steps, split(words_default[i]));
  } else {
    return false;
  }
  (void)json_array_append_new(steps, byte_level(words));
  out->decoder = byte_level(true);
  return true;
}

/* A merge that joins two tokens of the vocabulary to a third with this score. */
typedef struct scored_merge {
  int32_t left, right;
  float score;
  int left_characters, right_characters;
  int64_t order;
} scored_merge;

/* As transformers' converter sorts them: the better score, then the longer left and right side; of equals the first. */
static int compare_scored(const void *a, const void *b) {
  const scored_merge *first = a, *second = b;
  if (first->score != second->score) return first->score > second->score ? -1 : 1;
  if (first->left_characters != second->left_characters) return second->left_characters - first->left_characters;
  if (first->right_characters != second->right_characters) return second->right_characters - first->right_characters;
  return first->order < second->order ? -1 : 1;
}

typedef struct scored_list {
  scored_merge *merge;
  int64_t count, room;
} scored_list;

static int characters(const char *text, size_t length) {
  int count = 0;
  for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
  return count;
}

static int compare_local(const void *a, const void *b) {
  const scored_merge *first = a, *second = b;
  if (first->left != second->left) return first->left < second->left ? -1 : 1;
  return first->right < second->right ? -1 : first->right > second->right;
}

/* All ways to make a token of two others, by their ids. */
static void add_ways(const cohort_bpe *bpe, const cohort_tokenizer_text *token, float score, scored_list *out) {
  const int64_t first = out->count;
  for (size_t at = 1; at < token->length; at++) {
    if (((unsigned char)token->text[at] & 0xC0) == 0x80) continue;
    const int32_t left = cohort_bpe_find(bpe, token->text, at),
                  right = cohort_bpe_find(bpe, token->text + at, token->length - at);
    if (left < 0 || right < 0) continue;
    if (out->count == out->room) {
      out->room = out->room ? 2 * out->room : 1024;
      out->merge = cohort_reallocate(out->merge, (size_t)out->room * sizeof *out->merge);
    }
    out->merge[out->count++] = (scored_merge){.left = left,
                                              .right = right,
                                              .score = score,
                                              .left_characters = characters(token->text, at),
                                              .right_characters = characters(token->text + at, token->length - at)};
  }
  if (out->count > first) qsort(out->merge + first, (size_t)(out->count - first), sizeof *out->merge, compare_local);
}

static json_t *merges_of_scores(const cohort_tokenizer_arrays *arrays) {
  cohort_bpe bpe = {.unknown = -1};
  scored_list list = {0};
  for (int id = 0; id < arrays->count; id++) cohort_bpe_add(&bpe, arrays->token[id].text, arrays->token[id].length, id);
  for (int id = 0; id < arrays->count; id++) add_ways(&bpe, &arrays->token[id], arrays->score[id], &list);
  for (int64_t i = 0; i < list.count; i++) list.merge[i].order = i;
  if (list.count) qsort(list.merge, (size_t)list.count, sizeof *list.merge, compare_scored);
  json_t *merges = json_array();
  for (int64_t i = 0; i < list.count; i++) {
    const cohort_tokenizer_text *left = &arrays->token[list.merge[i].left],
                                *right = &arrays->token[list.merge[i].right];
    (void)json_array_append_new(merges, json_pack("[s%,s%]", left->text, left->length, right->text, right->length));
  }
  free(list.merge);
  cohort_bpe_release(&bpe);
  return merges;
}

static void add_sentence_steps(const cohort_tokenizer_arrays *arrays, parts *out) {
  json_t *steps = json_array();
  static const char bar[] = "\xE2\x96\x81";
  if (arrays->add_space) (void)json_array_append_new(steps, json_pack("{s:s,s:s}", "type", "Prepend", "prepend", bar));
  (void)json_array_append_new(
      steps, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", " ", "content", bar));
  out->normalizer = sequence("normalizers", steps);
  steps = json_pack("[{s:s,s:{s:s},s:s},{s:s},{s:s}]", "type", "Replace", "pattern", "String", bar, "content", " ",
                    "type", "ByteFallback", "type", "Fuse");
  if (arrays->add_space)
    (void)json_array_append_new(steps,
                                json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
  out->decoder = sequence("decoders", steps);
}

/* A template with the beginning or the end around the text. */
static json_t *template_of(const cohort_tokenizer_arrays *arrays) {
  const bool begin = arrays->add_begin && arrays->begin >= 0, end = arrays->add_end && arrays->end >= 0;
  if (!begin && !end) return NULL;
  json_t *single = json_array(), *pair = json_array(), *tokens = json_object();
  const int wanted[] = {begin ? arrays->begin : -1, end ? arrays->end : -1};
  for (int sequence_id = 0; sequence_id < 2; sequence_id++)
    for (int i = 0; i < 3; i++) {
      json_t *piece = NULL;
      if (i == 1) {
        piece = json_pack("{s:{s:s,s:i}}", "Sequence", "id", sequence_id ? "B" : "A", "type_id", sequence_id);
      } else if (wanted[i / 2] >= 0) {
        const cohort_tokenizer_text *text = &arrays->token[wanted[i / 2]];
        char *id = cohort_format_text("%.*s", (int)text->length, text->text);
        piece = json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", id, "type_id", sequence_id);
        (void)json_object_set_new(tokens, id,
                                  json_pack("{s:s,s:[i],s:[s]}", "id", id, "ids", wanted[i / 2], "tokens", id));
        free(id);
      }
      if (!piece) continue;
      if (!sequence_id) (void)json_array_append(single, piece);
      (void)json_array_append_new(pair, piece);
    }
  return json_pack("{s:s,s:o,s:o,s:o}", "type", "TemplateProcessing", "single", single, "pair", pair, "special_tokens",
                   tokens);
}

enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER = 4 };

static cohort_status add_arrays(const char *name, const cohort_tokenizer_arrays *arrays, parts *out,
                                cohort_error *error) {
  for (int id = 0; id < arrays->count; id++) {
    const cohort_tokenizer_text *token = &arrays->token[id];
    const int type = arrays->type ? arrays->type[id] : 1;
    char *text = cohort_format_text("%.*s", (int)token->length, token->text);
    const bool good = strlen(text) == token->length && !json_object_get(out->vocabulary, text) &&
                      json_object_set_new(out->vocabulary, text, json_integer(id)) == 0;
    if (good && (type == TYPE_CONTROL || type == TYPE_UNKNOWN || type == TYPE_USER) && token->length)
      (void)json_array_append_new(out->added, added_token(id, token->text, token->length, type != TYPE_USER));
    free(text);
    if (!good)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: the tokenizer's token %d is no UTF-8, or stands twice", name, id);
  }
  return COHORT_DONE;
}

static cohort_status add_merges(const char *name, const cohort_tokenizer_arrays *arrays, parts *out,
                                cohort_error *error) {
  for (int i = 0; i < arrays->merges; i++) {
    json_t *merge = json_stringn(arrays->merge[i].text, arrays->merge[i].length);
    if (!merge) return cohort_fail(error, COHORT_BAD_DATA, "%s: the tokenizer's merge %d is no UTF-8", name, i);
    (void)json_array_append_new(out->merges, merge);
  }
  return COHORT_DONE;
}

static cohort_status fill(const char *name, const cohort_tokenizer_arrays *arrays, parts *out, cohort_error *error) {
  const char *pre = arrays->pre ? arrays->pre : "default";
  COHORT_TRY(add_arrays(name, arrays, out, error));
  if (strcmp(arrays->model, "gpt2") == 0) {
    if (!add_words(pre, out))
      return cohort_fail(
          error, COHORT_BAD_DATA,
          "%s: the tokenizer's words are of the kind %s; gpt-2, smollm, llama-bpe, qwen2 and default are "
          "known",
          name, cohort_json_quote(pre));
    return add_merges(name, arrays, out, error);
  }
  if (strcmp(arrays->model, "llama") != 0 || !arrays->score)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: the tokenizer %s is not read here; gpt2 with merges and llama with scores are", name,
                       cohort_json_quote(arrays->model));
  add_sentence_steps(arrays, out);
  out->byte_fallback = out->fuse_unknown = true;
  if (arrays->merges) return add_merges(name, arrays, out, error);
  json_decref(out->merges);
  out->merges = merges_of_scores(arrays);
  return COHORT_DONE;
}

static bool in_range(const cohort_tokenizer_arrays *arrays, int id) { return id >= -1 && id < arrays->count; }

static int bounded(int id, int count) { return id >= 0 && id < count ? id : -1; }

cohort_status cohort_tokenizer_from_arrays(const char *name, const cohort_tokenizer_arrays *arrays,
                                           cohort_tokenizer **out, cohort_error *error) {
  if (arrays->count < 1 || arrays->count > COHORT_LARGEST_VOCABULARY || !in_range(arrays, arrays->begin) ||
      !in_range(arrays, arrays->end) || !in_range(arrays, arrays->unknown) || !in_range(arrays, arrays->pad))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the tokenizer has no tokens, or ids outside of them", name);
  parts made = {.added = json_array(), .vocabulary = json_object(), .merges = json_array()};
  char *unknown = NULL;
  cohort_status status = fill(name, arrays, &made, error);
  if (arrays->unknown >= 0 && strcmp(arrays->model, "llama") == 0)
    unknown =
        cohort_format_text("%.*s", (int)arrays->token[arrays->unknown].length, arrays->token[arrays->unknown].text);
  made.unknown = unknown;
  made.post_processor = template_of(arrays);
  if (!made.decoder) made.decoder = json_null();
  char *text = assemble(&made);
  free(unknown);
  if (status == COHORT_DONE) {
    status = cohort_tokenizer_parse(name, text, strlen(text), out, error);
  } else {
    free(text);
  }
  if (status != COHORT_DONE) return status;
  (*out)->begin = bounded(arrays->begin, (*out)->vocabulary);
  (*out)->end = bounded(arrays->end, (*out)->vocabulary);
  (*out)->pad = bounded(arrays->pad, (*out)->vocabulary);
  return COHORT_DONE;
}
