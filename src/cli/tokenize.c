/* `cohort tokenize`: trains a byte-level BPE tokenizer on a text's training share, so that validation text is never
 * seen; or encodes and decodes with any tokenizer. Linear in the text, but for training. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/verb.h"
#include "io/dataset/dataset.h"
#include "io/tokenizer/tokenizer.h"
#include "train/task/language.h"

typedef struct tokenize_options {
  const char *text, *out, *with;
  double vocabulary, share;
  bool ids, decode, all, plain, template;
} tokenize_options;

/* The switch that a word names, or NULL. */
static bool *find_switch(tokenize_options *options, const char *word) {
  const struct {
    const char *name;
    bool *value;
  } switches[] = {{"--ids", &options->ids},
                  {"--decode", &options->decode},
                  {"--all", &options->all},
                  {"--plain", &options->plain},
                  {"--template", &options->template}};
  for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
    if (strcmp(switches[i].name, word) == 0) return switches[i].value;
  return NULL;
}

static cohort_status check_options(const tokenize_options *own, cohort_error *error) {
  if (!own->text || !own->out == !own->with)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "tokenize: give a text and -o FILE, or a text and --with TOKENIZER; see cohort tokenize --help");
  if (!own->with && (own->ids || own->decode || own->all || own->plain || own->template))
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "tokenize: --ids, --decode, --all, --plain and --template want --with TOKENIZER");
  if (own->decode ? own->ids || own->plain || own->template : own->all)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "tokenize: --all goes with --decode; --ids, --plain and --template do not");
  if (!(own->vocabulary >= 257 && own->vocabulary <= 32768) || own->vocabulary != (double)(int)own->vocabulary)
    return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: --vocabulary wants a whole number from 257 to 32768");
  if (!(own->share > 0 && own->share <= 1))
    return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: --share wants a number above 0 and at most 1");
  return COHORT_DONE;
}

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
    } else if (find_switch(out, word)) {
      *find_switch(out, word) = true;
    } else if (more && (strcmp(word, "-o") == 0 || strcmp(word, "--with") == 0)) {
      *(word[1] == 'o' ? &out->out : &out->with) = value;
      w++;
    } else if ((word[0] == '-' && word[1]) || out->text) {
      return cohort_fail(error, COHORT_BAD_CONFIG, "tokenize: unexpected %s; see cohort tokenize --help", word);
    } else {
      out->text = word;
    }
  }
  return check_options(out, error);
}

static void show(void *argument, double share) {
  const bool *terminal = argument;
  if (!*terminal) return;
  (void)fprintf(stderr, "\rmerges %3.0f %%", 100 * share);
  if (share >= 1) (void)fprintf(stderr, "\n");
}

/* Numbers with white space or commas between. */
static cohort_status decode(const tokenize_options *options, const cohort_tokenizer *tokenizer, char *text,
                            cohort_error *error) {
  int32_t *ids = cohort_allocate((strlen(text) / 2 + 2) * sizeof *ids);
  int64_t count = 0;
  cohort_status status = COHORT_DONE;
  for (char *at = text + strspn(text, " \t\r\n,"), *end = NULL; *at && status == COHORT_DONE; count++) {
    const long id = strtol(at, &end, 10);
    if (end == at || id < 0 || id >= cohort_tokenizer_vocabulary(tokenizer) || (*end && !strchr(" \t\r\n,", *end)))
      status = cohort_fail(error, COHORT_BAD_DATA, "%s: number %lld is no id from 0 to %d", options->text,
                           (long long)count + 1, cohort_tokenizer_vocabulary(tokenizer) - 1);
    ids[count] = (int32_t)id;
    at = end + strspn(end, " \t\r\n,");
  }
  if (status == COHORT_DONE) {
    size_t length = 0;
    char *made = (options->all ? cohort_tokenizer_decode_all : cohort_tokenizer_decode)(tokenizer, ids, count, &length);
    (void)fwrite(made, 1, length, stdout);
    free(made);
  }
  free(ids);
  return status;
}

static void encode(const tokenize_options *options, const cohort_tokenizer *tokenizer, const char *text,
                   size_t length) {
  const unsigned flags =
      (options->plain ? (unsigned)COHORT_ENCODE_PLAIN : 0) | (options->template ? (unsigned)COHORT_ENCODE_TEMPLATE : 0);
  int64_t count = 0;
  int32_t *ids = cohort_tokenizer_encode_as(tokenizer, flags, text, length, &count);
  for (int64_t i = 0; options->ids && i < count; i++) printf("%s%d", i ? " " : "", ids[i]);
  if (options->ids)
    printf("\n");
  else
    printf("%s: %zu bytes, %lld tokens, %.3f bytes a token; vocabulary %d\n", options->text, length, (long long)count,
           count ? (double)length / (double)count : 0.0, cohort_tokenizer_vocabulary(tokenizer));
  free(ids);
}

static cohort_status use(const tokenize_options *options, char *text, size_t length, cohort_error *error) {
  cohort_tokenizer *tokenizer = NULL;
  cohort_status status = cohort_language_tokenizer(options->with, &tokenizer, error);
  if (status == COHORT_DONE && options->decode) status = decode(options, tokenizer, text, error);
  if (status == COHORT_DONE && !options->decode) encode(options, tokenizer, text, length);
  cohort_tokenizer_destroy(tokenizer);
  return status;
}

static cohort_status train(const tokenize_options *chosen, const char *text, size_t length, cohort_error *error) {
  const tokenize_options options = *chosen;
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
  return status;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  tokenize_options options;
  COHORT_TRY(read_options(line, &options, error));
  char *text = NULL;
  size_t length = 0;
  const bool from_input = options.text && strcmp(options.text, "-") == 0;
  COHORT_TRY(cohort_text_read(from_input ? "|cat" : options.text, &text, &length, error));
  const cohort_status status = options.with ? use(&options, text, length, error) : train(&options, text, length, error);
  free(text);
  return status;
}

const cohort_verb cohort_verb_tokenize = {
    .name = "tokenize",
    .synopsis = "TEXT (-o FILE [--vocabulary N] [--share S] | --with TOKENIZER [--ids] [--decode])",
    .summary = "train a byte-level BPE tokenizer on the first share of a text (a file, - or |command), or use one",
    .help =
        "Defaults: vocabulary 1024 (257 to 32768), share 0.95: what a language run with validation_share 0.05 trains "
        "on.\n"
        "With --with TOKENIZER (a file of Cohort's own, a tokenizer.json, or a folder with one) the text is encoded "
        "and "
        "its tokens are counted. --ids prints them; --template adds what the tokenizer's template adds; --plain takes "
        "the texts of special tokens as text. --decode reads ids from TEXT and prints their text, with --all the "
        "special tokens too.",
    .run = run,
};
