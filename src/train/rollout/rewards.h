/* Rewards of completions that a model has written: texts from tokens, the questions of a reward answered, its tree
 * scored. Every rank has completions of its own, whole groups of them. */
#ifndef COHORT_TRAIN_ROLLOUT_REWARDS_H
#define COHORT_TRAIN_ROLLOUT_REWARDS_H

#include "base/comm.h"
#include "io/tokenizer/tokenizer.h"
#include "method/reward/reward.h"

typedef struct cohort_rewards cohort_rewards;

typedef struct cohort_rewards_options {
  cohort_comm *comm;
  const cohort_tokenizer *tokenizer;
  int64_t group, limit;      /* completions of a prompt; tokens of a completion, at most */
  int columns;               /* further columns of the data */
  const char *const *column; /* their names, owned by the caller */
} cohort_rewards_options;

/* Faults of the config: columns that the reward reads and the data lack. */
cohort_status cohort_rewards_create(const cohort_choice *reward, const cohort_rewards_options *options,
                                    cohort_rewards **out, cohort_error *error);
void cohort_rewards_destroy(cohort_rewards *rewards); /* NULL is fine */

typedef struct cohort_rewards_text {
  const int32_t *prompt, *completion;
  int64_t prompt_tokens, tokens; /* an end token is one of them, but no part of the text */
  bool ended;
  const char *const *column; /* [columns]: values as text; NULL: has none */
} cohort_rewards_text;

/* Collective: reward[count] of this rank's completions; other ranks may have another count. */
cohort_status cohort_rewards_score(cohort_rewards *rewards, int64_t count, const cohort_rewards_text *text,
                                   double *reward, cohort_error *error);

#endif
