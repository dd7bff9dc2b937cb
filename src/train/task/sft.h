/* Task sft: what its keys say. */
#ifndef COHORT_TRAIN_TASK_SFT_H
#define COHORT_TRAIN_TASK_SFT_H

#include "train/task/task.h"

/* data.scored: AUTO: completions of prompts; of data without prompts all. */
typedef enum {
  COHORT_SFT_AUTO,
  COHORT_SFT_ALL,
  COHORT_SFT_COMPLETIONS,
  COHORT_SFT_ASSISTANT,
} cohort_sft_scored;

#endif
