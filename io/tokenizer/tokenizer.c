/* A tokenizer's life, and encoding and decoding. Encoding: added tokens are found first; what is between them is
 * normalised, searched for normalised ones, cut into words by the pre-tokenizers, and every word is merged. Linear in
 * the text but for the merges of long words (n log n). */
#include "io/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_own.h"

cohort_tokenizer *cohort_tokenizer_create(void) {
  cohort_tokenizer *tokenizer = cohort_allocate(sizeof *tokenizer);
  tokenizer->begin = tokenizer->end = tokenizer->pad = tokenizer->bpe.unknown = -1;
  tokenizer->scratch = cohort_tokenizer_scratch_create();
  return tokenizer;
}

void cohort_tokenizer_destroy(cohort_tokenizer *tokenizer) {
  if (!tokenizer) return;
  for (int i = 0; tokenizer->bytes && i < tokenizer->vocabulary; i++) free(tokenizer->bytes[i]);
  for (int i = 0; i < tokenizer->added_count; i++) {
    if (tokenizer->added[i].found != tokenizer->added[i].text) free(tokenizer->added[i].found);
    free(tokenizer->added[i].text);
  }
  free(tokenizer->bytes);
  free(tokenizer->byte_count);
  free(tokenizer->text);
  free(tokenizer->shown);
  free(tokenizer->special);
  free(tokenizer->stops);
  free(tokenizer->source);
  free(tokenizer->added);
  free(tokenizer->before.token);
  free(tokenizer->behind.token);
  free(tokenizer->merge);
  cohort_steps_release(&tokenizer->normalizer);
  cohort_steps_release(&tokenizer->pre_tokenizer);
  cohort_steps_release(&tokenizer->decoder);
  cohort_added_set_release(&tokenizer->raw);
  cohort_added_set_release(&tokenizer->normalised);
  cohort_bpe_release(&tokenizer->bpe);
  cohort_tokenizer_scratch_destroy(tokenizer->scratch);
  free(tokenizer);
}

cohort_tokenizer_scratch *cohort_tokenizer_scratch_create(void) {
  cohort_tokenizer_scratch *scratch = cohort_allocate(sizeof *scratch);
  (void)pthread_mutex_init(&scratch->lock, NULL);
  scratch->cache = cohort_bpe_cache_create();
  scratch->search = cohort_pattern_scratch_create();
  return scratch;
}

void cohort_tokenizer_scratch_destroy(cohort_tokenizer_scratch *scratch) {
  if (!scratch) return;
  cohort_bpe_cache_destroy(scratch->cache);
  cohort_pattern_scratch_destroy(scratch->search);
  cohort_text_release(&scratch->normal);
  (void)pthread_mutex_destroy(&scratch->lock);
  free(scratch);
}

cohort_tokenizer_scratch *cohort_tokenizer_take(const cohort_tokenizer *tokenizer) {
  if (pthread_mutex_trylock(&tokenizer->scratch->lock) == 0) return tokenizer->scratch;
  return cohort_tokenizer_scratch_create();
}

void cohort_tokenizer_give(const cohort_tokenizer *tokenizer, cohort_tokenizer_scratch *scratch) {
  if (scratch == tokenizer->scratch)
    (void)pthread_mutex_unlock(&scratch->lock);
  else
    cohort_tokenizer_scratch_destroy(scratch);
}

/* The vocabulary's size, and texts by id. An added token's text goes before the model's. */
static void list_texts(cohort_tokenizer *own) {
  for (int64_t i = 0; i < own->bpe.entries; i++)
    if (own->bpe.entry[i].id >= own->vocabulary) own->vocabulary = own->bpe.entry[i].id + 1;
  for (int i = 0; i < own->added_count; i++)
    if (own->added[i].id >= own->vocabulary) own->vocabulary = own->added[i].id + 1;
  own->special = cohort_allocate((size_t)own->vocabulary * sizeof *own->special);
  if (!own->text) {
    own->text = cohort_allocate((size_t)own->vocabulary * sizeof *own->text);
    for (int64_t i = 0; i < own->bpe.entries; i++)
      own->text[own->bpe.entry[i].id] = (cohort_token_text){own->bpe.entry[i].text, own->bpe.entry[i].length};
  }
  for (int i = 0; i < own->added_count; i++) {
    own->text[own->added[i].id] = (cohort_token_text){own->added[i].text, own->added[i].length};
    if (own->added[i].special) own->special[own->added[i].id] = true;
  }
  own->shown = cohort_allocate((size_t)own->vocabulary * sizeof *own->shown);
  memcpy(own->shown, own->text, (size_t)own->vocabulary * sizeof *own->shown);
  for (int i = 0; i < own->added_count; i++)
    own->shown[own->added[i].id] = (cohort_token_text){own->added[i].found, own->added[i].found_length};
}

