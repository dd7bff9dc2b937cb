/* The verb keys: the page or the list of config keys, to standard output. */
#include "train/run/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verb.h"

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  static const char *const formats[] = {"text", "tsv", "markdown"};
  const char *key = NULL;
  int format = 0;
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w];
    if (strcmp(word, "--format") == 0) {
      const char *value = w + 1 < line->count ? line->word[++w] : "";
      for (format = 0; format < 3 && strcmp(value, formats[format]) != 0; format++) continue;
      if (format == 3)
        return cohort_fail(error, COHORT_BAD_CONFIG, "keys: --format wants text, tsv or markdown, not \"%s\"", value);
    } else if (word[0] == '-' || key) {
      return cohort_fail(error, COHORT_BAD_CONFIG, "keys: unexpected %s; see cohort keys --help", word);
    } else {
      key = word;
    }
  }
  char *text = NULL;
  COHORT_TRY(cohort_keys_describe(key, (cohort_keys_format)format, &text, error));
  (void)fputs(text, stdout);
  free(text);
  return COHORT_DONE;
}

const cohort_verb cohort_verb_keys = {
    .name = "keys",
    .synopsis = "[KEY] [--format text|tsv|markdown]",
    .summary = "list the keys of a config, or tell all about one: meaning, type, default, values, who takes it",
    .help =
        "KEY is dotted (data.text, optimizer.adamw.beta1), or the last word of a key. --format is for the whole list.",
    .run = run,
};
