/* `cohort plot`: curves of several runs in one picture each. */
#include "io/plot.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/verb.h"

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  const char **runs = cohort_allocate((size_t)(line->count + 1) * sizeof *runs);
  const char *out = NULL;
  int count = 0;
  for (int w = 0; w < line->count; w++) {
    if (strcmp(line->word[w], "-o") == 0 && w + 1 < line->count)
      out = line->word[++w];
    else
      runs[count++] = line->word[w];
  }
  cohort_status status = COHORT_DONE;
  const cohort_log log = {.speaks = true};
  if (count == 0)
    status = cohort_fail(error, COHORT_BAD_CONFIG, "plot: give a run directory; see cohort plot --help");
  else if (count > 1 && !out)
    status = cohort_fail(error, COHORT_BAD_CONFIG, "plot: several runs need -o DIR for the common plots");
  else
    status = cohort_plot_runs(count, runs, out, &log, error);
  free(runs);
  return status;
}

const cohort_verb cohort_verb_plot = {
    .name = "plot",
    .synopsis = "RUN ... [-o DIR]",
    .summary = "draw the curves of a run into its plots/, or of several runs into one folder, as SVG",
    .run = run,
};
