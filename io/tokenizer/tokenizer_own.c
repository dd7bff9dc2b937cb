/* Cohort's own tokenizers: bytes, and byte-level BPE over GPT-2's words of at most 512 bytes. A token is a byte or two
 * earlier tokens; its text in a vocabulary is that of GPT-2's alphabet, so that one encoder serves all. */
#include "io/tokenizer/tokenizer_own.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_json.h"

static const char tokenizer_kind[] = "byte_bpe"; /* what this file reads and writes */
static const char end_text[] = "<|end|>";

cohort_tokenizer *cohort_tokenizer_bytes(void) {
  cohort_tokenizer *tokenizer = cohort_tokenizer_create();
  tokenizer->vocabulary = COHORT_BYTES;
  cohort_tokenizer_finish_own(tokenizer);
  return tokenizer;
}

/* The texts of all tokens, from the merges. Two tokens may have one text. */
static void add_tokens(cohort_tokenizer *tokenizer) {
  tokenizer->text = cohort_allocate((size_t)tokenizer->vocabulary * sizeof *tokenizer->text);
  cohort_text *text = cohort_allocate((size_t)(COHORT_BYTES + tokenizer->merges) * sizeof *text);
  cohort_bpe_merges_create(&tokenizer->bpe, tokenizer->merges);
  for (int b = 0; b < COHORT_BYTES; b++) {
    const char own = (char)b;
    cohort_alphabet_write(&own, 1, &text[b]);
    cohort_bpe_add(&tokenizer->bpe, text[b].text, text[b].length, b);
  }
  for (int i = 0; i < tokenizer->merges; i++) {
    const int id = COHORT_BYTES + i, left = tokenizer->merge[2 * i], right = tokenizer->merge[2 * i + 1];
    cohort_text_put_bytes(&text[id], text[left].text, text[left].length);
    cohort_text_put_bytes(&text[id], text[right].text, text[right].length);
    cohort_bpe_add(&tokenizer->bpe, text[id].text, text[id].length, id);
    cohort_bpe_merge_add(&tokenizer->bpe, left, right, id, i);
  }
  for (int i = 0; i < COHORT_BYTES + tokenizer->merges; i++) {
    tokenizer->text[i] =
        (cohort_token_text){cohort_bpe_keep(&tokenizer->bpe, text[i].text, text[i].length), text[i].length};
    cohort_text_release(&text[i]);
  }
  free(text);
}

/* <|end|> is a token that no text has. */
static void add_end(cohort_tokenizer *tokenizer) {
  tokenizer->added = cohort_allocate(sizeof *tokenizer->added);
  if (tokenizer->vocabulary == COHORT_BYTES) return;
  tokenizer->end = tokenizer->vocabulary - 1;
  tokenizer->added[tokenizer->added_count++] = (cohort_added_token){
      .text = cohort_copy_text(end_text), .length = sizeof end_text - 1, .id = tokenizer->end, .special = true};
}

void cohort_tokenizer_own_words(cohort_step_list *out) {
  cohort_text_step words = {.kind = COHORT_STEP_SPLIT};
  if (cohort_pattern_create("words", cohort_pattern_gpt2, &words.pattern, NULL) != COHORT_DONE) abort();
  out->step[out->count++] = words;
  out->step[out->count++] = (cohort_text_step){.kind = COHORT_STEP_FIXED, .size = COHORT_LONGEST_WORD};
}

void cohort_tokenizer_finish_own(cohort_tokenizer *tokenizer) {
  const int vocabulary = tokenizer->vocabulary;
  add_tokens(tokenizer);
  add_end(tokenizer);
  if (tokenizer->merges) cohort_tokenizer_own_words(&tokenizer->pre_tokenizer); /* else every word is its bytes */
  tokenizer->decoder.step[tokenizer->decoder.count++] = (cohort_text_step){.kind = COHORT_STEP_ALPHABET};
  tokenizer->bpe.bytes = true;
  cohort_tokenizer_finish(tokenizer);
  cohort_added_set_release(&tokenizer->raw);
  cohort_added_set_create(NULL, 0, false, &tokenizer->raw);
  tokenizer->digest = XXH3_64bits_withSeed(tokenizer->merge, 2 * (size_t)tokenizer->merges * sizeof *tokenizer->merge,
                                           (uint64_t)vocabulary);
}

