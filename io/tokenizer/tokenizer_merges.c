/* A word is spelled in symbols, and its pairs are merged, the lowest rank first and the leftmost of equals, as
 * `tokenizers` does. Short words look through their pairs; long ones keep a heap, so a word costs n log n. A long word
 * is first cut where no token could join the neighbours, which changes nothing. Short words are cached; the cache is
 * emptied when it is full. */
#include "io/tokenizer/tokenizer_merges.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

enum { LONGEST_CACHED = 255, LONGEST_SCANNED = 40, LONGEST_WHOLE = 48, FIRST_WORDS = 1 << 10, MOST_WORDS = 1 << 17 };

typedef struct cached_word {
  uint64_t hash;        /* 0: empty */
  uint32_t text, token; /* where they begin */
  uint16_t length, tokens;
  uint32_t part; /* of a longer word: ignore_merges does not look at it */
} cached_word;

typedef struct queued {
  int32_t rank, at, made;
} queued;

struct cohort_bpe_cache {
  cached_word *word; /* [words] */
  size_t words, used;
  cohort_text text, letters;
  cohort_token_buffer tokens, symbols;
  cohort_scratch scratch;
  queued *heap;
  int64_t heaped, heap_room;
};

cohort_bpe_cache *cohort_bpe_cache_create(void) { return cohort_allocate(sizeof(cohort_bpe_cache)); }

void cohort_bpe_cache_destroy(cohort_bpe_cache *cache) {
  if (!cache) return;
  free(cache->word);
  cohort_text_release(&cache->text);
  cohort_text_release(&cache->letters);
  free(cache->tokens.token);
  free(cache->symbols.token);
  cohort_scratch_release(&cache->scratch);
  free(cache->heap);
  free(cache);
}

void cohort_token_buffer_add(cohort_token_buffer *buffer, const int32_t *token, int64_t count) {
  if (buffer->count + count > buffer->room) {
    if (!buffer->room) buffer->room = 256;
    while (buffer->count + count > buffer->room) buffer->room *= 2;
    buffer->token = cohort_reallocate(buffer->token, (size_t)buffer->room * sizeof *buffer->token);
  }
  if (count) memcpy(buffer->token + buffer->count, token, (size_t)count * sizeof *token);
  buffer->count += count;
}

/* Where a word is, or would be. */
static cached_word *cache_slot(const cohort_bpe_cache *cache, uint64_t hash, const char *word, size_t length,
                               bool part) {
  size_t at = (size_t)hash & (cache->words - 1);
  for (; cache->word[at].hash; at = (at + 1) & (cache->words - 1)) {
    const cached_word *own = &cache->word[at];
    if (own->hash == hash && own->length == length && own->part == part &&
        memcmp(cache->text.text + own->text, word, length) == 0)
      break;
  }
  return &cache->word[at];
}

static void grow_cache(cohort_bpe_cache *cache) {
  cached_word *before = cache->word;
  const size_t words = cache->words;
  const bool full = words >= MOST_WORDS;
  if (full) {
    memset(before, 0, words * sizeof *before);
    cache->used = 0;
    cache->text.length = 0;
    cache->tokens.count = 0;
    return;
  }
  cache->words = words ? 2 * words : FIRST_WORDS;
  cache->word = cohort_allocate(cache->words * sizeof *cache->word);
  for (size_t i = 0; i < words; i++) {
    if (!before[i].hash) continue;
    size_t at = (size_t)before[i].hash & (cache->words - 1);
    while (cache->word[at].hash) at = (at + 1) & (cache->words - 1);
    cache->word[at] = before[i];
  }
  free(before);
}

static void cache_word(cohort_bpe_cache *cache, uint64_t hash, const char *word, size_t length, bool part,
                       const int32_t *token, int64_t count) {
  if (2 * (cache->used + 1) > cache->words) grow_cache(cache);
  cached_word *slot = cache_slot(cache, hash, word, length, part);
  *slot = (cached_word){.hash = hash,
                        .text = (uint32_t)cache->text.length,
                        .token = (uint32_t)cache->tokens.count,
                        .length = (uint16_t)length,
                        .tokens = (uint16_t)count,
                        .part = part};
  cache->used++;
  cohort_text_put_bytes(&cache->text, word, length);
  cohort_token_buffer_add(&cache->tokens, token, count);
}

/* The unknown token that waits for its end. */
typedef struct spelling {
  const cohort_bpe *bpe;
  cohort_token_buffer *out;
  bool unknown;
} spelling;

static void end_unknown(spelling *own) {
  if (own->unknown) cohort_token_buffer_add(own->out, &own->bpe->unknown, 1);
  own->unknown = false;
}

/* A symbol that the vocabulary lacks: its bytes, the unknown token, or nothing. */
static void spell_stranger(spelling *own, const char *text, size_t length) {
  const cohort_bpe *bpe = own->bpe;
  bool known = bpe->byte_fallback;
  for (size_t i = 0; i < length && known; i++) known = bpe->fallback[(unsigned char)text[i]] >= 0;
  if (known) {
    for (size_t i = 0; i < length; i++) cohort_token_buffer_add(own->out, &bpe->fallback[(unsigned char)text[i]], 1);
    return;
  }
  if (bpe->unknown < 0) return;
  if (own->unknown && bpe->fuse_unknown) return;
  end_unknown(own);
  own->unknown = true;
}

