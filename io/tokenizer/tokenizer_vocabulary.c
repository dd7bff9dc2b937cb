/* The vocabulary and the merges of a BPE model as hash tables by open addressing: texts by XXH3, at most half full;
 * pairs by a multiplication, at most two thirds full. Texts lie in blocks that never move. Everything is linear in the
 * vocabulary. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_merges.h"

enum { BLOCK = 1 << 16, FIRST_SLOTS = 1024 };

const char *cohort_bpe_keep(cohort_bpe *bpe, const char *text, size_t length) {
  if (bpe->blocks == 0 || bpe->block_used + length + 1 > BLOCK) {
    bpe->block = cohort_reallocate(bpe->block, (size_t)(bpe->blocks + 1) * sizeof *bpe->block);
    bpe->block[bpe->blocks++] = cohort_allocate(length + 1 > BLOCK ? length + 1 : BLOCK);
    bpe->block_used = 0;
  }
  char *kept = bpe->block[bpe->blocks - 1] + bpe->block_used;
  memcpy(kept, text, length);
  kept[length] = '\0';
  bpe->block_used += length + 1;
  return kept;
}

static int32_t *text_slot(const cohort_bpe *bpe, const char *text, size_t length) {
  size_t at = (size_t)XXH3_64bits(text, length) & (bpe->slots - 1);
  for (; bpe->slot[at] >= 0; at = (at + 1) & (bpe->slots - 1)) {
    const cohort_bpe_entry *entry = &bpe->entry[bpe->slot[at]];
    if (entry->length == length && memcmp(entry->text, text, length) == 0) break;
  }
  return &bpe->slot[at];
}

static void grow(cohort_bpe *bpe) {
  bpe->slots = bpe->slots ? 2 * bpe->slots : FIRST_SLOTS;
  bpe->entry_room = (int64_t)(bpe->slots / 2);
  bpe->entry = cohort_reallocate(bpe->entry, (size_t)bpe->entry_room * sizeof *bpe->entry);
  bpe->slot = cohort_reallocate(bpe->slot, bpe->slots * sizeof *bpe->slot);
  memset(bpe->slot, 0xFF, bpe->slots * sizeof *bpe->slot);
  for (int64_t i = 0; i < bpe->entries; i++) *text_slot(bpe, bpe->entry[i].text, bpe->entry[i].length) = (int32_t)i;
}

void cohort_bpe_add(cohort_bpe *bpe, const char *text, size_t length, int32_t id) {
  if (bpe->entries >= bpe->entry_room) grow(bpe);
  int32_t *slot = text_slot(bpe, text, length);
  if (*slot < 0) {
    *slot = (int32_t)bpe->entries;
    bpe->entry[bpe->entries++] = (cohort_bpe_entry){cohort_bpe_keep(bpe, text, length), length, id};
    if (length > bpe->longest) bpe->longest = length;
  }
  bpe->entry[*slot].id = id;
}

int32_t cohort_bpe_find(const cohort_bpe *bpe, const char *text, size_t length) {
  if (!bpe->slots || length > bpe->longest) return -1;
  const int32_t slot = *text_slot(bpe, text, length);
  return slot < 0 ? -1 : bpe->entry[slot].id;
}

void cohort_bpe_merges_create(cohort_bpe *bpe, int64_t most) {
  bpe->merge_slots = 16;
  while (2 * bpe->merge_slots < 3 * (size_t)most) bpe->merge_slots *= 2;
  bpe->merge = cohort_allocate(bpe->merge_slots * sizeof *bpe->merge);
  for (size_t i = 0; i < bpe->merge_slots; i++) bpe->merge[i].left = -1;
}

static cohort_bpe_merge *merge_slot(const cohort_bpe *bpe, int32_t left, int32_t right) {
  const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  size_t at = (size_t)((key * 0x9E3779B97F4A7C15U) >> 20) & (bpe->merge_slots - 1);
  while (bpe->merge[at].left >= 0 && (bpe->merge[at].left != left || bpe->merge[at].right != right))
    at = (at + 1) & (bpe->merge_slots - 1);
  return &bpe->merge[at];
}

void cohort_bpe_merge_add(cohort_bpe *bpe, int32_t left, int32_t right, int32_t made, int32_t rank) {
  cohort_bpe_merge *slot = merge_slot(bpe, left, right);
  bpe->merges += slot->left < 0;
  *slot = (cohort_bpe_merge){left, right, made, rank};
}

const cohort_bpe_merge *cohort_bpe_merge_find(const cohort_bpe *bpe, int32_t left, int32_t right) {
  if (!bpe->merges) return NULL;
  const cohort_bpe_merge *slot = merge_slot(bpe, left, right);
  return slot->left < 0 ? NULL : slot;
}

/* What stands at the ends of tokens: symbols, by id; -1 is not yet known. */
typedef struct token_ends {
  int32_t *first, *last;
  bool ambiguous;
} token_ends;

