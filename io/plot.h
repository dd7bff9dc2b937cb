/* Pictures of the curves of runs, drawn by gnuplot.
 *
 * A picture shows one column of metrics.csv over the step. Every run has one colour; the train split is a solid line,
 * validation a dashed one, test a dotted one, clients one of dashes and dots; the legend stands outside the data. The
 * train line is smoothed without lag (io/plot_curve.h); of up to four runs what was measured stands behind it, faint.
 * Curves are thinned to what the picture can show, with their minima and maxima, so a picture of 10^6 rows stays below
 * 200 kB. */
#ifndef COHORT_IO_PLOT_H
#define COHORT_IO_PLOT_H

#include <stdbool.h>

#include "base/log.h"
#include "base/status.h"

#define COHORT_PLOT_SMOOTH 0.06 /* share of a curve's rows in a window of the smoothed line */

typedef struct cohort_plot_request {
  int runs;
  const char *const *run; /* directories with metrics.csv */
  const char *out;        /* a folder: a picture a column; a name that ends with .svg or .png: one picture;
                             NULL: the first run's plots/ */
  const char *column;     /* this one alone; NULL: every column into a folder, the loss into a file */
  const char *split;      /* this one alone; NULL: all */
  bool png;               /* instead of SVG, into a folder */
  bool log_x, log_y;      /* points at or below 0 are left out there */
  bool seeds;             /* runs whose configs differ in the seed alone become their mean and a band from the lowest to
                             the highest */
  double smooth;          /* as COHORT_PLOT_SMOOTH; 0: nothing is smoothed */
} cohort_plot_request;

/* COHORT_BAD_DATA: no metrics of a run; COHORT_BAD_CONFIG: a column that no run has, a split that there is not, or
 * nothing of it to draw; COHORT_NO_RESOURCE: no gnuplot, it failed, or the picture cannot be written. */
cohort_status cohort_plot_draw(const cohort_plot_request *request, cohort_error *error);

/* SVG pictures of every column, from one run into its own plots/, or from several into `out_directory`. A missing or
 * failing gnuplot is one warning here, never a failure of the run. */
cohort_status cohort_plot_runs(int runs, const char *const *run_directory, const char *out_directory,
                               const cohort_log *log, cohort_error *error);

#endif
