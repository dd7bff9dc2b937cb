/* The line of progress. Invariant: on a terminal it is shorter than the terminal is wide, whatever stands in it.
 * Drawing costs a look at the terminal's size, some five times a second. */
#include "train/session/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { WIDEST_BAR = 28, NARROWEST_BAR = 10, MOST_PARTS = 8, LONGEST = 512, USUAL_COLUMNS = 80 };

void cohort_progress_open(cohort_progress *progress, cohort_log *log, const char *unit, int64_t first, int64_t total) {
  *progress = (cohort_progress){.log = log,
                                .unit = unit,
                                .first = first,
                                .total = total,
                                .start = cohort_clock_seconds(),
                                .terminal = isatty(STDERR_FILENO) != 0};
  progress->shown = progress->start;
  log->line_open = &progress->line_open;
}

static void format_left(double seconds, char *out, size_t size) {
  const long whole = (long)(seconds + 0.5);
  if (whole >= 3600)
    (void)snprintf(out, size, "%ldh%02ldm left", whole / 3600, whole / 60 % 60);
  else
    (void)snprintf(out, size, "%ldm%02lds left", whole / 60, whole % 60);
}

/* Asked each time, as windows change. */
static int columns(void) {
  struct winsize size = {0};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return USUAL_COLUMNS;
  return size.ws_col;
}

/* The first `count` texts, two spaces apart; the length. */
static int join(const char *const *text, int count, char out[LONGEST]) {
  int length = 0;
  for (int i = 0; i < count; i++) {
    const int added = snprintf(out + length, (size_t)(LONGEST - length), "%s%s", i ? "  " : "", text[i]);
    length = length + added < LONGEST ? length + added : LONGEST - 1;
  }
  return length;
}

static void put_bar(const cohort_progress *progress, int64_t done, int width) {
  char bar[WIDEST_BAR + 1];
  memset(bar, '-', (size_t)width);
  memset(bar, '#', (size_t)(width * done / progress->total));
  bar[width] = '\0';
  (void)fprintf(stderr, "[%s] ", bar);
}

/* The texts in order, and the time left, as many as there is room for: the last texts go first, then the time, then the
 * texts before. The length. */
static int fit(const char *const *text, int texts, const char *left, int room, char out[LONGEST]) {
  enum { BEFORE_TIME = 3 };
  const char *shown[MOST_PARTS + 2];
  memcpy(shown, text, (size_t)texts * sizeof *text);
  bool timed = true;
  for (int kept = texts;;) {
    shown[kept] = left;
    const int length = join(shown, kept + timed, out);
    if (length <= room || (kept == 1 && !timed)) return length;
    if (kept > BEFORE_TIME || !timed)
      kept--;
    else
      timed = false;
  }
}

/* The last column stays free: a character there moves the cursor of some terminals to the next line. */
static void draw(cohort_progress *progress, int64_t done, const char *const *text, int texts, const char *left) {
  char line[LONGEST];
  const int room = columns() - 1, length = fit(text, texts, left, room, line);
  int bar = room - length - 3;
  if (bar > WIDEST_BAR) bar = WIDEST_BAR;
  (void)fputs("\r", stderr);
  if (bar >= NARROWEST_BAR) put_bar(progress, done, bar);
  (void)fprintf(stderr, "%.*s\033[K", room > 0 ? room : 0, line);
  (void)fflush(stderr);
  progress->line_open = true;
}

bool cohort_progress_due(const cohort_progress *progress, int64_t done) {
  if (!progress->log->speaks || progress->log->quiet) return false;
  if (done == progress->total) return true;
  if (!progress->terminal && progress->total >= 10 && done % (progress->total / 10) == 0) return true;
  return cohort_clock_seconds() - progress->shown >= (progress->terminal ? 0.2 : 10);
}

void cohort_progress_show(cohort_progress *progress, int64_t done, const char *const *part, int parts) {
  const double now = cohort_clock_seconds();
  progress->shown = now;
  char left[32], count[64], line[LONGEST];
  const int64_t own = done - progress->first;
  format_left(own > 0 ? (now - progress->start) / (double)own * (double)(progress->total - done) : 0, left,
              sizeof left);
  (void)snprintf(count, sizeof count, "%s %lld/%lld", progress->unit, (long long)done, (long long)progress->total);
  const char *text[MOST_PARTS + 2] = {count};
  if (parts > MOST_PARTS) parts = MOST_PARTS;
  memcpy(text + 1, part, (size_t)parts * sizeof *part);
  if (progress->terminal) {
    draw(progress, done, text, parts + 1, left);
    return;
  }
  text[parts + 1] = left;
  (void)join(text, parts + 2, line);
  cohort_log_line(progress->log, "%s", line);
}

void cohort_progress_close(cohort_progress *progress) {
  cohort_log_end_line(progress->log);
  progress->log->line_open = NULL;
}
