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
  int64_t prompt;            /* tokens of a prompt, at most */
  int threads;               /* of this rank, for reward models */
  int columns;               /* further columns of the data */
  const char *const *column; /* their names, owned by the caller */
} cohort_rewards_options;

/* Collective. Reward models are loaded: each rank holds a copy of its own, so that nothing depends on how the policy is
 * sharded. A command is started when it is first asked, by rank 0. Faults of the config: columns that the reward reads
 * and the data lack; a reward model of another tokenizer, or of too short a context. */
cohort_status cohort_rewards_create(const cohort_choice *reward, const cohort_rewards_options *options,
                                    cohort_rewards **out, cohort_error *error);
void cohort_rewards_destroy(cohort_rewards *rewards); /* NULL is fine */

typedef struct cohort_rewards_text {
  const int32_t *prompt, *completion;
  int64_t prompt_tokens, tokens; /* an end token is one of them, but no part of the text */
  bool ended;
  const char *const *column; /* [columns]: values as text; NULL: has none */
} cohort_rewards_text;

/* Collective: reward[count] of this rank's completions; other ranks may have another count. COHORT_STOPPED once *stop
 * (may be NULL) is not 0 while a command is waited for. */
cohort_status cohort_rewards_score(cohort_rewards *rewards, int64_t count, const cohort_rewards_text *text,
                                   const _Atomic int *stop, double *reward, cohort_error *error);

/* Of the completions of one prompt the number of the best: the first of the largest reward. */
int64_t cohort_rewards_best(int64_t count, const double *reward);

#endif
