/* A reward model that scores texts: the scalar head of a language model at a text's last token, on one rank. A score is
 * a function of the weights and the text; which others are scored with it changes no bit. */
#ifndef COHORT_TRAIN_ROLLOUT_SCORER_H
#define COHORT_TRAIN_ROLLOUT_SCORER_H

#include "train/rollout/loaded_model.h"

typedef struct cohort_scorer cohort_scorer;

/* `from` is a run of the loss rm, as a directory or a checkpoint; `longest` tokens has a text at most. */
cohort_status cohort_scorer_create(const char *from, int64_t longest, int threads, cohort_scorer **out,
                                   cohort_error *error);
void cohort_scorer_destroy(cohort_scorer *scorer); /* NULL is fine */

const cohort_tokenizer *cohort_scorer_tokenizer(const cohort_scorer *scorer);

/* A prompt and what follows it. */
typedef struct cohort_scorer_text {
  const int32_t *prompt, *completion;
  int64_t prompt_tokens, tokens;
} cohort_scorer_text;

void cohort_scorer_run(cohort_scorer *scorer, int64_t count, const cohort_scorer_text *text, double *score);

#endif
