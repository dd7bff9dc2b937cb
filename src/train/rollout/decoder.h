/* The model as it writes: a cache of keys and values for a fixed number of texts (slots), and two plans over the same
 * parameters: one new token for each slot, and chunks of rows of any slots, for prompts. Positions count from 0 in each
 * slot. A text's logits are those of the whole window at its last row, up to rounding. */
#ifndef COHORT_TRAIN_ROLLOUT_DECODER_H
#define COHORT_TRAIN_ROLLOUT_DECODER_H

#include "kernel/kernel.h"
#include "method/model/model.h"
#include "method/registry.h"

typedef struct cohort_decoder cohort_decoder;

typedef struct cohort_decoder_options {
  const cohort_choice *model; /* of kind COHORT_MODEL_TOKENS */
  const cohort_model_data *data;
  const cohort_adapter *adapter; /* NULL: none */
  const cohort_kernel_set *kernels;
  bool bf16; /* matrices are held as bf16 too, for the kernels that read them so (float32 sets of bf16 products) */
  int64_t slots, chunk; /* texts at once; rows of a chunk */
  int64_t longest;      /* tokens of a text, at most: room in the cache; 0: the model's context */
  int threads;
  void *(*parameter)(void *argument, const char *name); /* memory of a tensor, of the kernels' type */
  void *argument;
} cohort_decoder_options;

cohort_status cohort_decoder_create(const cohort_decoder_options *settings, cohort_decoder **out, cohort_error *error);
/* What one takes, its copies of matrices as bf16 apart; nothing is taken. */
double cohort_decoder_bytes(const cohort_decoder_options *settings);
void cohort_decoder_destroy(cohort_decoder *decoder);

/* Tokens of a slot so far; the next stands at this position. At most `longest`, or the model's context. */
int64_t cohort_decoder_length(const cohort_decoder *decoder, int64_t slot);
/* Keeps the slot's first `length` tokens. */
void cohort_decoder_forget(cohort_decoder *decoder, int64_t slot, int64_t length);

/* Slot `to` has read what `from` has, to the bit, without reading it. */
void cohort_decoder_copy(cohort_decoder *decoder, int64_t from, int64_t to);

/* New tokens of a slot; count 0: it rests. */
typedef struct cohort_decoder_tokens {
  const int32_t *token;
  int64_t count;
} cohort_decoder_tokens;

/* Takes the new tokens of every slot, tokens[slots]. Returns logits [slots, vocabulary] after each slot's last token,
 * of the kernels' type, until the next call; rows of resting slots hold anything. */
const void *cohort_decoder_run(cohort_decoder *decoder, const cohort_decoder_tokens *tokens);

#endif
