/* Byte-level BPE: encodes, decodes, reads and writes. Any bytes encode, and decode to themselves. Merges are applied
 * lowest rank first within a word; words are cached, so a text costs a lookup a word and new words their length
 * squared. */
#include "io/tokenizer/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/run_directory.h"
#include "io/tokenizer/tokenizer_own.h"

enum { BYTES = 256 };
static const char tokenizer_kind[] = "byte_bpe"; /* what this file reads and writes */

cohort_tokenizer *cohort_tokenizer_bytes(void) {
  cohort_tokenizer *tokenizer = cohort_allocate(sizeof *tokenizer);
  tokenizer->vocabulary = BYTES;
  tokenizer->end = -1;
  cohort_tokenizer_finish(tokenizer);
  return tokenizer;
}

/* The bytes of every token, from the merges. */
void cohort_tokenizer_finish(cohort_tokenizer *tokenizer) {
  tokenizer->text = cohort_allocate((size_t)tokenizer->vocabulary * sizeof *tokenizer->text);
  tokenizer->length = cohort_allocate((size_t)tokenizer->vocabulary * sizeof *tokenizer->length);
  for (int b = 0; b < BYTES; b++) {
    tokenizer->text[b] = cohort_allocate(2);
    tokenizer->text[b][0] = (char)b;
    tokenizer->length[b] = 1;
  }
  for (int i = 0; i < tokenizer->merges; i++) {
    const int id = BYTES + i, left = tokenizer->merge[2 * i], right = tokenizer->merge[2 * i + 1];
    tokenizer->length[id] = tokenizer->length[left] + tokenizer->length[right];
    tokenizer->text[id] = cohort_allocate(tokenizer->length[id] + 1);
    memcpy(tokenizer->text[id], tokenizer->text[left], tokenizer->length[left]);
    memcpy(tokenizer->text[id] + tokenizer->length[left], tokenizer->text[right], tokenizer->length[right]);
    cohort_pair_table_at(&tokenizer->rank, left, right)->value = i;
  }
  tokenizer->cutter = cohort_word_cutter_create();
}

void cohort_tokenizer_destroy(cohort_tokenizer *tokenizer) {
  if (!tokenizer) return;
  for (int i = 0; tokenizer->text && i < tokenizer->vocabulary; i++) free(tokenizer->text[i]);
  free(tokenizer->text);
  free(tokenizer->length);
  free(tokenizer->merge);
  cohort_pair_table_release(&tokenizer->rank);
  cohort_word_cutter_destroy(tokenizer->cutter);
  free(tokenizer);
}

int cohort_tokenizer_vocabulary(const cohort_tokenizer *tokenizer) { return tokenizer->vocabulary; }
int cohort_tokenizer_end(const cohort_tokenizer *tokenizer) { return tokenizer->end; }

uint64_t cohort_tokenizer_digest(const cohort_tokenizer *tokenizer) {
  return XXH3_64bits_withSeed(tokenizer->merge, 2 * (size_t)tokenizer->merges * sizeof *tokenizer->merge,
                              (uint64_t)tokenizer->vocabulary);
}

/* Applies the merges to a word's symbols, lowest rank first; returns how many symbols are left. */
static int64_t merge_word(const cohort_tokenizer *tokenizer, int32_t *symbol, int64_t count) {
  for (;;) {
    int64_t best = INT64_MAX, best_at = -1;
    for (int64_t i = 0; i + 1 < count; i++) {
      const cohort_pair *pair = cohort_pair_table_find(&tokenizer->rank, symbol[i], symbol[i + 1]);
      if (pair && pair->value < best) {
        best = pair->value;
        best_at = i;
      }
    }
    if (best_at < 0) return count;
    const int32_t left = symbol[best_at], right = symbol[best_at + 1];
    int64_t kept = best_at;
    for (int64_t i = best_at; i < count; kept++) {
      const bool pair = i + 1 < count && symbol[i] == left && symbol[i + 1] == right;
      symbol[kept] = pair ? (int32_t)(BYTES + best) : symbol[i];
      i += pair ? 2 : 1;
    }
    count = kept;
  }
}

