/* Hash tables of words and of pairs of tokens, by open addressing; they double when half full. Entries keep their
 * numbers when a table grows. */
#include "io/tokenizer/tokenizer_tables.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

enum { FIRST_SLOTS = 1024 };

static size_t word_hash(const char *text, size_t length) { return (size_t)XXH3_64bits(text, length); }

static size_t pair_hash(int32_t left, int32_t right) {
  const int32_t key[2] = {left, right};
  return (size_t)XXH3_64bits(key, sizeof key);
}

static int64_t *new_slots(size_t slots) {
  int64_t *slot = cohort_allocate(slots * sizeof *slot);
  memset(slot, 0xFF, slots * sizeof *slot);
  return slot;
}

static void grow_words(cohort_word_table *table) {
  table->slots = table->slots ? 2 * table->slots : FIRST_SLOTS;
  table->word = cohort_reallocate(table->word, table->slots / 2 * sizeof *table->word);
  free(table->slot);
  table->slot = new_slots(table->slots);
  for (int64_t i = 0; i < table->count; i++) {
    size_t at = word_hash(table->word[i].text, table->word[i].length) & (table->slots - 1);
    while (table->slot[at] >= 0) at = (at + 1) & (table->slots - 1);
    table->slot[at] = i;
  }
}

cohort_word *cohort_word_table_at(cohort_word_table *table, const char *text, size_t length, int *made) {
  if ((size_t)table->count * 2 >= table->slots) grow_words(table);
  size_t at = word_hash(text, length) & (table->slots - 1);
  *made = 0;
  for (; table->slot[at] >= 0; at = (at + 1) & (table->slots - 1)) {
    cohort_word *word = &table->word[table->slot[at]];
    if (word->length == length && memcmp(word->text, text, length) == 0) return word;
  }
  *made = 1;
  table->slot[at] = table->count;
  table->word[table->count] = (cohort_word){text, length, 0};
  return &table->word[table->count++];
}

void cohort_word_table_release(cohort_word_table *table) {
  free(table->word);
  free(table->slot);
  memset(table, 0, sizeof *table);
}

static void grow_pairs(cohort_pair_table *table) {
  table->slots = table->slots ? 2 * table->slots : FIRST_SLOTS;
  table->pair = cohort_reallocate(table->pair, table->slots / 2 * sizeof *table->pair);
  free(table->slot);
  table->slot = new_slots(table->slots);
  for (int64_t i = 0; i < table->count; i++) {
    size_t at = pair_hash(table->pair[i].left, table->pair[i].right) & (table->slots - 1);
    while (table->slot[at] >= 0) at = (at + 1) & (table->slots - 1);
    table->slot[at] = i;
  }
}

static int64_t *pair_slot(const cohort_pair_table *table, int32_t left, int32_t right) {
  size_t at = pair_hash(left, right) & (table->slots - 1);
  for (; table->slot[at] >= 0; at = (at + 1) & (table->slots - 1)) {
    const cohort_pair *pair = &table->pair[table->slot[at]];
    if (pair->left == left && pair->right == right) break;
  }
  return &table->slot[at];
}

cohort_pair *cohort_pair_table_at(cohort_pair_table *table, int32_t left, int32_t right) {
  if ((size_t)table->count * 2 >= table->slots) grow_pairs(table);
  int64_t *slot = pair_slot(table, left, right);
  if (*slot < 0) {
    *slot = table->count;
    table->pair[table->count++] = (cohort_pair){left, right, 0};
  }
  return &table->pair[*slot];
}

const cohort_pair *cohort_pair_table_find(const cohort_pair_table *table, int32_t left, int32_t right) {
  if (!table->slots) return NULL;
  const int64_t *slot = pair_slot(table, left, right);
  return *slot < 0 ? NULL : &table->pair[*slot];
}

void cohort_pair_table_release(cohort_pair_table *table) {
  free(table->pair);
  free(table->slot);
  memset(table, 0, sizeof *table);
}
