/* `cohort tokenize`: trains a byte-level BPE tokenizer on a text's training share, so that validation text is never
 * seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "io/dataset/dataset.h"
#include "io/tokenizer/tokenizer.h"
#include "train/task/language.h"

typedef struct tokenize_options {
  const char *text, *out;
  double vocabulary, share;
} tokenize_options;

static cohort_status read_options(const cohort_command_line *line, tokenize_options *out, cohort_error *error) {
  *out = (tokenize_options){.vocabulary = 1024, .share = 0.95};
  for (int w = 0; w < line->count; w++) {
    const bool more = w + 1 < line->count;
    const char *word = line->word[w], *value = more ? line->word[w + 1] : "";
    char *end = NULL;
    double *number = strcmp(word, "--vocabulary") == 0 ? &out->vocabulary
                     : strcmp(word, "--share") == 0    ? &out->share
                                                       : NULL;
    if (number) {
      *number = strtod(value, &end);
      if (end == value || *end) return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: %s wants a number", word);
      w++;
    } else if (more && strcmp(word, "-o") == 0) {
      out->out = value;
      w++;
    } else if (word[0] == '-' || out->text) {
      return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: unexpected %s; see cohort tokenize --help", word);
    } else {
      out->text = word;
    }
  }
  if (!out->text || !out->out)
    return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: give a text and -o FILE; see cohort tokenize --help");
  if (!(out->vocabulary >= 257 && out->vocabulary <= 32768) || out->vocabulary != (double)(int)out->vocabulary)
    return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: --vocabulary wants a whole number from 257 to 32768");
  if (!(out->share > 0 && out->share <= 1))
    return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: --share wants a number above 0 and at most 1");
  return COHORT_DONE;
}

static void show(void *argument, double share) {
  const bool *terminal = argument;
  if (!*terminal) return;
  (void)fprintf(stderr, "\rmerges %3.0f %%", 100 * share);
  if (share >= 1) (void)fprintf(stderr, "\n");
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  tokenize_options options;
  COHORT_TRY(read_options(line, &options, error));
  char *text = NULL;
  size_t length = 0;
  COHORT_TRY(cohort_text_read(options.text, &text, &length, error));
  const size_t cut = options.share < 1 ? cohort_language_split(text, length, 1 - options.share) : length;
  bool terminal = isatty(STDERR_FILENO) != 0;
  cohort_tokenizer *tokenizer = NULL;
  cohort_status status = cohort_tokenizer_train(text, cut, (int)options.vocabulary, show, &terminal, &tokenizer, error);
  if (status == COHORT_DONE) status = cohort_tokenizer_write(tokenizer, options.out, error);
  if (status == COHORT_DONE) {
    int64_t count = 0;
    free(cohort_tokenizer_encode(tokenizer, text, length, &count));
    printf("%s: %d tokens of vocabulary; the text has %zu bytes, %lld tokens, %.3f bytes a token\n", options.out,
           cohort_tokenizer_vocabulary(tokenizer), length, (long long)count, (double)length / (double)count);
  }
  cohort_tokenizer_destroy(tokenizer);
  free(text);
  return status;
}

const cohort_verb cohort_verb_tokenize = {
    .name = "tokenize",
    .synopsis = "TEXT -o FILE [--vocabulary N] [--share S]",
    .summary = "train a byte-level BPE tokenizer on the first share of a text (a file, or |command)",
    .help =
        "Defaults: vocabulary 1024 (257 to 32768), share 0.95: what a language run with validation_share 0.05 trains "
        "on.",
    .run = run,
};
