/* The metrics.csv of a run as numbers, for pictures and tables. */
#ifndef COHORT_IO_METRICS_TABLE_H
#define COHORT_IO_METRICS_TABLE_H

#include <stdint.h>

#include "base/status.h"

enum { COHORT_METRICS_SPLITS = 4, COHORT_METRICS_FIXED_COLUMNS = 8 };
extern const char *const cohort_metrics_split[COHORT_METRICS_SPLITS]; /* "train", "validation", "test", "clients" */

/* Points (x, y) of one line, x strictly ascending, all finite. */
typedef struct cohort_curve {
  int64_t count;
  double *x, *y;
} cohort_curve;
void cohort_curve_release(cohort_curve *own);

typedef struct cohort_metrics_table {
  char *text;  /* of the header */
  int columns; /* step, split, ..., then those of the methods from COHORT_METRICS_FIXED_COLUMNS on */
  const char **column;
  int64_t rows;
  signed char *split; /* [rows] of cohort_metrics_split; -1: none of these */
  double *value;      /* [columns, rows]; NaN: not measured, or a text */
} cohort_metrics_table;

/* Reads `run`/metrics.csv. Rows with fewer fields than the header (a run may be writing one) are left out. A file that
 * does not begin with the columns step and split is COHORT_BAD_DATA. */
cohort_status cohort_metrics_table_read(const char *run, cohort_metrics_table *out, cohort_error *error);
void cohort_metrics_table_release(cohort_metrics_table *own);
/* The column of this name, or -1: each run's own header says where it stands. */
int cohort_metrics_table_find(const cohort_metrics_table *own, const char *name);
/* (step, value) of a split, where the value is finite; no points for column -1. Owned by the caller. */
cohort_curve cohort_metrics_table_curve(const cohort_metrics_table *own, int column, int split);

#endif