static int32_t find_symbol(const cohort_bpe *bpe, const char *text, size_t length, bool first, bool last,
                           cohort_text *whole) {
  const bool prefix = bpe->prefix && !first, suffix = bpe->suffix && last;
  if (!prefix && !suffix)
    return length == 1 ? bpe->byte_symbol[(unsigned char)text[0]] : cohort_bpe_find(bpe, text, length);
  whole->length = 0;
  if (prefix) cohort_text_put_bytes(whole, bpe->prefix, strlen(bpe->prefix));
  cohort_text_put_bytes(whole, text, length);
  if (suffix) cohort_text_put_bytes(whole, bpe->suffix, strlen(bpe->suffix));
  return cohort_bpe_find(bpe, whole->text, whole->length);
}

static void spell(const cohort_bpe *bpe, cohort_bpe_cache *cache, const char *word, size_t length,
                  cohort_token_buffer *out) {
  spelling own = {bpe, out, false};
  size_t bytes = 1;
  for (size_t at = 0; at < length; at += bytes) {
    const char *text = word + at;
    if (!bpe->bytes) (void)cohort_utf8_read(text, length - at, &bytes);
    const int32_t symbol = find_symbol(bpe, text, bytes, at == 0, at + bytes == length, &cache->letters);
    if (symbol < 0) {
      spell_stranger(&own, text, bytes);
      continue;
    }
    end_unknown(&own);
    cohort_token_buffer_add(out, &symbol, 1);
  }
  end_unknown(&own);
}

/* In place; returns how many are left. */
static int64_t merge_short(const cohort_bpe *bpe, int32_t *symbol, int64_t count) {
  const cohort_bpe_merge *pair[LONGEST_SCANNED] = {NULL};
  for (int64_t i = 0; i + 1 < count; i++) pair[i] = cohort_bpe_merge_find(bpe, symbol[i], symbol[i + 1]);
  for (;;) {
    int64_t best = -1;
    for (int64_t i = 0; i + 1 < count; i++)
      if (pair[i] && (best < 0 || pair[i]->rank < pair[best]->rank)) best = i;
    if (best < 0) return count;
    symbol[best] = pair[best]->made;
    count--;
    const size_t behind = (size_t)(count - best - 1);
    memmove(symbol + best + 1, symbol + best + 2, behind * sizeof *symbol);
    memmove(pair + best + 1, pair + best + 2, (behind ? behind - 1 : 0) * sizeof(const cohort_bpe_merge *));
    if (best > 0) pair[best - 1] = cohort_bpe_merge_find(bpe, symbol[best - 1], symbol[best]);
    pair[best] = best + 1 < count ? cohort_bpe_merge_find(bpe, symbol[best], symbol[best + 1]) : NULL;
  }
}

static bool goes_first(queued a, queued b) { return a.rank != b.rank ? a.rank < b.rank : a.at < b.at; }

static void push(cohort_bpe_cache *cache, const cohort_bpe_merge *merge, int64_t place) {
  if (!merge) return;
  if (cache->heaped == cache->heap_room) {
    cache->heap_room = cache->heap_room ? 2 * cache->heap_room : 256;
    cache->heap = cohort_reallocate(cache->heap, (size_t)cache->heap_room * sizeof *cache->heap);
  }
  const queued added = {merge->rank, (int32_t)place, merge->made};
  int64_t at = cache->heaped++;
  for (; at > 0 && goes_first(added, cache->heap[(at - 1) / 2]); at = (at - 1) / 2)
    cache->heap[at] = cache->heap[(at - 1) / 2];
  cache->heap[at] = added;
}

static queued pop(cohort_bpe_cache *cache) {
  const queued top = cache->heap[0], moved = cache->heap[--cache->heaped];
  int64_t at = 0;
  for (int64_t child; (child = 2 * at + 1) < cache->heaped; at = child) {
    if (child + 1 < cache->heaped && goes_first(cache->heap[child + 1], cache->heap[child])) child++;
    if (!goes_first(cache->heap[child], moved)) break;
    cache->heap[at] = cache->heap[child];
  }
  cache->heap[at] = moved;
  return top;
}

