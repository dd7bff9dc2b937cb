/* Tokenized preference pairs. */
#ifndef COHORT_TRAIN_TASK_TOKEN_PAIRS_H
#define COHORT_TRAIN_TASK_TOKEN_PAIRS_H

#include "base/random.h"
#include "io/dataset/dataset.h"
#include "io/tokenizer/tokenizer.h"

/* The sequences of samples: prompt and completion, cut at `context + 1` tokens (so that every token but the last is an
 * input). A sample is a pair, chosen then rejected, or a completion alone. */
typedef struct cohort_token_pairs {
  int sides; /* sequences a sample: 2, or 1 */
  int64_t count;
  int64_t dropped;     /* samples whose prompt leaves no room for a completion; no prompt is empty */
  int64_t alike;       /* pairs whose completions are the same where the context cuts them: they teach nothing */
  int64_t longest;     /* rows (inputs) of the longest sequence */
  int64_t prompts;     /* tokens of the longest prompt */
  int64_t completions; /* of the longest completion */
  int32_t **sequence;  /* [sides * count] */
  int32_t *length;     /* [sides * count]: tokens */
  int32_t *prompt;     /* [count]: tokens of the prompt */
  bool *desirable;     /* [count]: labels of completions alone; else NULL */
  float *margin;       /* [count]: of pairs, where the data have them; else NULL */
} cohort_token_pairs;

/* The end token, when the tokenizer has one, closes every completion. With `apart` a pair becomes two samples, one
 * desirable and one not; completions that have labels stay what they are. */
void cohort_token_pairs_create(const cohort_pairs *pairs, const cohort_tokenizer *tokenizer, int64_t context,
                               bool apart, cohort_token_pairs *out);
void cohort_token_pairs_release(cohort_token_pairs *pairs);

/* Makes up to `wanted` pairs from the lines of a text, drawn without repetition by `key`: the prompt is a line's first
 * half (cut at a space), chosen its second half, rejected the second half of the next drawn line that has another one.
 * Lines of fewer than six words are passed over. COHORT_BAD_DATA when the text has too few lines, or all end alike. */
cohort_status cohort_pairs_from_lines(const char *text, size_t length, int64_t wanted, cohort_random_key key,
                                      cohort_pairs *out, cohort_error *error);

#endif