/* The bytes of every token, where the alphabet alone decodes. */
static void list_bytes(cohort_tokenizer *own) {
  if (own->decoder.count != 1 || own->decoder.step[0].kind != COHORT_STEP_ALPHABET) return;
  own->bytes = cohort_allocate((size_t)own->vocabulary * sizeof *own->bytes);
  own->byte_count = cohort_allocate((size_t)own->vocabulary * sizeof *own->byte_count);
  for (int id = 0; id < own->vocabulary; id++) {
    const cohort_token_text token = own->shown[id];
    if (!token.text) continue;
    cohort_text made = {0};
    cohort_text_put_bytes(&made, "", 0);
    if (!cohort_alphabet_read(token.text, token.length, &made)) cohort_text_put_bytes(&made, token.text, token.length);
    own->bytes[id] = made.text;
    own->byte_count[id] = made.length;
  }
}

void cohort_tokenizer_finish(cohort_tokenizer *own) {
  for (int i = 0; i < own->added_count; i++) {
    cohort_added_token *token = &own->added[i];
    token->found = token->text;
    token->found_length = token->length;
    if (!token->normalised || !own->normalizer.count) continue;
    cohort_text form = {0};
    (void)cohort_steps_normalise(&own->normalizer, own->scratch->search, token->text, token->length, &form);
    token->found = form.text;
    token->found_length = form.length;
  }
  cohort_added_set_create(own->added, own->added_count, false, &own->raw);
  cohort_added_set_create(own->added, own->added_count, true, &own->normalised);
  list_texts(own);
  list_bytes(own);
  cohort_bpe_finish(&own->bpe);
}

int cohort_tokenizer_vocabulary(const cohort_tokenizer *tokenizer) { return tokenizer->vocabulary; }
int cohort_tokenizer_begin(const cohort_tokenizer *tokenizer) { return tokenizer->begin; }
int cohort_tokenizer_end(const cohort_tokenizer *tokenizer) { return tokenizer->end; }
int cohort_tokenizer_pad(const cohort_tokenizer *tokenizer) { return tokenizer->pad; }

const int *cohort_tokenizer_stops(const cohort_tokenizer *tokenizer, int *count) {
  *count = tokenizer->stop_count ? tokenizer->stop_count : tokenizer->end >= 0;
  return tokenizer->stop_count ? tokenizer->stops : &tokenizer->end;
}

int cohort_tokenizer_id(const cohort_tokenizer *tokenizer, const char *text, size_t length) {
  for (int i = 0; i < tokenizer->added_count; i++)
    if (tokenizer->added[i].length == length && memcmp(tokenizer->added[i].text, text, length) == 0)
      return tokenizer->added[i].id;
  return cohort_bpe_find(&tokenizer->bpe, text, length);
}

const char *cohort_tokenizer_token(const cohort_tokenizer *tokenizer, int id, size_t *length) {
  const bool known = id >= 0 && id < tokenizer->vocabulary;
  if (length) *length = known ? tokenizer->text[id].length : 0;
  return known ? tokenizer->text[id].text : NULL;
}

bool cohort_tokenizer_special(const cohort_tokenizer *tokenizer, int id) {
  return id >= 0 && id < tokenizer->vocabulary && tokenizer->special[id];
}

uint64_t cohort_tokenizer_digest(const cohort_tokenizer *tokenizer) { return tokenizer->digest; }

/* A text in work. */
typedef struct encoding {
  const cohort_tokenizer *own;
  cohort_tokenizer_scratch *scratch;
  const char *text;  /* the stretch that is searched */
  bool plain, first; /* first: the stretch begins where all of the text does */
  cohort_token_buffer out;
} encoding;

static void add_word(void *argument, const char *word, size_t length) {
  encoding *own = argument;
  cohort_bpe_word(&own->own->bpe, own->scratch->cache, word, length, &own->out);
}

