/* What the files of `cohort generate` share: its options, its texts, how they are written. */
#ifndef COHORT_CLI_GENERATE_H
#define COHORT_CLI_GENERATE_H

#include <stdio.h>

#include "cli/verb.h"
#include "train/rollout/decoding.h"
#include "train/rollout/loaded_model.h"
#include "train/rollout/stops.h"

typedef struct cohort_generate_options {
  const char *run, *prompt, *prompts, *output, *reward;
  const char *user, *chat; /* what a user says, as a conversation; the chat template, NULL: beside the tokenizer */
  int64_t tokens, seed, samples, batch;
  bool best; /* of the samples of a prompt the one of the largest reward alone is given */
  bool json; /* lines of JSON instead of text */
  cohort_decoding how;
  cohort_stops stops;
  int bf16;        /* products; COHORT_GENERATE_RUNS_OWN: as the run was trained */
  bool ignore_end; /* goes on where a text has ended */
} cohort_generate_options;

enum { COHORT_GENERATE_RUNS_OWN = -1 };

/* A prompt and what was written after it. */
typedef struct cohort_generate_text {
  char *prompt;
  int32_t *tokens;              /* of the prompt, then of the completion */
  int64_t prompt_tokens, count; /* count: of both */
  float *log_probability;       /* of the completion's tokens */
  uint64_t stream;
  cohort_finish finish;
  double reward;
  int64_t line; /* of the file of prompts, from 0: whose columns it has */
} cohort_generate_text;

/* Texts for the same prompt stand side by side, `samples` at a time. */
typedef struct cohort_generate_texts {
  cohort_generate_text *text;
  int64_t count, longest_prompt, lines;
  int columns; /* further columns of the file, beside the prompt */
  char **column;
  char **value, **json; /* [lines][columns]: as text, and as it stands in the file; NULL: has none */
} cohort_generate_texts;

/* generate_texts.c: the prompt, or those of a file, a line each; a file NAME.jsonl has {"prompt": TEXT, ...} a line, or
 * a conversation, {"messages": [...]} or {"prompt": [...]}, which the chat template makes a text of. */
cohort_status cohort_generate_read(const cohort_generate_options *options, const cohort_loaded_model *from,
                                   cohort_generate_texts *out, cohort_error *error);
void cohort_generate_release(cohort_generate_texts *texts);
/* The completion's text, without an end token and what a stop text has cut; owned by the caller. */
char *cohort_generate_completion(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                                 const cohort_generate_text *text, size_t *length);
/* Texts [first, last) to the output. With a reward and `best` one of every prompt. */
void cohort_generate_put(const cohort_generate_options *options, const cohort_tokenizer *tokenizer,
                         const cohort_generate_texts *texts, int64_t first, int64_t last, FILE *out);

/* generate_write.c: writes all texts on, and reports the speed on standard error. */
cohort_status cohort_generate_write(const cohort_loaded_model *from, const cohort_generate_options *options,
                                    cohort_generate_texts *texts, FILE *out, cohort_error *error);

#endif
