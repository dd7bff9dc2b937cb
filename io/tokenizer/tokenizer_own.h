/* The inside of a tokenizer, shared by tokenizer.c and tokenizer_train.c alone. */
#ifndef COHORT_IO_TOKENIZER_OWN_H
#define COHORT_IO_TOKENIZER_OWN_H

#include "io/tokenizer/tokenizer.h"
#include "io/tokenizer/tokenizer_tables.h"
#include "io/tokenizer/tokenizer_words.h"

struct cohort_tokenizer {
  int vocabulary, end;
  int merges;
  int32_t *merge; /* [merges][2]: token 256 + i is merge[i][0] merge[i][1] */
  char **text;    /* [vocabulary]: bytes of a token; NULL for the end token */
  size_t *length; /* [vocabulary] */
  cohort_pair_table rank;
  cohort_word_cutter *cutter;
};

/* Fills what follows from vocabulary and merges. */
void cohort_tokenizer_finish(cohort_tokenizer *tokenizer);

#endif
