#include <stdio.h>
#include <string.h>

#include "cli/verb.h"
#include "io/checkpoint.h"

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  const char *file = NULL, *other = NULL;
  bool json = false;
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w];
    if (strcmp(word, "--json") == 0)
      json = true;
    else if (strcmp(word, "--compare") == 0 && w + 1 < line->count)
      other = line->word[++w];
    else if (word[0] == '-' || file)
      return cohort_fail(error, COHORT_BAD_CONFIG, "inspect: unexpected %s; see cohort inspect --help", word);
    else
      file = word;
  }
  if (!file) return cohort_fail(error, COHORT_BAD_CONFIG, "inspect: give a checkpoint; see cohort inspect --help");
  if (!other) return cohort_checkpoint_print(file, json, error);
  bool equal = false;
  COHORT_TRY(cohort_checkpoint_compare(file, other, &equal, error));
  error->text[0] = '\0'; /* a difference is an answer, not an error */
  return equal ? COHORT_DONE : COHORT_BUG;
}

const cohort_verb cohort_verb_inspect = {
    .name = "inspect",
    .synopsis = "FILE [--json] | FILE --compare OTHER",
    .summary = "print a checkpoint's names, shapes and digests, or compare two bit by bit",
    .help = "--compare: exit status 0 when all bits agree, else 1, with the first tensor that differs and by how much.",
    .run = run,
};
