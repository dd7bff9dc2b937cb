/* `cohort inspect FILE`: what a checkpoint holds, and whether it is whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "io/checkpoint.h"
#include "train/run/run_files.h"

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
  if (!file)
    return cohort_fail(error, COHORT_BAD_CONFIG, "inspect: give a checkpoint or a run; see cohort inspect --help");
  char *own = NULL, *second = NULL;
  bool equal = true;
  cohort_status status = cohort_run_files_weights(file, &own, error);
  if (status == COHORT_DONE && other) status = cohort_run_files_weights(other, &second, error);
  if (status == COHORT_DONE)
    status = other ? cohort_checkpoint_compare(own, second, &equal, error) : cohort_checkpoint_print(own, json, error);
  free(own);
  free(second);
  if (status != COHORT_DONE || equal) return status;
  error->text[0] = '\0'; /* a difference is an answer, not an error */
  return COHORT_BUG;
}

const cohort_verb cohort_verb_inspect = {
    .name = "inspect",
    .synopsis = "FILE|RUN [--json] | FILE|RUN --compare OTHER",
    .summary = "print a checkpoint's names, shapes and digests, or compare two bit by bit",
    .help =
        "Of a run directory final.h5 is taken, else the latest checkpoint.\n--compare: exit status 0 when all bits "
        "agree, else 1, with the first tensor that differs and by how much.",
    .run = run,
};
