/* Messages to people. One rank speaks (the one that set itself as speaker); the text goes to standard error and, once
 * a run directory is open, also to its log.txt. Not for results: those go to metrics.csv and summary.json. */
#ifndef COHORT_BASE_LOG_H
#define COHORT_BASE_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

typedef struct cohort_log {
  FILE *file;      /* log.txt, or NULL; owned by who opened it */
  bool speaks;     /* false on all ranks but one */
  bool quiet;      /* nothing to standard error but errors and warnings */
  bool *line_open; /* whether an unfinished line stands on the terminal, which the next message ends; NULL: never */
} cohort_log;

/* Ends an unfinished line. */
void cohort_log_end_line(const cohort_log *log);
void cohort_log_line(const cohort_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cohort_log_warning(const cohort_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "cohort: error: TEXT" (each line of the text with that prefix), also when the log does not speak to a
 * terminal; only when log->speaks. */
void cohort_log_error(const cohort_log *log, const cohort_error *error);

#endif
