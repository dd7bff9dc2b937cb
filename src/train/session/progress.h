/* Progress of long work for people: on a terminal one line that is drawn again and never wraps, else whole lines, which
 * is what mpirun and job files get. One rank shows it. */
#ifndef COHORT_TRAIN_SESSION_PROGRESS_H
#define COHORT_TRAIN_SESSION_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

typedef struct cohort_progress {
  cohort_log *log;
  const char *unit;
  int64_t first, total;
  double start, shown; /* clock seconds */
  bool terminal, line_open;
} cohort_progress;

/* `first` of `total` steps are done already. Until cohort_progress_close messages of the log end the line that is
 * drawn, and `progress` stays where it is. */
void cohort_progress_open(cohort_progress *progress, cohort_log *log, const char *unit, int64_t first, int64_t total);
/* Whether it is time: a few times a second (terminal), or every ten seconds and at each tenth (lines). */
bool cohort_progress_due(const cohort_progress *progress, int64_t done);
/* Shows how much is done, the parts ("loss 0.1234"), most important first, and the time left. A terminal that is too
 * narrow loses the bar, then the last parts, then the time; the first two parts stay longest. */
void cohort_progress_show(cohort_progress *progress, int64_t done, const char *const *part, int parts);
/* Ends the line, so that other text can follow. */
void cohort_progress_close(cohort_progress *progress);

#endif
