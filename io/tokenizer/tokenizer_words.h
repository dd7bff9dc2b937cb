/* Cuts text into words by GPT-2's pattern (PCRE2, Unicode classes); bytes that are no UTF-8 become words of their own.
 * Longer words are cut, since merging costs the square of a word's length; so no token is longer either. */
#ifndef COHORT_IO_TOKENIZER_WORDS_H
#define COHORT_IO_TOKENIZER_WORDS_H

#include <stddef.h>

enum { COHORT_LONGEST_WORD = 512 /* bytes */ };

typedef struct cohort_word_cutter cohort_word_cutter;
cohort_word_cutter *cohort_word_cutter_create(void);
void cohort_word_cutter_destroy(cohort_word_cutter *cutter);
/* Calls visit(argument, first, length) for every word of text[0, length), in order; together they are the whole text.
 */
void cohort_word_cutter_run(const cohort_word_cutter *cutter, const char *text, size_t length,
                            void (*visit)(void *argument, const char *word, size_t length), void *argument);

#endif