static void add_normal(void *argument, const cohort_added_token *token, size_t start, size_t end) {
  encoding *own = argument;
  if (token)
    cohort_token_buffer_add(&own->out, &token->id, 1);
  else
    cohort_steps_cut(&own->own->pre_tokenizer, own->scratch->search, own->own->bpe.bytes, own->text + start,
                     end - start, own->first && start == 0, add_word, own);
}

static void add_raw(void *argument, const cohort_added_token *token, size_t start, size_t end) {
  encoding *own = argument;
  if (token) {
    cohort_token_buffer_add(&own->out, &token->id, 1);
    return;
  }
  encoding inner = *own;
  inner.text = own->text + start;
  inner.first = start == 0;
  size_t length = end - start;
  if (own->own->normalizer.count) {
    cohort_text *normal = &own->scratch->normal;
    if (!cohort_steps_normalise(&own->own->normalizer, own->scratch->search, inner.text, length, normal))
      inner.first = false;
    inner.text = normal->text;
    length = normal->length;
  }
  cohort_added_find(&own->own->normalised, own->plain, inner.text, length, add_normal, &inner);
  own->out = inner.out;
}

int32_t *cohort_tokenizer_encode_as(const cohort_tokenizer *tokenizer, unsigned flags, const char *text, size_t length,
                                    int64_t *count) {
  encoding own = {.own = tokenizer,
                  .scratch = cohort_tokenizer_take(tokenizer),
                  .text = text,
                  .plain = (flags & COHORT_ENCODE_PLAIN) != 0};
  cohort_token_buffer_add(&own.out, NULL, 0);
  if (flags & COHORT_ENCODE_TEMPLATE)
    cohort_token_buffer_add(&own.out, tokenizer->before.token, tokenizer->before.count);
  cohort_added_find(&tokenizer->raw, own.plain, text, length, add_raw, &own);
  if (flags & COHORT_ENCODE_TEMPLATE)
    cohort_token_buffer_add(&own.out, tokenizer->behind.token, tokenizer->behind.count);
  cohort_tokenizer_give(tokenizer, own.scratch);
  *count = own.out.count;
  return own.out.token ? own.out.token : cohort_allocate(sizeof *own.out.token);
}

int32_t *cohort_tokenizer_encode(const cohort_tokenizer *tokenizer, const char *text, size_t length, int64_t *count) {
  return cohort_tokenizer_encode_as(tokenizer, 0, text, length, count);
}

/* Where the alphabet alone decodes, tokens are joined. */
static void join_bytes(const cohort_tokenizer *own, const int32_t *tokens, int64_t count, bool all, cohort_text *out) {
  for (int64_t i = 0; i < count; i++) {
    const int32_t id = tokens[i];
    if (id < 0 || id >= own->vocabulary || !own->bytes[id] || (!all && own->special[id])) continue;
    cohort_text_put_bytes(out, own->bytes[id], own->byte_count[id]);
  }
}

static char *decode(const cohort_tokenizer *own, const int32_t *tokens, int64_t count, bool all, size_t *length) {
  cohort_text out = {0};
  cohort_text_put_bytes(&out, "", 0);
  if (own->bytes) {
    join_bytes(own, tokens, count, all, &out);
  } else {
    cohort_token_text *text = cohort_allocate((size_t)(count + 1) * sizeof *text);
    int64_t known = 0;
    for (int64_t i = 0; i < count; i++) {
      const bool there = tokens[i] >= 0 && tokens[i] < own->vocabulary && own->shown[tokens[i]].text;
      if (there && (all || !own->special[tokens[i]])) text[known++] = own->shown[tokens[i]];
    }
    cohort_tokenizer_scratch *scratch = cohort_tokenizer_take(own);
    cohort_steps_decode(&own->decoder, scratch->search, text, known, &out);
    cohort_tokenizer_give(own, scratch);
    free(text);
  }
  *length = out.length;
  return out.text;
}

char *cohort_tokenizer_decode(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count, size_t *length) {
  return decode(tokenizer, tokens, count, false, length);
}

char *cohort_tokenizer_decode_all(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count,
                                  size_t *length) {
  return decode(tokenizer, tokens, count, true, length);
}

char *cohort_tokenizer_decode_next(const cohort_tokenizer *tokenizer, int32_t token, size_t *length) {
  const int32_t twice[] = {token, token};
  size_t first = 0;
  free(decode(tokenizer, twice, 1, true, &first));
  char *text = decode(tokenizer, twice, 2, true, length);
  *length -= first < *length ? first : *length;
  memmove(text, text + first, *length);
  text[*length] = '\0';
  return text;
}
