/* One picture: lines and bands with their colours, written as a gnuplot script. */
#ifndef COHORT_IO_PLOT_PICTURE_H
#define COHORT_IO_PLOT_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

#include "io/metrics_table.h"

typedef enum { COHORT_PLOT_BAND, COHORT_PLOT_MEASURED, COHORT_PLOT_LINE } cohort_plot_layer;

typedef struct cohort_plot_item {
  cohort_plot_layer layer;
  int colour, split;  /* index into the palette; of cohort_metrics_split */
  cohort_curve curve; /* owned by the picture */
  double *low, *high; /* band: [curve.count]; else NULL */
  bool smoothed;
} cohort_plot_item;

typedef struct cohort_plot_picture {
  const char *file, *title, *column; /* what the picture is called and shows */
  bool png, log_x, log_y;
  int names; /* of the runs or groups of runs; entry c of the legend has colour c */
  const char *const *name;
  int items;
  cohort_plot_item *item;
} cohort_plot_picture;

/* Opens a picture: what it is drawn as, and where. */
void cohort_plot_terminal_write(bool png, int height, const char *file, FILE *script);
/* Takes over the item's arrays. */
void cohort_plot_picture_add(cohort_plot_picture *own, cohort_plot_item item);
/* Appends the picture's commands and data to a script. It has at least one item. */
void cohort_plot_picture_write(const cohort_plot_picture *own, FILE *script);
void cohort_plot_picture_release(cohort_plot_picture *own);

#endif
