/* The inside of a tokenizer, shared by the files of this folder alone. */
#ifndef COHORT_IO_TOKENIZER_OWN_H
#define COHORT_IO_TOKENIZER_OWN_H

#include <pthread.h>

#include "io/tokenizer/tokenizer.h"
#include "io/tokenizer/tokenizer_added.h"
#include "io/tokenizer/tokenizer_merges.h"
#include "io/tokenizer/tokenizer_steps.h"

enum { COHORT_BYTES = 256, COHORT_LONGEST_WORD = 512 /* bytes of a word of Cohort's own */ };

/* What encoding and decoding write into. */
typedef struct cohort_tokenizer_scratch {
  pthread_mutex_t lock;
  cohort_bpe_cache *cache;
  cohort_pattern_scratch *search;
  cohort_text normal;
} cohort_tokenizer_scratch;

struct cohort_tokenizer {
  int vocabulary;           /* the largest id and one */
  int begin, end, pad;      /* ids or -1 */
  int *stops, stop_count;   /* stops[0] is `end`, where there is one */
  cohort_token_text *text;  /* [vocabulary]: as the file has it; NULL: no token has the id */
  cohort_token_text *shown; /* [vocabulary]: what decoding begins with: of a normalised token its normal form */
  bool *special;            /* [vocabulary] */
  char *source;             /* the tokenizer.json it came from, or NULL */
  size_t source_length;
  uint64_t digest;

  cohort_step_list normalizer, pre_tokenizer, decoder;
  cohort_added_token *added;
  int added_count;
  cohort_added_set raw, normalised; /* tokens that are looked for before and after normalising */
  cohort_bpe bpe;
  cohort_token_buffer before, behind; /* what the template adds */

  int merges;         /* Cohort's own: */
  int32_t *merge;     /* [merges][2]: token 256 + i is merge[i][0] merge[i][1] */
  char **bytes;       /* [vocabulary] where the decoder is the alphabet: the bytes of a token */
  size_t *byte_count; /* [vocabulary] */

  cohort_tokenizer_scratch *scratch; /* used by whoever takes its lock; others make their own */
};

cohort_tokenizer *cohort_tokenizer_create(void);
/* Fills what follows from the model, the added tokens and the steps. */
void cohort_tokenizer_finish(cohort_tokenizer *tokenizer);
/* Cohort's own: fills everything from vocabulary and merges. */
void cohort_tokenizer_finish_own(cohort_tokenizer *tokenizer);
void cohort_tokenizer_own_words(cohort_step_list *out); /* how they cut a text, for cohort_steps_cut with bytes */
/* Takes the text of a tokenizer.json, which it keeps; freed when refused. */
cohort_status cohort_tokenizer_parse(const char *name, char *text, size_t length, cohort_tokenizer **out,
                                     cohort_error *error);
/* Cohort's own file. */
cohort_status cohort_tokenizer_read_own(const char *name, const char *text, size_t length, cohort_tokenizer **out,
                                        cohort_error *error);
/* The ids that files in `folder` name. Files that are not there name none. */
cohort_status cohort_tokenizer_read_ids(const char *folder, cohort_tokenizer *tokenizer, cohort_error *error);
/* Cohort's own as the text of a tokenizer.json, owned by the caller. */
char *cohort_tokenizer_json(const cohort_tokenizer *tokenizer);

cohort_tokenizer_scratch *cohort_tokenizer_scratch_create(void);
void cohort_tokenizer_scratch_destroy(cohort_tokenizer_scratch *scratch);
/* The tokenizer's own, or a new one while another thread has it. */
cohort_tokenizer_scratch *cohort_tokenizer_take(const cohort_tokenizer *tokenizer);
void cohort_tokenizer_give(const cohort_tokenizer *tokenizer, cohort_tokenizer_scratch *scratch);

#endif
