/* SVG plots with gnuplot (a missing gnuplot is one warning, never a failure of the run). */
#ifndef COHORT_IO_PLOT_H
#define COHORT_IO_PLOT_H

#include "base/log.h"
#include "base/status.h"

/* plots/loss.svg (train, validation, test; smoothed train line), plots/learning_rate.svg, plots/gradient_norm.svg and
 * one per method column, from the metrics.csv of one run into its own plots/, or of several runs overlaid into
 * `out_directory`. */
cohort_status cohort_plot_runs(int runs, const char *const *run_directory, const char *out_directory,
                               const cohort_log *log, cohort_error *error);

#endif
