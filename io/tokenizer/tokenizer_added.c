/* Looks for added tokens. They lie sorted, so a place in the text narrows a range of them byte by byte; only places
 * that a token can begin with are looked at. Linear in the text, times the longest token where many begin alike. */
#include "io/tokenizer/tokenizer_added.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_unicode.h"

static int compare(const void *a, const void *b) {
  const cohort_added_token *first = *(const cohort_added_token *const *)a,
                           *second = *(const cohort_added_token *const *)b;
  const size_t shorter = first->found_length < second->found_length ? first->found_length : second->found_length;
  const int order = memcmp(first->found, second->found, shorter);
  if (order) return order;
  if (first->found_length != second->found_length) return first->found_length < second->found_length ? -1 : 1;
  return first->id < second->id ? -1 : first->id > second->id;
}

void cohort_added_set_create(const cohort_added_token *token, int count, bool normalised, cohort_added_set *out) {
  *out = (cohort_added_set){.token = cohort_allocate((size_t)(count + 1) * sizeof *out->token)};
  for (int i = 0; i < count; i++) {
    if (token[i].normalised != normalised || !token[i].found_length) continue;
    out->token[out->count++] = &token[i];
    out->first[(unsigned char)token[i].found[0]] = true;
  }
  qsort(out->token, (size_t)out->count, sizeof *out->token, compare);
}

void cohort_added_set_release(cohort_added_set *set) {
  free(set->token);
  set->token = NULL;
}

/* The first token from `low` on, below `high`, whose byte `at` is at least `byte`; all of them are longer than `at`. */
static int first_with(const cohort_added_set *set, int low, int high, size_t at, int byte) {
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if ((unsigned char)set->token[middle]->found[at] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static const cohort_added_token *longest_at(const cohort_added_set *set, const char *text, size_t length) {
  const cohort_added_token *best = NULL;
  int low = 0, high = set->count;
  for (size_t at = 0; at < length && low < high; at++) {
    const int byte = (unsigned char)text[at];
    low = first_with(set, low, high, at, byte);
    high = first_with(set, low, high, at, byte + 1);
    if (low < high && set->token[low]->found_length == at + 1) {
      best = set->token[low];
      while (low < high && set->token[low]->found_length == at + 1) low++;
    }
  }
  return best;
}

static bool is_single(const char *text, size_t length, size_t start, size_t end) {
  size_t bytes = 0;
  if (start > 0 && cohort_character_in(COHORT_CLASS_WORD, 0, cohort_utf8_read_last(text, start, &bytes))) return false;
  return end == length ||
         !cohort_character_in(COHORT_CLASS_WORD, 0, cohort_utf8_read(text + end, length - end, &bytes));
}

static size_t widen_left(const char *text, size_t start, size_t least) {
  size_t bytes = 0;
  while (start > least && cohort_character_in(COHORT_CLASS_SPACE, 0, cohort_utf8_read_last(text, start, &bytes)))
    start -= bytes;
  return start;
}

static size_t widen_right(const char *text, size_t length, size_t end) {
  size_t bytes = 0;
  while (end < length && cohort_character_in(COHORT_CLASS_SPACE, 0, cohort_utf8_read(text + end, length - end, &bytes)))
    end += bytes;
  return end;
}

void cohort_added_find(const cohort_added_set *set, bool plain, const char *text, size_t length,
                       cohort_added_visitor visit, void *argument) {
  size_t told = 0;
  for (size_t at = 0; at < length && set->count;) {
    const cohort_added_token *token =
        set->first[(unsigned char)text[at]] ? longest_at(set, text + at, length - at) : NULL;
    if (!token) {
      at++;
      continue;
    }
    size_t start = at, end = at + token->found_length;
    at = end;
    if ((plain && token->special) || (token->single_word && !is_single(text, length, start, end))) continue;
    if (token->left) start = widen_left(text, start, told);
    if (token->right) end = widen_right(text, length, end);
    if (told < start) visit(argument, NULL, told, start);
    visit(argument, token, start, end);
    told = end;
  }
  if (told < length) visit(argument, NULL, told, length);
}
