/* Texts from a language model, a token of each at a time, on one rank. What was read before is cached; a text longer
 * than the model's context is read again for every token, in a window over its end. */
#ifndef COHORT_TRAIN_ROLLOUT_GENERATOR_H
#define COHORT_TRAIN_ROLLOUT_GENERATOR_H

#include "state/space.h"
#include "train/rollout/decoding.h"
#include "train/task/task.h"

typedef struct cohort_generator cohort_generator;

typedef struct cohort_generator_options {
  int64_t slots, chunk; /* texts at once; tokens of prompts that are read at once */
  int64_t longest;      /* tokens of a text, at most; 0: there is room for the model's context */
  int threads;
  bool bf16;                         /* products of operands rounded to bf16; matrices are held as bf16 too */
  const cohort_adapter *adapter;     /* NULL: none */
  const cohort_space *adapter_space; /* its weights */
  const cohort_kernel_set *kernels;  /* float32; NULL: by `bf16` and this processor */
} cohort_generator_options;

/* `space` holds the weights; `data` says the vocabulary. */
cohort_status cohort_generator_create(const cohort_choice *model, const cohort_model_data *data, cohort_space *space,
                                      const cohort_generator_options *settings, cohort_generator **out,
                                      cohort_error *error);
void cohort_generator_destroy(cohort_generator *generator);

/* A text so far. Between two calls a slot's text only grows, unless the generator is told to start again. */
typedef struct cohort_generator_text {
  const int32_t *tokens;
  int64_t count;   /* 0: nothing is wanted of this slot */
  uint64_t stream; /* of its draws: texts with the same stream and length draw the same number */
} cohort_generator_text;

/* Draws are by (key, stream, count). */
typedef struct cohort_generator_draw {
  cohort_decoding how;
  cohort_random_key key;
} cohort_generator_draw;

/* The next token of each text of text[slots], into next[slots], and, where `log_probability` is not NULL, what the
 * model says of it: at temperature 1, with nothing cut. Texts that begin alike are read once: a new text that is the
 * same as one before it in the list (completions of one prompt) takes what that has read. */
void cohort_generator_next(cohort_generator *generator, const cohort_generator_text *text,
                           const cohort_generator_draw *draw, int32_t *next, double *log_probability);
/* Forgets all texts. */
void cohort_generator_restart(cohort_generator *generator);

/* A graph of the model alone, in space 0, and its adapters (NULL: none), to make spaces from; destroyed by the caller.
 * `scalar_head`: the head it has instead of its vocabulary's, or NULL. */
cohort_status cohort_generator_graph(const cohort_choice *model, const cohort_model_data *data,
                                     const cohort_adapter *adapter, const char *scalar_head, cohort_graph **out,
                                     cohort_error *error);

#endif
