/* Patterns of a tokenizer.json: a text, or a regular expression in Oniguruma's Ruby syntax, which is what `tokenizers`
 * compiles, matched by PCRE2. */
#ifndef COHORT_IO_TOKENIZER_PATTERN_H
#define COHORT_IO_TOKENIZER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct cohort_pattern cohort_pattern;

/* GPT-2's words, and the words of Rust's \w+|[^\w\s]+. */
extern const char cohort_pattern_gpt2[];
extern const char cohort_pattern_words[];

/* `name` (the file) begins an error, which quotes the expression. What the two dialects do not share is refused. */
cohort_status cohort_pattern_create(const char *name, const char *source, cohort_pattern **out, cohort_error *error);
cohort_pattern *cohort_pattern_literal(const char *text, size_t length); /* an empty text never matches */
void cohort_pattern_destroy(cohort_pattern *pattern);

/* What a search needs beside the pattern; of one thread. */
typedef struct cohort_pattern_scratch cohort_pattern_scratch;
cohort_pattern_scratch *cohort_pattern_scratch_create(void);
void cohort_pattern_scratch_destroy(cohort_pattern_scratch *scratch);

/* Matches of a text from left to right, none inside another. An empty match is not told where the one before ended. */
typedef struct cohort_pattern_search {
  const cohort_pattern *pattern;
  cohort_pattern_scratch *scratch;
  const char *text;
  size_t length, at, last_end; /* last_end: SIZE_MAX before the first match */
} cohort_pattern_search;
cohort_pattern_search cohort_pattern_begin(const cohort_pattern *pattern, cohort_pattern_scratch *scratch,
                                           const char *text, size_t length);
bool cohort_pattern_next(cohort_pattern_search *search, size_t *start, size_t *end);

#endif
