/* Completions of prompts, written by a language model, by several writers at once, each on threads of its own.
 *
 * A token is a function of (weights, prompt, key, stream, its place): neither the other texts of a call, nor who writes
 * them, nor what was written before changes it. */
#ifndef COHORT_TRAIN_ROLLOUT_ROLLOUT_H
#define COHORT_TRAIN_ROLLOUT_ROLLOUT_H

#include "train/rollout/generator.h"
#include "train/rollout/stops.h"

typedef struct cohort_rollout cohort_rollout;

typedef struct cohort_rollout_options {
  const cohort_choice *model;
  const cohort_model_data *data;
  cohort_space *space;           /* of the weights, which stay where they are and may change between calls */
  const cohort_adapter *adapter; /* NULL: none */
  const cohort_space *adapter_space;
  const cohort_kernel_set *kernels;
  int writers, threads;       /* threads of each */
  int64_t texts;              /* that a writer writes at once, at most */
  int64_t prompt, completion; /* tokens, at most */
  cohort_stops stops;
  cohort_decoding how; /* cohort_decoding_plain: the model's own probabilities */
  cohort_random_key key;
} cohort_rollout_options;

cohort_status cohort_rollout_create(const cohort_rollout_options *options, cohort_rollout **out, cohort_error *error);
/* What its decoders would take. */
double cohort_rollout_bytes(const cohort_rollout_options *options);
void cohort_rollout_destroy(cohort_rollout *rollout); /* NULL is fine */

typedef struct cohort_rollout_text {
  const int32_t *prompt;
  int64_t prompt_tokens;  /* at least 1 */
  uint64_t stream;        /* of its draws */
  int32_t *completion;    /* room for the longest */
  float *log_probability; /* as much room: what the model says of each token, at temperature 1 and with nothing cut;
                             NULL: not wanted */
  int64_t length;         /* of what was written */
  cohort_finish finish;
} cohort_rollout_text;

/* Writes `count` texts; writers may run at once, each called by one thread. False: left, as *stop was no longer 0. */
bool cohort_rollout_write(cohort_rollout *rollout, int writer, int64_t count, cohort_rollout_text *text,
                          const _Atomic int *stop);

#endif
