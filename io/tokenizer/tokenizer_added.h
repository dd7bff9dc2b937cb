/* Added tokens: texts that are found before anything else looks at a text, special ones among them. */
#ifndef COHORT_IO_TOKENIZER_ADDED_H
#define COHORT_IO_TOKENIZER_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cohort_added_token {
  char *text; /* as the file has it, NUL-terminated */
  size_t length;
  char *found; /* what is looked for: the text, or its normal form */
  size_t found_length;
  int32_t id;
  bool special, single_word, left, right; /* left, right: it takes the white space beside it */
  bool normalised;                        /* looked for in normalised text */
} cohort_added_token;

/* Tokens that are looked for together: leftmost, and of those the longest. */
typedef struct cohort_added_set {
  const cohort_added_token **token; /* [count], by `found` */
  int count;
  bool first[256]; /* a token begins with this byte */
} cohort_added_set;

void cohort_added_set_create(const cohort_added_token *token, int count, bool normalised, cohort_added_set *out);
void cohort_added_set_release(cohort_added_set *set);

typedef void (*cohort_added_visitor)(void *argument, const cohort_added_token *token, size_t start, size_t end);
/* Visits the tokens and what is between them (NULL), in order. With `plain`, special tokens are no tokens. */
void cohort_added_find(const cohort_added_set *set, bool plain, const char *text, size_t length,
                       cohort_added_visitor visit, void *argument);

#endif
