/* How a token is drawn from a row of logits. In this order, as in Hugging Face's transformers:
 *
 *   repetition_penalty r   of tokens that the text has already, a logit above 0 is divided by r, one below multiplied
 *   temperature t          logits are divided by t; 0: the likeliest token, of equal ones the first
 *   top_k                  tokens below the k-th largest logit are cut
 *   top_p                  a token is cut when those of larger logits have p of the rest's probability, or more
 *   min_p                  tokens of less than m times the likeliest one's probability are cut
 *
 * Equal logits share their fate: who stands at a threshold stays, however many there are. */
#ifndef COHORT_TRAIN_ROLLOUT_DECODING_H
#define COHORT_TRAIN_ROLLOUT_DECODING_H

#include <stdint.h>

#include "base/parameter.h"

typedef struct cohort_decoding {
  double temperature;
  int64_t top_k; /* 0: all */
  double top_p, min_p, repetition_penalty;
} cohort_decoding;

/* Its keys in a config; the defaults cut nothing. */
extern const cohort_parameter cohort_decoding_keys[];
/* Temperature 1, nothing cut: the model's own distribution. */
cohort_decoding cohort_decoding_plain(void);

/* What is drawn from. `row` [vocabulary] is room; `text` has what was written so far, the prompt too. */
typedef struct cohort_decoding_row {
  const float *logits; /* [vocabulary] */
  int64_t vocabulary;
  const int32_t *text;
  int64_t count;
  float *row;
  double *weight; /* [vocabulary]: room; receives probabilities up to a factor, 0 of what is cut */
} cohort_decoding_row;

/* Fills `weight`; returns its sum. The temperature is above 0. */
double cohort_decoding_weigh(const cohort_decoding *how, const cohort_decoding_row *from);
/* The token that `word` draws. */
int32_t cohort_decoding_draw(const cohort_decoding *how, const cohort_decoding_row *from, uint32_t word);
/* log softmax(logits)[token], whatever the decoding. */
double cohort_decoding_log_probability(const float *logits, int64_t vocabulary, int32_t token);

#endif
