/* Byte-pair encoding (Sennrich, Haddow & Birch 2016): the most frequent pair of neighbours inside words becomes a
 * token, again and again. Words are counted once; a merge touches only the words that hold its pair. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_own.h"
#include "io/tokenizer/tokenizer_tables.h"

typedef struct symbols {
  int32_t *symbol;
  int64_t count, weight; /* symbols of the word; how often the word stands in the text */
} symbols;

/* Words by their index; some no longer hold the pair. */
typedef struct word_list {
  int64_t *word, count;
} word_list;

/* A pair, by its index, and its value when it was ranked; since then it may have fallen. */
typedef struct ranked {
  int64_t value, pair;
} ranked;

typedef struct training {
  cohort_word_table words;
  symbols *spelled; /* [words] */
  cohort_pair_table pairs;
  word_list *holders; /* [listed]: of each pair */
  int64_t listed;
  ranked *heap; /* the best first */
  int64_t heaped;
} training;

static void count_word(void *argument, const char *word, size_t length) {
  int made;
  cohort_word_table_at(argument, word, length, &made)->value++;
}

static void add_holder(training *own, int64_t pair, int64_t word) {
  if (pair >= own->listed) {
    const int64_t listed = 2 * pair + 64;
    own->holders = cohort_reallocate(own->holders, (size_t)listed * sizeof *own->holders);
    memset(own->holders + own->listed, 0, (size_t)(listed - own->listed) * sizeof *own->holders);
    own->listed = listed;
  }
  word_list *list = &own->holders[pair];
  if (list->count && list->word[list->count - 1] == word) return;
  if ((list->count & (list->count - 1)) == 0) /* full at every power of two */
    list->word = cohort_reallocate(list->word, (size_t)(list->count ? 2 * list->count : 1) * sizeof *list->word);
  list->word[list->count++] = word;
}

/* Adds the word's pairs, `sign` times; new for the word are those with the token `fresh`, or all if it is -1. */
static void add_pairs(training *own, int64_t word, int sign, int32_t fresh) {
  const symbols *spelled = &own->spelled[word];
  for (int64_t i = 0; i + 1 < spelled->count; i++) {
    const int32_t left = spelled->symbol[i], right = spelled->symbol[i + 1];
    cohort_pair *pair = cohort_pair_table_at(&own->pairs, left, right);
    pair->value += sign * spelled->weight;
    if (sign > 0 && (fresh < 0 || left == fresh || right == fresh)) add_holder(own, pair - own->pairs.pair, word);
  }
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

/* The more frequent pair goes first; of equals the one with the smaller ids. */
static bool goes_first(const training *own, ranked a, ranked b) {
  const cohort_pair *first = &own->pairs.pair[a.pair], *second = &own->pairs.pair[b.pair];
  if (a.value != b.value) return a.value > b.value;
  return first->left != second->left ? first->left < second->left : first->right < second->right;
}

static void sink(training *own, int64_t at) {
  const ranked moved = own->heap[at];
  for (int64_t child; (child = 2 * at + 1) < own->heaped; at = child) {
    if (child + 1 < own->heaped && goes_first(own, own->heap[child + 1], own->heap[child])) child++;
    if (!goes_first(own, own->heap[child], moved)) break;
    own->heap[at] = own->heap[child];
  }
  own->heap[at] = moved;
}

/* Ranks the pairs that are not yet. */
static void rank_pairs(training *own) {
  own->heap = cohort_reallocate(own->heap, (size_t)(own->pairs.count + 1) * sizeof *own->heap);
  while (own->heaped < own->pairs.count) {
    int64_t at = own->heaped++;
    const ranked added = {own->pairs.pair[at].value, at};
    for (; at > 0 && goes_first(own, added, own->heap[(at - 1) / 2]); at = (at - 1) / 2)
      own->heap[at] = own->heap[(at - 1) / 2];
    own->heap[at] = added;
  }
}

/* Index of the best pair. Once ranked a pair's value only falls, as a merge makes pairs with its own token alone: so
 * who is first with the value of now is the best. */
static int64_t best_pair(training *own) {
  while (own->heap[0].value != own->pairs.pair[own->heap[0].pair].value) {
    own->heap[0].value = own->pairs.pair[own->heap[0].pair].value;
    sink(own, 0);
  }
  return own->heap[0].pair;
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

static void begin(training *own, const char *text, size_t length) {
  cohort_pattern_scratch *scratch = cohort_pattern_scratch_create();
  cohort_step_list words = {.count = 0};
  cohort_tokenizer_own_words(&words);
  cohort_steps_cut(&words, scratch, true, text, length, true, count_word, &own->words);
  cohort_steps_release(&words);
  cohort_pattern_scratch_destroy(scratch);
  own->spelled = spell_words(&own->words);
  for (int64_t w = 0; w < own->words.count; w++) add_pairs(own, w, 1, -1);
  rank_pairs(own);
}

static void merge_everywhere(training *own, int64_t best, int32_t merged) {
  const cohort_pair pair = own->pairs.pair[best];
  const word_list list = own->holders[best];
  own->holders[best] = (word_list){NULL, 0};
  for (int64_t i = 0; i < list.count; i++) {
    const int64_t w = list.word[i];
    if (!holds(&own->spelled[w], pair.left, pair.right)) continue;
    add_pairs(own, w, -1, merged);
    merge(&own->spelled[w], pair.left, pair.right, merged);
    add_pairs(own, w, 1, merged);
  }
  free(list.word);
  rank_pairs(own);
}

static void end(training *own) {
  for (int64_t w = 0; w < own->words.count; w++) free(own->spelled[w].symbol);
  for (int64_t p = 0; p < own->listed; p++) free(own->holders[p].word);
  free(own->spelled);
  free(own->holders);
  free(own->heap);
  cohort_word_table_release(&own->words);
  cohort_pair_table_release(&own->pairs);
}

cohort_status cohort_tokenizer_train(const char *text, size_t length, int vocabulary,
                                     void (*progress)(void *argument, double share), void *argument,
                                     cohort_tokenizer **out, cohort_error *error) {
  training own = {0};
  begin(&own, text, length);
  cohort_tokenizer *tokenizer = cohort_tokenizer_create();
  tokenizer->vocabulary = vocabulary;
  tokenizer->merge = cohort_allocate(2 * (size_t)vocabulary * sizeof *tokenizer->merge);
  const int wanted = vocabulary - COHORT_BYTES - 1;
  for (; tokenizer->merges < wanted; tokenizer->merges++) {
    const int64_t best = own.heaped ? best_pair(&own) : -1;
    if (best < 0 || own.pairs.pair[best].value < 2) break; /* a pair seen once compresses nothing */
    tokenizer->merge[2 * tokenizer->merges] = own.pairs.pair[best].left;
    tokenizer->merge[2 * tokenizer->merges + 1] = own.pairs.pair[best].right;
    merge_everywhere(&own, best, COHORT_BYTES + tokenizer->merges);
    if (progress) progress(argument, (double)(tokenizer->merges + 1) / wanted);
  }
  end(&own);
  if (tokenizer->merges < wanted) {
    const int most = COHORT_BYTES + 1 + tokenizer->merges;
    cohort_tokenizer_destroy(tokenizer);
    return cohort_fail(error, COHORT_BAD_DATA,
                       "tokenizer: the text yields only %d tokens instead of %d; give more text", most, vocabulary);
  }
  cohort_tokenizer_finish_own(tokenizer);
  *out = tokenizer;
  return COHORT_DONE;
}
