/* cohort plot: words of the command line into a request of io/plot.h. */
#include "io/plot.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/verb.h"

/* Words that are followed by a value. */
static const char **value_of(const char *word, cohort_plot_request *request, const char **format, const char **smooth) {
  if (strcmp(word, "-o") == 0) return &request->out;
  if (strcmp(word, "--column") == 0) return &request->column;
  if (strcmp(word, "--split") == 0) return &request->split;
  if (strcmp(word, "--format") == 0) return format;
  return strcmp(word, "--smooth") == 0 ? smooth : NULL;
}

static bool *switch_of(const char *word, cohort_plot_request *request) {
  if (strcmp(word, "--log-x") == 0) return &request->log_x;
  if (strcmp(word, "--log-y") == 0) return &request->log_y;
  return strcmp(word, "--seeds") == 0 ? &request->seeds : NULL;
}

static cohort_status read_words(const cohort_command_line *line, cohort_plot_request *request, const char **run,
                                cohort_error *error) {
  const char *format = "svg", *smooth = NULL;
  for (int w = 0; w < line->count; w++) {
    const char *const word = line->word[w], **const value = value_of(word, request, &format, &smooth);
    bool *const choice = switch_of(word, request);
    if (value && w + 1 == line->count)
      return cohort_fail(error, COHORT_BAD_CONFIG, "plot: %s wants a value; see cohort plot --help", word);
    if (value)
      *value = line->word[++w];
    else if (choice)
      *choice = true;
    else if (word[0] == '-')
      return cohort_fail(error, COHORT_BAD_CONFIG, "plot: unexpected %s; see cohort plot --help", word);
    else
      run[request->runs++] = word;
  }
  request->png = strcmp(format, "png") == 0;
  if (!request->png && strcmp(format, "svg") != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "plot: --format %s; it is svg or png", format);
  if (!smooth) return COHORT_DONE;
  char *end = NULL;
  request->smooth = strtod(smooth, &end);
  if (end == smooth || *end || !(request->smooth >= 0 && request->smooth <= 1))
    return cohort_fail(error, COHORT_BAD_CONFIG, "plot: --smooth %s; it is a share of the rows, 0 to 1", smooth);
  return COHORT_DONE;
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  const char **const runs = cohort_allocate((size_t)(line->count + 1) * sizeof *runs);
  cohort_plot_request request = {.run = runs, .smooth = COHORT_PLOT_SMOOTH};
  cohort_status status = read_words(line, &request, runs, error);
  if (status == COHORT_DONE && request.runs == 0)
    status = cohort_fail(error, COHORT_BAD_CONFIG, "plot: give a run directory; see cohort plot --help");
  else if (status == COHORT_DONE && request.runs > 1 && !request.out)
    status =
        cohort_fail(error, COHORT_BAD_CONFIG, "plot: several runs need -o, a folder or a file, for what they share");
  if (status == COHORT_DONE) status = cohort_plot_draw(&request, error);
  free(runs);
  return status;
}

const cohort_verb cohort_verb_plot = {
    .name = "plot",
    .synopsis = "RUN ... [-o DIR|FILE] [options]",
    .summary = "draw the curves of a run into its plots/, or of several runs together",
    .help =
        "-o DIR: a picture for every column; -o FILE.svg or FILE.png: one picture, of the loss or of --column.\n"
        "--column NAME: a column of metrics.csv alone, such as gradient_norm\n"
        "--format svg|png: of the pictures in a folder\n"
        "--log-x, --log-y: logarithmic axes; what is not above 0 is left out\n"
        "--seeds: runs whose configs differ in the seed alone become their mean, in a band from lowest to highest\n"
        "--smooth SHARE: of the rows, in the window of the smoothed train line (0.06); 0: as measured\n"
        "A run has one colour (of 20); train is solid, validation dashed, test dotted, clients dashed and dotted.",
    .run = run,
};
