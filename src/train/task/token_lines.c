/* Preference pairs made of the lines of a text. Invariant: the same lines whatever ranks there are. Costs a pass over
 * the text. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/dataset.h"
#include "train/task/token_pairs.h"

typedef struct line {
  const char *text;
  size_t length, middle; /* middle: offset of the space where the second half begins */
} line;

static bool cut_line(const char *text, size_t length, line *out) {
  int words = 1;
  for (size_t i = 0; i < length; i++) words += text[i] == ' ';
  if (words < 6) return false;
  size_t middle = length / 2;
  while (middle < length && text[middle] != ' ') middle++;
  if (middle >= length) return false;
  *out = (line){text, length, middle};
  return true;
}

static char *copy_part(const char *text, size_t length) {
  char *copy = cohort_allocate(length + 1);
  memcpy(copy, text, length);
  return copy;
}

/* The next drawn line after number `i` whose second half is not that of `i`; NULL: there is none. */
static const line *other_ending(const line *lines, int64_t count, cohort_random_key key, int64_t i) {
  const line *own = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)i)];
  const size_t length = own->length - own->middle;
  for (int64_t next = 1; next < count; next++) {
    const line *other = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)((i + next) % count))];
    if (other->length - other->middle != length || memcmp(own->text + own->middle, other->text + other->middle, length))
      return other;
  }
  return NULL;
}

cohort_status cohort_pairs_from_lines(const char *text, size_t length, int64_t wanted, cohort_random_key key,
                                      cohort_completions *out, cohort_error *error) {
  int64_t capacity = 1;
  for (size_t i = 0; i < length; i++) capacity += text[i] == '\n';
  line *lines = cohort_allocate((size_t)capacity * sizeof *lines);
  int64_t count = 0;
  for (size_t first = 0; first < length;) {
    const char *stop = memchr(text + first, '\n', length - first);
    const size_t own = stop ? (size_t)(stop - text) - first : length - first;
    if (cut_line(text + first, own, &lines[count])) count++;
    first += own + 1;
  }
  if (count < wanted || count < 2) {
    free(lines);
    return cohort_fail(error, COHORT_BAD_DATA, "data.lines: %lld lines of six words or more, but %lld pairs are wanted",
                       (long long)count, (long long)wanted);
  }
  *out = (cohort_completions){.shape = COHORT_DATA_PREFERENCE, .count = wanted, .sides = 2};
  out->prompt = cohort_allocate((size_t)wanted * sizeof *out->prompt);
  out->completion = cohort_allocate(2 * (size_t)wanted * sizeof *out->completion);
  cohort_status status = COHORT_DONE;
  for (int64_t i = 0; i < wanted && status == COHORT_DONE; i++) {
    const line *own = &lines[cohort_random_permute(key, (uint64_t)count, (uint64_t)i)];
    const line *other = other_ending(lines, count, key, i);
    if (!other) {
      status = cohort_fail(error, COHORT_BAD_DATA, "data.lines: all lines end alike, so none can be rejected");
      break;
    }
    out->prompt[i] = copy_part(own->text, own->middle);
    out->completion[2 * i].text = copy_part(own->text + own->middle, own->length - own->middle);
    out->completion[2 * i + 1].text = copy_part(other->text + other->middle, other->length - other->middle);
  }
  out->digest = cohort_digest(text, length, (uint64_t)wanted);
  free(lines);
  if (status != COHORT_DONE) cohort_completions_release(out);
  return status;
}