typedef struct encoding {
  const cohort_tokenizer *tokenizer;
  cohort_word_table cache; /* value: where its tokens lie in `cached` */
  int32_t *cached, *out;
  int64_t cached_count, cached_room, count, room;
} encoding;

static void need(int32_t **array, int64_t *room, int64_t wanted) {
  if (wanted <= *room) return;
  while (*room < wanted) *room = *room ? 2 * *room : 4096;
  *array = cohort_reallocate(*array, (size_t)*room * sizeof **array);
}

/* In the cache a word is its number of tokens, then the tokens. */
static void encode_word(void *argument, const char *text, size_t length) {
  encoding *own = argument;
  int made;
  cohort_word *word = cohort_word_table_at(&own->cache, text, length, &made);
  if (made) {
    need(&own->cached, &own->cached_room, own->cached_count + (int64_t)length + 1);
    int32_t *symbol = own->cached + own->cached_count + 1;
    for (size_t i = 0; i < length; i++) symbol[i] = (unsigned char)text[i];
    word->value = own->cached_count;
    symbol[-1] = (int32_t)merge_word(own->tokenizer, symbol, (int64_t)length);
    own->cached_count += symbol[-1] + 1;
  }
  const int32_t *tokens = own->cached + word->value;
  need(&own->out, &own->room, own->count + tokens[0]);
  memcpy(own->out + own->count, tokens + 1, (size_t)tokens[0] * sizeof *tokens);
  own->count += tokens[0];
}

int32_t *cohort_tokenizer_encode(const cohort_tokenizer *tokenizer, const char *text, size_t length, int64_t *count) {
  encoding own = {.tokenizer = tokenizer};
  need(&own.out, &own.room, 1);
  cohort_word_cutter_run(tokenizer->cutter, text, length, encode_word, &own);
  cohort_word_table_release(&own.cache);
  free(own.cached);
  *count = own.count;
  return own.out;
}

char *cohort_tokenizer_decode(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count, size_t *length) {
  size_t bytes = 0;
  for (int64_t i = 0; i < count; i++)
    if (tokens[i] >= 0 && tokens[i] < tokenizer->vocabulary) bytes += tokenizer->length[tokens[i]];
  char *text = cohort_allocate(bytes + 1), *next = text;
  for (int64_t i = 0; i < count; i++) {
    if (tokens[i] < 0 || tokens[i] >= tokenizer->vocabulary || !tokenizer->length[tokens[i]]) continue;
    memcpy(next, tokenizer->text[tokens[i]], tokenizer->length[tokens[i]]);
    next += tokenizer->length[tokens[i]];
  }
  *length = bytes;
  return text;
}

cohort_status cohort_tokenizer_write(const cohort_tokenizer *tokenizer, const char *path, cohort_error *error) {
  json_t *merges = json_array();
  for (int i = 0; i < tokenizer->merges; i++)
    (void)json_array_append_new(merges, json_pack("[i,i]", tokenizer->merge[2 * i], tokenizer->merge[2 * i + 1]));
  json_t *root =
      json_pack("{s:s,s:i,s:o}", "kind", tokenizer_kind, "vocabulary", tokenizer->vocabulary, "merges", merges);
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  const cohort_status status = cohort_file_write(path, text, strlen(text), error);
  free(text);
  return status;
}

