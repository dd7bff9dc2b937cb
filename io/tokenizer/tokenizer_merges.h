/* Byte-pair merging: the vocabulary and the merges of a BPE model, and how a word becomes tokens. */
#ifndef COHORT_IO_TOKENIZER_MERGES_H
#define COHORT_IO_TOKENIZER_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/tokenizer/tokenizer_unicode.h"

typedef struct cohort_bpe_entry {
  const char *text; /* NUL-terminated */
  size_t length;
  int32_t id;
} cohort_bpe_entry;

typedef struct cohort_bpe_merge {
  int32_t left, right, made; /* left is -1 in an empty slot */
  int32_t rank;
} cohort_bpe_merge;

typedef struct cohort_bpe {
  /* The vocabulary, filled by cohort_bpe_add. */
  cohort_bpe_entry *entry;
  int64_t entries, entry_room;
  int32_t *slot; /* [slots]: indices into entry, or -1 */
  size_t slots;
  char **block; /* what the texts lie in */
  int64_t blocks;
  size_t block_used;
  /* The merges, by cohort_bpe_merges_create and cohort_bpe_merge_add. */
  cohort_bpe_merge *merge; /* [merge_slots] */
  size_t merge_slots;
  int64_t merges;
  /* How words are read. */
  bool bytes; /* words are bytes, which stand for GPT-2's alphabet; then there is no prefix or suffix */
  bool ignore_merges, byte_fallback, fuse_unknown;
  int32_t unknown;       /* id, or -1 */
  char *prefix, *suffix; /* of symbols that do not begin, or that end a word; NULL: none */
  /* Filled by cohort_bpe_finish. */
  int32_t byte_symbol[256]; /* of a byte, with `bytes`; else of an ASCII character; -1: none */
  int32_t fallback[256];    /* <0x00> ... */
  size_t longest;           /* text of the vocabulary */
  uint64_t *neighbours;     /* [neighbour_slots], 0 empty: 1 + (left << 32 | right) that stand together in a token */
  size_t neighbour_slots;
} cohort_bpe;

/* Adds a text with its id; the last id of a text counts. */
void cohort_bpe_add(cohort_bpe *bpe, const char *text, size_t length, int32_t id);
/* A copy of a text that lives as long. */
const char *cohort_bpe_keep(cohort_bpe *bpe, const char *text, size_t length);
int32_t cohort_bpe_find(const cohort_bpe *bpe, const char *text, size_t length); /* -1: there is none */
void cohort_bpe_merges_create(cohort_bpe *bpe, int64_t most);
void cohort_bpe_merge_add(cohort_bpe *bpe, int32_t left, int32_t right, int32_t made, int32_t rank);
const cohort_bpe_merge *cohort_bpe_merge_find(const cohort_bpe *bpe, int32_t left, int32_t right); /* or NULL */
void cohort_bpe_finish(cohort_bpe *bpe);
void cohort_bpe_release(cohort_bpe *bpe);

/* Words that were met, and memory; of one thread. */
typedef struct cohort_bpe_cache cohort_bpe_cache;
cohort_bpe_cache *cohort_bpe_cache_create(void);
void cohort_bpe_cache_destroy(cohort_bpe_cache *cache);

/* Tokens that grow. */
typedef struct cohort_token_buffer {
  int32_t *token;
  int64_t count, room;
} cohort_token_buffer;
void cohort_token_buffer_add(cohort_token_buffer *buffer, const int32_t *token, int64_t count);

/* Appends the tokens of a word. */
void cohort_bpe_word(const cohort_bpe *bpe, cohort_bpe_cache *cache, const char *word, size_t length,
                     cohort_token_buffer *out);

#endif
