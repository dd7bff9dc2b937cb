/* Tokenized preference pairs. */
#ifndef COHORT_TRAIN_TASK_TOKEN_PAIRS_H
#define COHORT_TRAIN_TASK_TOKEN_PAIRS_H

#include "base/random.h"
#include "io/dataset/completions.h"
#include "io/tokenizer/tokenizer.h"

/* The numbers of a field; none: the data lack it. */
typedef struct cohort_token_field {
  int64_t width; /* of steps: S, else 1 */
  float *value;  /* of samples [count], completions [sides * count], steps [sides * count, width] */
  float **token; /* of tokens [sides * count]: of each token of the completion; 0 for one that closes it */
} cohort_token_field;

/* The sequences of samples: prompt and completion, cut at `context + 1` tokens (so that every token but the last is an
 * input). A sample is a pair, chosen then rejected, a list, the best first, or a completion alone. */
typedef struct cohort_token_pairs {
  int sides; /* sequences a sample */
  int64_t count;
  int64_t owned;       /* samples that are not repeats of others, which stand behind them */
  int64_t dropped;     /* samples whose prompt leaves no room for a completion; no prompt is empty */
  int64_t alike;       /* samples whose completions are the same where the context cuts them: they teach nothing */
  int64_t longest;     /* rows (inputs) of the longest sequence */
  int64_t prompts;     /* tokens of the longest prompt */
  int64_t completions; /* of the longest completion */
  int64_t steps;       /* of the completion that has most; 0: nobody asked for steps */
  int32_t **sequence;  /* [sides * count]; NULL: a list is shorter */
  int32_t *length;     /* [sides * count]: tokens */
  int32_t *prompt;     /* [sides * count]: tokens of the prompt, which is the same for a sample's sequences unless the
                          data say otherwise */
  int32_t **step;      /* [sides * count]: of each token of the completion, from 0; NULL: nobody asked */
  bool *desirable;     /* [count]: labels of completions alone; else NULL */
  const cohort_field *fields;
  cohort_token_field field[COHORT_MAX_FIELDS];
} cohort_token_pairs;

typedef enum { COHORT_END_AUTO, COHORT_END_ALWAYS, COHORT_END_NEVER } cohort_token_end;
typedef enum { COHORT_KEEP_START, COHORT_KEEP_END } cohort_token_truncation;

typedef struct cohort_token_options {
  const cohort_tokenizer *tokenizer;
  int64_t context;
  bool apart;                         /* a pair becomes two samples, one desirable and one not; other shapes stay */
  bool steps;                         /* the steps of the tokens too: a completion that is in none is one step */
  cohort_token_end end;               /* AUTO: closes texts, not conversations */
  cohort_token_truncation truncation; /* which part of a sequence that is too long is kept */
  int64_t max_length, max_prompt;     /* tokens of a sequence, and of a prompt, of which the end is kept; 0: any */
} cohort_token_options;

/* Of files one after another. The end token, when the tokenizer has one, closes every completion but stepwise ones and
 * those that end with it; it is of the last step. Each step is encoded by itself, in stepwise data with a newline after
 * it, as TRL does; the turns of a conversation are found in its tokens. A field of tokens that has another count than
 * the completion is a fault of its line. `weight`, if not NULL: the files' shares of an epoch; the file that has most
 * for its weight gives each sample once, the others theirs again and again, round (weight * that) times altogether. */
cohort_status cohort_token_pairs_create(int files, const cohort_completions *data, const double *weight,
                                        const cohort_token_options *options, cohort_token_pairs *out,
                                        cohort_error *error);
void cohort_token_pairs_release(cohort_token_pairs *pairs);

/* Makes up to `wanted` pairs from the lines of a text, drawn without repetition by `key`: the prompt is a line's first
 * half (cut at a space), chosen its second half, rejected the second half of the next drawn line that has another one.
 * Lines of fewer than six words are passed over. COHORT_BAD_DATA when the text has too few lines, or all end alike. */
cohort_status cohort_pairs_from_lines(const char *text, size_t length, int64_t wanted, cohort_random_key key,
                                      cohort_completions *out, cohort_error *error);

#endif
