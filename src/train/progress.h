/* Progress of long work for people: a bar on a terminal, plain lines otherwise. One rank shows it. */
#ifndef COHORT_TRAIN_PROGRESS_H
#define COHORT_TRAIN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

typedef struct cohort_progress {
  const cohort_log *log;
  const char *unit;
  int64_t first, total;
  double start, shown; /* clock seconds */
  bool terminal, bar_open;
} cohort_progress;

/* `first` of `total` steps are done already. */
void cohort_progress_open(cohort_progress *progress, const cohort_log *log, const char *unit, int64_t first,
                          int64_t total);
/* Whether it is time: a few times a second (terminal), or every ten seconds and at each tenth (lines). */
bool cohort_progress_due(const cohort_progress *progress, int64_t done);
/* `text`: loss and rate. */
void cohort_progress_show(cohort_progress *progress, int64_t done, const char *text);
/* Ends the bar's line, so that other text can follow. */
void cohort_progress_clear(cohort_progress *progress);

#endif
