/* What a reward asks and others answer: reward models and commands. For rewards.c alone. */
#ifndef COHORT_TRAIN_ROLLOUT_REWARD_QUESTIONS_H
#define COHORT_TRAIN_ROLLOUT_REWARD_QUESTIONS_H

#include "io/process.h"
#include "train/rollout/rewards.h"
#include "train/rollout/scorer.h"

/* A question and who answers it. */
typedef struct cohort_reward_asked {
  cohort_reward_question question;
  cohort_scorer *scorer;   /* of a model */
  cohort_process *process; /* of a command; on rank 0, from the first batch on */
} cohort_reward_asked;

/* Collective. On an error it can be closed. */
cohort_status cohort_reward_asked_open(const cohort_reward_question *question, const cohort_rewards_options *options,
                                       cohort_reward_asked *out, cohort_error *error);
void cohort_reward_asked_close(cohort_reward_asked *asked);
/* Collective: answer[completions] for the batch of this rank, whose texts stand in `text` as tokens. */
cohort_status cohort_reward_asked_answer(cohort_reward_asked *asked, const cohort_rewards_options *options,
                                         const cohort_reward_batch *batch, const cohort_rewards_text *text,
                                         const _Atomic int *stop, double *answer, cohort_error *error);

#endif
