/* `cohort probe`: a method on given arrays (probe/probe.h). */
#include "probe/probe.h"

#include <string.h>

#include "cli/verb.h"

static cohort_status read_file(const cohort_command_line *line, int *w, const char **file, cohort_error *error) {
  const char *option = line->word[*w];
  if (*file) return cohort_fail(error, COHORT_BAD_CONFIG, "probe: %s is given twice; give it once", option);
  if (*w + 1 >= line->count) return cohort_fail(error, COHORT_BAD_CONFIG, "probe: %s wants a file", option);
  *file = line->word[++*w];
  return COHORT_DONE;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  cohort_probe_request request = {.words = 0};
  char *settings[1024];
  for (int w = 0; w < line->count; w++) {
    char *word = line->word[w];
    if (strcmp(word, "-i") == 0) {
      COHORT_TRY(read_file(line, &w, &request.input, error));
    } else if (strcmp(word, "-o") == 0) {
      COHORT_TRY(read_file(line, &w, &request.output, error));
    } else if (word[0] == '-') {
      return cohort_fail(error, COHORT_BAD_CONFIG, "probe: unexpected %s; see cohort probe --help", word);
    } else if (strchr(word, '=')) {
      if (request.words == (int)(sizeof settings / sizeof *settings))
        return cohort_fail(error, COHORT_BAD_CONFIG, "probe: more than %d settings", request.words);
      settings[request.words++] = word;
    } else if (!request.family) {
      request.family = word;
    } else if (!request.name) {
      request.name = word;
    } else {
      return cohort_fail(error, COHORT_BAD_CONFIG, "probe: unexpected %s; settings are key=value", word);
    }
  }
  request.word = settings;
  if (!request.family || !request.name || !request.output)
    return cohort_fail(error, COHORT_BAD_CONFIG, "probe: give FAMILY NAME -i FILE -o FILE; see cohort probe --help");
  return cohort_probe(&request, error);
}

const cohort_verb cohort_verb_probe = {
    .name = "probe",
    .synopsis = "FAMILY NAME -i IN.h5 -o OUT.h5 [key=value ...]",
    .summary = "evaluate a method on arrays of an HDF5 file: values and gradients, or updated parameters",
    .help =
        "cohort methods FAMILY NAME lists the arrays that it takes and gives, and the keys.\n"
        "The type of the real arrays, float32 or float64, decides the arithmetic and the type of the results.\n"
        "A family that takes no arrays (privacy) needs no input file.\n"
        "Nothing is written when an array is missing, unexpected or of another shape.",
    .run = run,
};
