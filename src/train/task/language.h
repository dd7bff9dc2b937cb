/* What the language task shares with task sft, tokenizing, the n-gram baseline and generation. */
#ifndef COHORT_TRAIN_TASK_LANGUAGE_H
#define COHORT_TRAIN_TASK_LANGUAGE_H

#include "io/tokenizer/tokenizer.h"
#include "train/task/task.h"

/* `bytes`, or a tokenizer's file. */
cohort_status cohort_language_tokenizer(const char *path, cohort_tokenizer **out, cohort_error *error);
/* Sets the outputs of a task with tokens: as many as the model has, which are at least the tokenizer's. */
cohort_status cohort_language_outputs(cohort_task *task, const cohort_tokenizer *tokenizer, cohort_error *error);

/* Of each of the task's losses its sum over the lane's tokens, a scalar, into objective[]; `outputs` are the model's,
 * `targets` [rows], -1: not learned. The vocabulary head is built once for all losses that read it. */
void cohort_language_losses(const cohort_task *task, cohort_graph *graph, const cohort_model_outputs *outputs,
                            cohort_value targets, cohort_value *objective);

/* Where the validation text begins: byte offset, at a character's start. */
size_t cohort_language_split(const char *text, size_t length, double validation_share);

/* The tokens of an open language task: the first *train train, the rest up to *all validate. Owned by the task. */
void cohort_language_tokens(const cohort_task *task, const int32_t **tokens, int64_t *train, int64_t *all,
                            int64_t *validation_bytes);

/* Which part of the text (io/dataset/owners.h) each training sequence begins in, where the population of a federated
 * run is cut by lines; owned by the caller. */
int32_t *cohort_language_parts(const cohort_task *task, int64_t *parts);

#endif
