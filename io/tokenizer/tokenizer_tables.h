/* Hash tables of the tokenizer: words (byte strings) and pairs of token ids. Open addressing; only grow. */
#ifndef COHORT_IO_TOKENIZER_TABLES_H
#define COHORT_IO_TOKENIZER_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct cohort_word {
  const char *text; /* points into the text that was counted, or into a copy owned by the user of the table */
  size_t length;
  int64_t value; /* the user's */
} cohort_word;

typedef struct cohort_word_table {
  int64_t count;
  cohort_word *word; /* in order of first sight */
  size_t slots;      /* a power of two */
  int64_t *slot;     /* index into word, or -1 */
} cohort_word_table;

/* The word's entry, made (value 0) when new; valid until the next call. *made tells. */
cohort_word *cohort_word_table_at(cohort_word_table *table, const char *text, size_t length, int *made);
void cohort_word_table_release(cohort_word_table *table);

typedef struct cohort_pair {
  int32_t left, right;
  int64_t value;
} cohort_pair;

typedef struct cohort_pair_table {
  int64_t count;
  cohort_pair *pair; /* in order of first sight */
  size_t slots;
  int64_t *slot;
} cohort_pair_table;

cohort_pair *cohort_pair_table_at(cohort_pair_table *table, int32_t left, int32_t right); /* made with value 0 */
const cohort_pair *cohort_pair_table_find(const cohort_pair_table *table, int32_t left, int32_t right); /* or NULL */
void cohort_pair_table_release(cohort_pair_table *table);

#endif
