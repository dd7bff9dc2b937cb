/* The data of tasks that train on completions: data.train or data.mix, and data.validation, as `data` says. */
#ifndef COHORT_TRAIN_TASK_COMPLETION_DATA_H
#define COHORT_TRAIN_TASK_COMPLETION_DATA_H

#include "train/task/task.h"
#include "train/task/token_pairs.h"

typedef struct cohort_completion_data {
  int files;                            /* to train on */
  cohort_completions *file, validation; /* validation: as many as there are in data.validation, else none */
  double *weight;                       /* of each file; NULL: one file */
  cohort_chat *chat;                    /* of data.chat, else that beside the tokenizer; NULL: there is none */
  cohort_error no_chat;                 /* why the one beside the tokenizer cannot be taken; "" where there is none */
  uint64_t digest;
} cohort_completion_data;

/* What the texts are read and cut as. `check`, which may be NULL, refuses what a task cannot take. */
typedef struct cohort_completion_request {
  const cohort_field *fields; /* or NULL */
  bool apart, steps, turns;   /* turns: of conversations, where steps are what the assistant says */
  const cohort_tokenizer *tokenizer;
  int64_t context;
  cohort_status (*check)(const cohort_task *task, const cohort_completions *data, cohort_error *error);
} cohort_completion_request;

/* Reads the files that the config names; of data.lines nothing. Release it also after a failure. */
cohort_status cohort_completion_data_read(const cohort_task *task, const cohort_completion_request *request,
                                          cohort_completion_data *out, cohort_error *error);
/* Pairs made of the lines of data.lines, in the place of files. */
cohort_status cohort_completion_data_lines(const cohort_task *task, int64_t context, cohort_completion_data *out,
                                           cohort_error *error);
/* Both splits; without data.validation the last validation_share of each file is held back. */
cohort_status cohort_completion_data_encode(const cohort_task *task, const cohort_completion_request *request,
                                            const cohort_completion_data *data, cohort_token_pairs split[COHORT_SPLITS],
                                            cohort_error *error);
void cohort_completion_data_release(cohort_completion_data *data);

extern const cohort_parameter cohort_mix_table[];

#endif
