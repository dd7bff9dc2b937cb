/* `cohort methods`: the catalogue, as text, TSV or JSON, from the descriptors alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verb.h"
#include "method/describe.h"

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  static const char *const formats[] = {"text", "tsv", "json"};
  const char *name[2] = {NULL, NULL};
  int names = 0, format = 0;
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w];
    if (strcmp(word, "--format") == 0) {
      const char *value = w + 1 < line->count ? line->word[++w] : "";
      for (format = 0; format < 3 && strcmp(value, formats[format]) != 0; format++) continue;
      if (format == 3)
        return cohort_fail(error, COHORT_BAD_CONFIG, "methods: --format wants text, tsv or json, not \"%s\"", value);
    } else if (word[0] == '-' || names == 2) {
      return cohort_fail(error, COHORT_BAD_CONFIG, "methods: unexpected %s; see cohort methods --help", word);
    } else {
      name[names++] = word;
    }
  }
  char *text = NULL;
  COHORT_TRY(cohort_describe(name[0], name[1], (cohort_describe_format)format, &text, error));
  (void)fputs(text, stdout);
  free(text);
  return COHORT_DONE;
}

const cohort_verb cohort_verb_methods = {
    .name = "methods",
    .synopsis = "[FAMILY [NAME]] [--format text|tsv|json]",
    .summary = "list the catalogue, or tell all about a method: rule, source, parameters, state, probe arrays",
    .run = run,
};
