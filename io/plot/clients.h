/* How the clients of a federation fare, over rounds: their median in a band from the tenth to the ninetieth quantile,
 * their mean and the worst tenth of them; where clients have weights of their own, the same of these in another colour.
 */
#ifndef COHORT_IO_PLOT_CLIENTS_H
#define COHORT_IO_PLOT_CLIENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "io/metrics_table.h"

/* Columns of metrics.csv, in its rows of the split of this name, that begin with "clients/". */
#define COHORT_PLOT_CLIENTS "clients"

/* The pictures that there are: index from 0; NULL past the last. */
const char *cohort_plot_clients_figure(int index); /* "accuracy" */
/* Whether a column belongs to one of them. */
bool cohort_plot_clients_has(const char *column);
/* Appends the picture of a figure to a gnuplot script; false, and nothing is written, when the run has measured none of
 * it. */
bool cohort_plot_clients_write(const cohort_metrics_table *table, const char *figure, const char *file,
                               const char *title, bool png, FILE *script);

#endif
