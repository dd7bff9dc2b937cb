/* What a picture shows of a long noisy curve: a smoothed line, and few points that look like all. */
#ifndef COHORT_IO_PLOT_CURVE_H
#define COHORT_IO_PLOT_CURVE_H

#include <stdbool.h>

#include "io/metrics_table.h"

/* Half the width of the window around row i, in rows: `share` of all rows, but no more than a third of the rows before
 * it, as losses fall like a power of the step and the steep beginning must stay. */
int64_t cohort_curve_half_window(int64_t count, double share, int64_t i);

/* A smoothed copy at no more than `points` of its places, evenly spaced (in log x when `log_x`), the first and the last
 * among them. Each value is that of a straight line fitted to the rows of a window around its place (weights (1 -
 * d^3)^3; W. S. Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots, 1979, without its robust
 * steps): a straight curve stays as it is up to both ends, so the line neither lags nor bends there. At the right end
 * the window keeps its width and lies on one side. Owned by the caller. */
cohort_curve cohort_curve_smooth(const cohort_curve *own, double share, int64_t points, bool log_x);

/* Of the points that fall on one of `columns` columns of the picture the first, the lowest, the highest and the last: a
 * line through them covers the same pixels as one through all (U. Jugel et al., M4: A Visualization-Oriented Time
 * Series Data Aggregation, 2014). Owned by the caller. */
cohort_curve cohort_curve_thin(const cohort_curve *own, int64_t columns, bool log_x);

/* The straight line between the points, at x within them; NaN outside. */
double cohort_curve_at(const cohort_curve *own, double x);

/* Drops the points that a logarithmic axis cannot show: x <= 0 or y <= 0. */
void cohort_curve_keep_positive(cohort_curve *own, bool log_x, bool log_y);

#endif
