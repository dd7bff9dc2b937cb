/* Byte-pair encoding (Sennrich, Haddow & Birch 2016): the most frequent pair of neighbours inside words becomes a
 * token, again and again. Words are counted once; a merge touches only the words that hold its pair. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer_own.h"

enum { BYTES = 256 };

typedef struct symbols {
  int32_t *symbol;
  int64_t count, weight; /* symbols of the word; how often the word stands in the text */
} symbols;

static void count_word(void *argument, const char *word, size_t length) {
  int made;
  cohort_word_table_at(argument, word, length, &made)->value++;
}

static void add_pairs(cohort_pair_table *pairs, const symbols *word, int64_t weight) {
  for (int64_t i = 0; i + 1 < word->count; i++)
    cohort_pair_table_at(pairs, word->symbol[i], word->symbol[i + 1])->value += weight;
}

static bool holds(const symbols *word, int32_t left, int32_t right) {
  for (int64_t i = 0; i + 1 < word->count; i++)
    if (word->symbol[i] == left && word->symbol[i + 1] == right) return true;
  return false;
}

static void merge(symbols *word, int32_t left, int32_t right, int32_t merged) {
  int64_t kept = 0;
  for (int64_t i = 0; i < word->count; kept++) {
    const bool pair = i + 1 < word->count && word->symbol[i] == left && word->symbol[i + 1] == right;
    word->symbol[kept] = pair ? merged : word->symbol[i];
    i += pair ? 2 : 1;
  }
  word->count = kept;
}

/* The most frequent pair; of equals the one with the smaller ids. */
static cohort_pair best_pair(const cohort_pair_table *pairs) {
  cohort_pair best = {-1, -1, 0};
  for (int64_t i = 0; i < pairs->count; i++) {
    const cohort_pair *own = &pairs->pair[i];
    const bool smaller = own->left < best.left || (own->left == best.left && own->right < best.right);
    if (own->value > best.value || (own->value == best.value && own->value > 0 && smaller)) best = *own;
  }
  return best;
}

static symbols *spell_words(const cohort_word_table *words) {
  symbols *list = cohort_allocate((size_t)(words->count + 1) * sizeof *list);
  for (int64_t w = 0; w < words->count; w++) {
    const cohort_word *word = &words->word[w];
    list[w] = (symbols){cohort_allocate(word->length * sizeof(int32_t) + 1), (int64_t)word->length, word->value};
    for (size_t i = 0; i < word->length; i++) list[w].symbol[i] = (unsigned char)word->text[i];
  }
  return list;
}

cohort_status cohort_tokenizer_train(const char *text, size_t length, int vocabulary,
                                     void (*progress)(void *argument, double share), void *argument,
                                     cohort_tokenizer **out, cohort_error *error) {
  cohort_word_table words = {0};
  cohort_pair_table pairs = {0};
  cohort_word_cutter *cutter = cohort_word_cutter_create();
  cohort_word_cutter_run(cutter, text, length, count_word, &words);
  cohort_word_cutter_destroy(cutter);
  symbols *list = spell_words(&words);
  for (int64_t w = 0; w < words.count; w++) add_pairs(&pairs, &list[w], list[w].weight);
  cohort_tokenizer *tokenizer = cohort_allocate(sizeof *tokenizer);
  tokenizer->vocabulary = vocabulary;
  tokenizer->end = vocabulary - 1;
  tokenizer->merge = cohort_allocate(2 * (size_t)vocabulary * sizeof *tokenizer->merge);
  const int wanted = vocabulary - BYTES - 1;
  for (; tokenizer->merges < wanted; tokenizer->merges++) {
    const cohort_pair best = best_pair(&pairs);
    if (best.value < 2) break; /* a pair seen once compresses nothing */
    tokenizer->merge[2 * tokenizer->merges] = best.left;
    tokenizer->merge[2 * tokenizer->merges + 1] = best.right;
    for (int64_t w = 0; w < words.count; w++) {
      if (!holds(&list[w], best.left, best.right)) continue;
      add_pairs(&pairs, &list[w], -list[w].weight);
      merge(&list[w], best.left, best.right, BYTES + tokenizer->merges);
      add_pairs(&pairs, &list[w], list[w].weight);
    }
    if (progress) progress(argument, (double)(tokenizer->merges + 1) / wanted);
  }
  for (int64_t w = 0; w < words.count; w++) free(list[w].symbol);
  free(list);
  cohort_word_table_release(&words);
  cohort_pair_table_release(&pairs);
  if (tokenizer->merges < wanted) {
    const int most = BYTES + 1 + tokenizer->merges;
    tokenizer->vocabulary = 0;
    cohort_tokenizer_destroy(tokenizer);
    return cohort_fail(error, COHORT_BAD_DATA,
                       "tokenizer: the text gives only %d tokens, %d are wanted; give more text", most, vocabulary);
  }
  cohort_tokenizer_finish(tokenizer);
  *out = tokenizer;
  return COHORT_DONE;
}
