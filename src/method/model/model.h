/* Family model: graphs from named inputs to named heads. Parameters are declared in space 0 unless `space` says
 * otherwise, so that the same builder makes the frozen reference. */
#ifndef COHORT_METHOD_MODEL_MODEL_H
#define COHORT_METHOD_MODEL_MODEL_H

#include "graph/graph.h"
#include "method/method.h"

typedef enum { COHORT_MODEL_SAMPLES, COHORT_MODEL_TOKENS } cohort_model_kind;

/* Names of a model beside its first input and head: further features of a sample, as vectors, and further heads, each
 * on the last hidden layer and named head_NAME. */
enum { COHORT_MAX_FURTHER = 8 };
typedef struct cohort_model_name {
  const char *name;
  int64_t width;
} cohort_model_name;

/* What the data look like; known before the graph. */
typedef struct cohort_model_data {
  int axes;          /* SAMPLES: 1 or 3 */
  int64_t size[3];   /* of one sample: features, or height, width, channels */
  int64_t outputs;   /* SAMPLES: classes or target size; TOKENS: vocabulary */
  int inputs, heads; /* SAMPLES: further ones */
  cohort_model_name input[COHORT_MAX_FURTHER], head[COHORT_MAX_FURTHER];
} cohort_model_data;

/* Low-rank adapters beside the matrices of layers (LoRA: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models,
 * ICLR 2022): x W becomes x W + scale (x A) B. A and B are tensors lora_a and lora_b of a space of their own, B begins
 * at zero; W + scale A B is never formed.
 *
 * With `magnitude` (DoRA: Liu et al., Weight-Decomposed Low-Rank Adaptation, ICML 2024, equation 5) each output is
 * scaled besides: by m / n, where n is the norm of its row of W + scale B A, a constant of the gradient (section 4.3),
 * and m is trained. m is kept as lora_magnitude = m - (norm of W's row), which begins at zero, so that adapters begin
 * without a look at the weights. */
typedef struct cohort_adapter {
  int space;
  int64_t rank;
  double scale;   /* alpha / rank, or (rsLoRA: Kalajdzievski, 2023) alpha / root of rank */
  double dropout; /* of what A reads, in training */
  bool magnitude;
  int targets; /* names of layers; 0: all */
  const char **target;
} cohort_adapter;

/* Inputs of the graph, made by the task. */
typedef struct cohort_model_inputs {
  int space;
  const cohort_adapter *adapter; /* NULL: none */
  /* TOKENS: name of a head that gives a number for each row, a tensor of the trained space; NULL: none. `scores_only`:
   * the vocabulary head is not asked for, and declared only where it is the embedding. */
  const char *scalar_head;
  bool scores_only;
  bool training;                            /* dropout on */
  cohort_value input;                       /* SAMPLES: real [R, size...] */
  cohort_value further[COHORT_MAX_FURTHER]; /* SAMPLES: real [R, width], as many as the data have */
  cohort_value
      weight; /* SAMPLES: real [R], 0: an empty place, of which nothing counts; COHORT_NO_VALUE: all are real */
  cohort_value tokens;    /* TOKENS: integer [R], R rows of all sequences one after another */
  cohort_value positions; /* integer [R]: SAMPLES: zeros; TOKENS: position inside the sequence */
  cohort_value segments;  /* TOKENS: integer [R]: sequence number, -1: padding; or [R, 3], with the rows that a
                             sequence goes on from (COHORT_OP_ATTENTION) */
  cohort_value ids;       /* integer [R]: sample id, the key of dropout */
  double reads; /* TOKENS: rows that attention reads for a row, in the mean over all, for the count of FLOPs alone; a
                   sequence of n rows reads n (n + 1) / 2; 0: not known */
  /* TOKENS, decoding: 0, or how many texts the cache holds and how many tokens of each (a multiple of 64). Then
   * segments are the slots of the cache that the rows belong to, and the caches are inputs named "cache..." of type
   * real, which the graph reads and writes. */
  int64_t cache_slots, cache_positions;
} cohort_model_inputs;

typedef struct cohort_model_outputs {
  cohort_value logits;                      /* SAMPLES: [R, outputs] */
  cohort_value further[COHORT_MAX_FURTHER]; /* SAMPLES: [R, width], of each further head */
  cohort_value embedding; /* SAMPLES: [R, width] that the heads read; COHORT_NO_VALUE: it tells none */
  cohort_value hidden;    /* TOKENS: [R, width] after the last norm */
  cohort_value scalar;    /* TOKENS: [R], of the scalar head */
  cohort_value head; /* TOKENS: weight [vocabulary, width] of the vocabulary head (the embedding itself when tied) */
} cohort_model_outputs;

typedef struct cohort_model {
  cohort_model_kind kind;
  cohort_model_outputs (*build)(const void *config, cohort_graph *graph, const cohort_model_data *data,
                                const cohort_model_inputs *inputs);
  int64_t (*context)(const void *config);    /* TOKENS: the longest sequence; NULL otherwise */
  int64_t (*vocabulary)(const void *config); /* TOKENS: rows of the vocabulary head; 0: as many as there are tokens */
  bool scalar_head;                          /* TOKENS: it can have one */
  int axes; /* SAMPLES: of one sample, when it takes nothing else: 3 for images; 0: any */
} cohort_model;

/* TOKENS: rows of the vocabulary head where the tokenizer has `tokens`: as many, or what the model says. A model with
 * fewer is COHORT_BAD_CONFIG. */
cohort_status cohort_model_vocabulary(const cohort_method *model, const void *config, int64_t tokens, int64_t *rows,
                                      cohort_error *error);

#endif