static bool set_end(token_ends *ends, int32_t *end, int32_t symbol) {
  if (*end == symbol) return false;
  if (*end >= 0) ends->ambiguous = true;
  *end = symbol;
  return !ends->ambiguous;
}

/* Once over all merges; true when something was learned. */
static bool spread_ends(const cohort_bpe *bpe, token_ends *ends) {
  bool more = false;
  for (size_t i = 0; i < bpe->merge_slots; i++) {
    const cohort_bpe_merge *merge = &bpe->merge[i];
    if (merge->left < 0) continue;
    const int32_t first = ends->first[merge->left], last = ends->last[merge->right];
    if (first >= 0 && set_end(ends, &ends->first[merge->made], first)) more = true;
    if (last >= 0 && set_end(ends, &ends->last[merge->made], last)) more = true;
  }
  return more && !ends->ambiguous;
}

static void begin_ends(const cohort_bpe *bpe, token_ends *ends) {
  for (int64_t i = 0; i < bpe->entries; i++) {
    const cohort_bpe_entry *entry = &bpe->entry[i];
    size_t bytes = 0;
    if (!entry->length || cohort_utf8_read(entry->text, entry->length, &bytes) < 0 || bytes != entry->length) continue;
    ends->first[entry->id] = ends->last[entry->id] = entry->id;
  }
  for (int b = 0; b < 256; b++)
    if (bpe->byte_fallback && bpe->fallback[b] >= 0)
      ends->first[bpe->fallback[b]] = ends->last[bpe->fallback[b]] = bpe->fallback[b];
  if (bpe->unknown >= 0) ends->first[bpe->unknown] = ends->last[bpe->unknown] = bpe->unknown;
}

static void add_neighbours(cohort_bpe *bpe, int32_t left, int32_t right) {
  const uint64_t key = 1 + ((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
  size_t at = (size_t)((key * 0x9E3779B97F4A7C15U) >> 20) & (bpe->neighbour_slots - 1);
  while (bpe->neighbours[at] && bpe->neighbours[at] != key) at = (at + 1) & (bpe->neighbour_slots - 1);
  bpe->neighbours[at] = key;
}

/* Which symbols stand together in a token. Left out (and no long word is cut) where symbols know their place in a word,
 * or where the ends of a token are not one way alone. */
static void find_neighbours(cohort_bpe *bpe) {
  enum { MOST_PASSES = 64 };
  int32_t most = 0;
  for (int64_t i = 0; i < bpe->entries; i++)
    if (bpe->entry[i].id > most) most = bpe->entry[i].id;
  if (bpe->prefix || bpe->suffix || !bpe->merges) return;
  const size_t bytes = (size_t)(most + 1) * sizeof(int32_t);
  token_ends ends = {cohort_allocate(bytes), cohort_allocate(bytes), false};
  memset(ends.first, 0xFF, bytes);
  memset(ends.last, 0xFF, bytes);
  begin_ends(bpe, &ends);
  int passes = 0;
  while (passes < MOST_PASSES && spread_ends(bpe, &ends)) passes++;
  if (!ends.ambiguous && passes < MOST_PASSES) {
    bpe->neighbour_slots = bpe->merge_slots;
    bpe->neighbours = cohort_allocate(bpe->neighbour_slots * sizeof *bpe->neighbours);
    for (size_t i = 0; i < bpe->merge_slots; i++) {
      const cohort_bpe_merge *merge = &bpe->merge[i];
      if (merge->left < 0 || ends.last[merge->left] < 0 || ends.first[merge->right] < 0) continue;
      add_neighbours(bpe, ends.last[merge->left], ends.first[merge->right]);
    }
  }
  free(ends.first);
  free(ends.last);
}

void cohort_bpe_finish(cohort_bpe *bpe) {
  static const char digits[] = "0123456789ABCDEF";
  for (int b = 0; b < 256; b++) {
    const char own = (char)b, code[6] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
    cohort_text letter = {0};
    cohort_alphabet_write(&own, 1, &letter);
    bpe->byte_symbol[b] = bpe->bytes ? cohort_bpe_find(bpe, letter.text, letter.length)
                          : b < 128  ? cohort_bpe_find(bpe, &own, 1)
                                     : -1;
    bpe->fallback[b] = cohort_bpe_find(bpe, code, sizeof code);
    cohort_text_release(&letter);
  }
  find_neighbours(bpe);
}

void cohort_bpe_release(cohort_bpe *bpe) {
  for (int64_t i = 0; i < bpe->blocks; i++) free(bpe->block[i]);
  free(bpe->block);
  free(bpe->entry);
  free(bpe->slot);
  free(bpe->merge);
  free(bpe->neighbours);
  free(bpe->prefix);
  free(bpe->suffix);
  memset(bpe, 0, sizeof *bpe);
}
