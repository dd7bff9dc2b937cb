/* Cuts a text into words by a regular expression, compiled once. The parts between matches are words too: no byte is
 * lost. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/tokenizer/tokenizer_words.h"

#include <pcre2.h>
#include <stdlib.h>

#include "base/memory.h"

struct cohort_word_cutter {
  pcre2_code *code;
};

cohort_word_cutter *cohort_word_cutter_create(void) {
  static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  cohort_word_cutter *cutter = cohort_allocate(sizeof *cutter);
  int number;
  size_t offset;
  cutter->code = pcre2_compile((PCRE2_SPTR)pattern, sizeof pattern - 1, PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF,
                               &number, &offset, NULL);
  if (!cutter->code) abort(); /* a constant pattern */
  (void)pcre2_jit_compile(cutter->code, PCRE2_JIT_COMPLETE);
  return cutter;
}

void cohort_word_cutter_destroy(cohort_word_cutter *cutter) {
  if (!cutter) return;
  pcre2_code_free(cutter->code);
  free(cutter);
}

typedef void (*visitor)(void *argument, const char *word, size_t length);

static void visit_parts(visitor visit, void *argument, const char *word, size_t length) {
  for (; length > COHORT_LONGEST_WORD; word += COHORT_LONGEST_WORD, length -= COHORT_LONGEST_WORD)
    visit(argument, word, COHORT_LONGEST_WORD);
  visit(argument, word, length);
}

void cohort_word_cutter_run(const cohort_word_cutter *cutter, const char *text, size_t length,
                            void (*visit)(void *argument, const char *word, size_t length), void *argument) {
  pcre2_match_data *match = pcre2_match_data_create(1, NULL);
  const size_t *range = pcre2_get_ovector_pointer(match);
  size_t at = 0;
  while (at < length && pcre2_match(cutter->code, (PCRE2_SPTR)text, length, at, 0, match, NULL) >= 0) {
    if (range[0] > at) visit_parts(visit, argument, text + at, range[0] - at);
    visit_parts(visit, argument, text + range[0], range[1] - range[0]);
    at = range[1];
  }
  if (at < length) visit_parts(visit, argument, text + at, length - at);
  pcre2_match_data_free(match);
}