/* A chain of symbols; a queued pair counts as long as its place still makes what it made. */
static int64_t merge_long(const cohort_bpe *bpe, cohort_bpe_cache *cache, int32_t *symbol, int64_t count) {
  int32_t *before = cohort_scratch_take(&cache->scratch, 2 * (size_t)count * sizeof *before), *behind = before + count;
  cache->heaped = 0;
  for (int64_t i = 0; i < count; i++) {
    before[i] = (int32_t)i - 1;
    behind[i] = i + 1 < count ? (int32_t)i + 1 : -1;
    if (i + 1 < count) push(cache, cohort_bpe_merge_find(bpe, symbol[i], symbol[i + 1]), i);
  }
  while (cache->heaped) {
    const queued top = pop(cache);
    const int32_t at = top.at, right = symbol[at] < 0 ? -1 : behind[at];
    if (right < 0) continue;
    const cohort_bpe_merge *merge = cohort_bpe_merge_find(bpe, symbol[at], symbol[right]);
    if (!merge || merge->made != top.made) continue;
    symbol[at] = top.made;
    symbol[right] = -1;
    behind[at] = behind[right];
    if (behind[at] >= 0) {
      before[behind[at]] = at;
      push(cache, cohort_bpe_merge_find(bpe, symbol[at], symbol[behind[at]]), at);
    }
    if (before[at] >= 0) push(cache, cohort_bpe_merge_find(bpe, symbol[before[at]], symbol[at]), before[at]);
  }
  int64_t kept = 0;
  for (int64_t i = 0; i < count; i++)
    if (symbol[i] >= 0) symbol[kept++] = symbol[i];
  return kept;
}

/* Spells and merges, without the cache. */
static void make_word(const cohort_bpe *bpe, cohort_bpe_cache *cache, const char *word, size_t length, bool part,
                      cohort_token_buffer *out) {
  if (bpe->ignore_merges && !part && length <= bpe->longest) {
    const char *text = word;
    size_t bytes = length;
    if (bpe->bytes) {
      cache->letters.length = 0;
      cohort_alphabet_write(word, length, &cache->letters);
      text = cache->letters.text;
      bytes = cache->letters.length;
    }
    const int32_t id = cohort_bpe_find(bpe, text, bytes);
    if (id >= 0) {
      cohort_token_buffer_add(out, &id, 1);
      return;
    }
  }
  const int64_t first = out->count;
  spell(bpe, cache, word, length, out);
  const int64_t count = out->count - first;
  if (!bpe->merges || count < 2) return;
  int32_t *symbol = out->token + first;
  out->count =
      first + (count <= LONGEST_SCANNED ? merge_short(bpe, symbol, count) : merge_long(bpe, cache, symbol, count));
}

static void add_word(const cohort_bpe *bpe, cohort_bpe_cache *cache, const char *word, size_t length, bool part,
                     cohort_token_buffer *out) {
  if (length > LONGEST_CACHED || !bpe->merges) {
    make_word(bpe, cache, word, length, part, out);
    return;
  }
  if (!cache->words) grow_cache(cache);
  const uint64_t hash = XXH3_64bits(word, length) | 1U << 31;
  const cached_word *slot = cache_slot(cache, hash, word, length, part);
  if (slot->hash) {
    cohort_token_buffer_add(out, cache->tokens.token + slot->token, slot->tokens);
    return;
  }
  const int64_t first = out->count;
  make_word(bpe, cache, word, length, part, out);
  cache_word(cache, hash, word, length, part, out->token + first, out->count - first);
}

static bool stand_together(const cohort_bpe *bpe, int32_t left, int32_t right) {
  const uint64_t key = 1 + ((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
  size_t at = (size_t)((key * 0x9E3779B97F4A7C15U) >> 20) & (bpe->neighbour_slots - 1);
  while (bpe->neighbours[at] && bpe->neighbours[at] != key) at = (at + 1) & (bpe->neighbour_slots - 1);
  return bpe->neighbours[at] == key;
}

/* Cuts between known symbols that no token joins. */
static void add_parts(const cohort_bpe *bpe, cohort_bpe_cache *cache, const char *word, size_t length,
                      cohort_token_buffer *out) {
  size_t first = 0, bytes = 1;
  int32_t before = -1;
  for (size_t at = 0; at < length; at += bytes) {
    if (!bpe->bytes) (void)cohort_utf8_read(word + at, length - at, &bytes);
    const int32_t symbol = find_symbol(bpe, word + at, bytes, false, false, &cache->letters);
    if (before >= 0 && symbol >= 0 && !stand_together(bpe, before, symbol)) {
      add_word(bpe, cache, word + first, at - first, bpe->ignore_merges, out);
      first = at;
    }
    before = symbol;
  }
  add_word(bpe, cache, word + first, length - first, bpe->ignore_merges, out);
}

void cohort_bpe_word(const cohort_bpe *bpe, cohort_bpe_cache *cache, const char *word, size_t length,
                     cohort_token_buffer *out) {
  enum { LONGEST_WORD = 1 << 30 }; /* places are int32: what is longer is cut */
  for (; length > LONGEST_WORD; word += LONGEST_WORD, length -= LONGEST_WORD)
    cohort_bpe_word(bpe, cache, word, LONGEST_WORD, out);
  if (!length) return;
  const bool whole = length <= LONGEST_WHOLE || !bpe->neighbours || (bpe->ignore_merges && length <= bpe->longest);
  if (whole)
    add_word(bpe, cache, word, length, false, out);
  else
    add_parts(bpe, cache, word, length, out);
}
