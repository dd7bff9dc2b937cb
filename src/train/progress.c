#include "train/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { WIDTH = 28 };

void cohort_progress_open(cohort_progress *progress, const cohort_log *log, const char *unit, int64_t first,
                          int64_t total) {
  *progress = (cohort_progress){.log = log,
                                .unit = unit,
                                .first = first,
                                .total = total,
                                .start = cohort_clock_seconds(),
                                .terminal = isatty(STDERR_FILENO) != 0};
  progress->shown = progress->start;
}

static void format_left(double seconds, char *out, size_t size) {
  const long whole = (long)(seconds + 0.5);
  if (whole >= 3600)
    (void)snprintf(out, size, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  else
    (void)snprintf(out, size, "%ldm%02lds", whole / 60, whole % 60);
}

static void draw_bar(cohort_progress *progress, int64_t done, const char *text, const char *left) {
  char bar[WIDTH + 1];
  const int full = (int)(WIDTH * done / progress->total);
  memset(bar, '-', WIDTH);
  memset(bar, '#', (size_t)full);
  bar[WIDTH] = '\0';
  (void)fprintf(stderr, "\r[%s] %lld/%lld %s  %s  %s left\033[K", bar, (long long)done, (long long)progress->total,
                progress->unit, text, left);
  (void)fflush(stderr);
  progress->bar_open = true;
}

bool cohort_progress_due(const cohort_progress *progress, int64_t done) {
  if (!progress->log->speaks || progress->log->quiet) return false;
  if (done == progress->total) return true;
  if (!progress->terminal && progress->total >= 10 && done % (progress->total / 10) == 0) return true;
  return cohort_clock_seconds() - progress->shown >= (progress->terminal ? 0.2 : 10);
}

void cohort_progress_show(cohort_progress *progress, int64_t done, const char *text) {
  const double now = cohort_clock_seconds();
  progress->shown = now;
  char left[32];
  const int64_t own = done - progress->first;
  format_left(own > 0 ? (now - progress->start) / (double)own * (double)(progress->total - done) : 0, left,
              sizeof left);
  if (progress->terminal)
    draw_bar(progress, done, text, left);
  else
    cohort_log_line(progress->log, "%s %lld/%lld  %s  %s left", progress->unit, (long long)done,
                    (long long)progress->total, text, left);
}

void cohort_progress_clear(cohort_progress *progress) {
  if (!progress->bar_open) return;
  (void)fprintf(stderr, "\n");
  progress->bar_open = false;
}
