/* Runs gnuplot on a script. */
#ifndef COHORT_IO_GNUPLOT_H
#define COHORT_IO_GNUPLOT_H

#include <stdio.h>

#include "base/status.h"

/* Runs the script from its beginning; COHORT_NO_RESOURCE when gnuplot is not installed or fails, with what it said. */
cohort_status cohort_gnuplot_run(FILE *script, cohort_error *error);
/* A text, and `more` (or NULL) behind it, in gnuplot's single quotes, where nothing is replaced. */
void cohort_gnuplot_quote(FILE *script, const char *text, const char *more);

#endif
