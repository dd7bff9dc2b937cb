/* A map of shares, rows by columns, with a bar above every column: an SVG picture, written without another program. */
#ifndef COHORT_IO_PLOT_MAP_H
#define COHORT_IO_PLOT_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_plot_map {
  const char *title, *across, *down, *above; /* what it shows; the axes; what the bars are */
  int rows, columns;
  int64_t row_step;    /* rows are numbered 0, step, 2 step, ...; row 0 stands at the bottom */
  bool numbered;       /* so are columns, from 0 on; else they have no numbers */
  const double *share; /* [rows][columns], 0 to 1: the darker the more */
  const double *bar;   /* [columns], at least 0 */
} cohort_plot_map;

/* COHORT_NO_RESOURCE when it cannot be written. */
cohort_status cohort_plot_map_write(const cohort_plot_map *map, const char *path, cohort_error *error);

#endif