/* Merge i from [left, right]; `bytes` holds the length of every token so far, `seen` the merges. */
static cohort_status read_merge(const char *path, const json_t *pair, int i, int *bytes, cohort_bpe *seen,
                                cohort_tokenizer *tokenizer, cohort_error *error) {
  int32_t *merge = &tokenizer->merge[2 * i];
  for (size_t side = 0; side < 2; side++) {
    const json_t *id = json_array_get(pair, side);
    const json_int_t value = json_integer_value(id);
    if (json_array_size(pair) != 2 || !json_is_integer(id) || value < 0 || value >= COHORT_BYTES + i)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: merge %d is not two earlier tokens; make it again with cohort tokenize", path, i);
    merge[side] = (int32_t)value;
  }
  if (cohort_bpe_merge_find(seen, merge[0], merge[1]))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: merge %d is given twice; make it again with cohort tokenize", path,
                       i);
  cohort_bpe_merge_add(seen, merge[0], merge[1], COHORT_BYTES + i, i);
  bytes[COHORT_BYTES + i] = bytes[merge[0]] + bytes[merge[1]];
  if (bytes[COHORT_BYTES + i] > COHORT_LONGEST_WORD)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: merge %d makes a token of %d bytes, %d at most are; make it again with cohort tokenize",
                       path, i, bytes[COHORT_BYTES + i], COHORT_LONGEST_WORD);
  return COHORT_DONE;
}

static cohort_status read_merges(const char *path, const json_t *merges, cohort_tokenizer *tokenizer,
                                 cohort_error *error) {
  tokenizer->merges = (int)json_array_size(merges);
  tokenizer->merge = cohort_allocate(2 * (size_t)(tokenizer->merges + 1) * sizeof *tokenizer->merge);
  cohort_bpe seen = {0};
  cohort_bpe_merges_create(&seen, tokenizer->merges);
  int *bytes = cohort_allocate((size_t)(COHORT_BYTES + tokenizer->merges) * sizeof *bytes);
  for (int b = 0; b < COHORT_BYTES; b++) bytes[b] = 1;
  cohort_status status = COHORT_DONE;
  for (int i = 0; i < tokenizer->merges && status == COHORT_DONE; i++)
    status = read_merge(path, json_array_get(merges, (size_t)i), i, bytes, &seen, tokenizer, error);
  free(bytes);
  cohort_bpe_release(&seen);
  return status;
}

cohort_status cohort_tokenizer_read_own(const char *name, const char *text, size_t length, cohort_tokenizer **out,
                                        cohort_error *error) {
  json_error_t fault;
  json_t *root = json_loadb(text, length, 0, &fault);
  for (char *at = fault.text; !root && *at; at++)
    if (*at == '\n') *at = ' '; /* it quotes the file */
  if (!root)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: %s; make it again with cohort tokenize", name, fault.line,
                       fault.column, fault.text);
  const json_t *merges = json_object_get(root, "merges"), *kind = json_object_get(root, "kind");
  const json_int_t vocabulary = json_integer_value(json_object_get(root, "vocabulary"));
  cohort_tokenizer *tokenizer = cohort_tokenizer_create();
  cohort_status status;
  if (kind && (!json_is_string(kind) || strcmp(json_string_value(kind), tokenizer_kind) != 0))
    status = cohort_fail(error, COHORT_BAD_DATA,
                         "%s: a tokenizer of kind %.40s; only %s is known: make one with cohort tokenize", name,
                         json_is_string(kind) ? cohort_json_quote(json_string_value(kind)) : "unknown", tokenizer_kind);
  else if (!json_is_array(merges) || vocabulary <= COHORT_BYTES || vocabulary > COHORT_LARGEST_VOCABULARY ||
           (json_int_t)json_array_size(merges) != vocabulary - COHORT_BYTES - 1)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: not a Cohort tokenizer; make one with cohort tokenize", name);
  else
    status = read_merges(name, merges, tokenizer, error);
  json_decref(root);
  if (status != COHORT_DONE) {
    cohort_tokenizer_destroy(tokenizer);
    return status;
  }
  tokenizer->vocabulary = (int)vocabulary;
  cohort_tokenizer_finish_own(tokenizer);
  *out = tokenizer;
  return COHORT_DONE;
}