/* Merge i from [left, right]; `bytes` holds the length of every token so far. */
static cohort_status read_merge(const char *path, const json_t *pair, int i, int *bytes, cohort_tokenizer *tokenizer,
                                cohort_error *error) {
  int32_t *merge = &tokenizer->merge[2 * i];
  for (size_t side = 0; side < 2; side++) {
    const json_t *id = json_array_get(pair, side);
    const json_int_t value = json_integer_value(id);
    if (json_array_size(pair) != 2 || !json_is_integer(id) || value < 0 || value >= BYTES + i)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: merge %d is not two earlier tokens; make it again with cohort tokenize", path, i);
    merge[side] = (int32_t)value;
  }
  if (cohort_pair_table_find(&tokenizer->rank, merge[0], merge[1]))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: merge %d is given twice; make it again with cohort tokenize", path,
                       i);
  bytes[BYTES + i] = bytes[merge[0]] + bytes[merge[1]];
  if (bytes[BYTES + i] > COHORT_LONGEST_WORD)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: merge %d makes a token of %d bytes, %d at most are; make it again with cohort tokenize",
                       path, i, bytes[BYTES + i], COHORT_LONGEST_WORD);
  cohort_pair_table_at(&tokenizer->rank, merge[0], merge[1])->value = i;
  return COHORT_DONE;
}

static cohort_status read_merges(const char *path, const json_t *merges, cohort_tokenizer *tokenizer,
                                 cohort_error *error) {
  tokenizer->merges = (int)json_array_size(merges);
  tokenizer->merge = cohort_allocate(2 * (size_t)(tokenizer->merges + 1) * sizeof *tokenizer->merge);
  int *bytes = cohort_allocate((size_t)(BYTES + tokenizer->merges) * sizeof *bytes);
  for (int b = 0; b < BYTES; b++) bytes[b] = 1;
  cohort_status status = COHORT_DONE;
  for (int i = 0; i < tokenizer->merges && status == COHORT_DONE; i++)
    status = read_merge(path, json_array_get(merges, (size_t)i), i, bytes, tokenizer, error);
  free(bytes);
  return status;
}

cohort_status cohort_tokenizer_read(const char *path, cohort_tokenizer **out, cohort_error *error) {
  char *text = NULL;
  size_t length = 0;
  if (!cohort_file_exists(path))
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: there is no such tokenizer; make it with: cohort tokenize TEXT -o %s --vocabulary 1024",
                       path, path);
  COHORT_TRY(cohort_file_read(path, &text, &length, error));
  json_error_t fault;
  json_t *root = json_loadb(text, length, 0, &fault);
  free(text);
  for (char *at = fault.text; !root && *at; at++)
    if (*at == '\n') *at = ' '; /* it quotes the file */
  if (!root)
    return cohort_fail(error, COHORT_BAD_DATA, "%s:%d:%d: %s; make it again with cohort tokenize", path, fault.line,
                       fault.column, fault.text);
  const json_t *merges = json_object_get(root, "merges");
  const json_t *kind = json_object_get(root, "kind");
  const json_int_t vocabulary = json_integer_value(json_object_get(root, "vocabulary"));
  cohort_status status = COHORT_DONE;
  cohort_tokenizer *tokenizer = cohort_allocate(sizeof *tokenizer);
  if (kind && (!json_is_string(kind) || strcmp(json_string_value(kind), tokenizer_kind) != 0))
    status = cohort_fail(error, COHORT_BAD_DATA,
                         "%s: a tokenizer of kind %.40s; only %s is known: make one with cohort tokenize", path,
                         json_is_string(kind) ? json_string_value(kind) : "unknown", tokenizer_kind);
  else if (!json_is_array(merges) || vocabulary <= BYTES || vocabulary > 1 << 20 ||
           (json_int_t)json_array_size(merges) != vocabulary - BYTES - 1)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: not a Cohort tokenizer; make one with cohort tokenize", path);
  else
    status = read_merges(path, merges, tokenizer, error);
  json_decref(root);
  tokenizer->vocabulary = (int)vocabulary;
  tokenizer->end = (int)vocabulary - 1;
  if (status != COHORT_DONE) {
    cohort_tokenizer_destroy(tokenizer);
    return status;
  }
  cohort_tokenizer_finish(tokenizer);
  *out = tokenizer;
  return COHORT_DONE;
}
