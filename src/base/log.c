/* Lines for people: to the terminal, to the log's file, or both. Lines are flushed as they are written: they are few.
 */
#include "base/log.h"

#include <stdarg.h>
#include <string.h>

static void write_line(FILE *stream, const char *prefix, const char *format, va_list arguments) {
  fputs(prefix, stream);
  vfprintf(stream, format, arguments);
  fputc('\n', stream);
  fflush(stream);
}

void cohort_log_end_line(const cohort_log *log) {
  if (!log->line_open || !*log->line_open) return;
  fputc('\n', stderr);
  *log->line_open = false;
}

static void write_both(const cohort_log *log, bool terminal, const char *prefix, const char *format,
                       va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  if (terminal) cohort_log_end_line(log);
  if (terminal) write_line(stderr, prefix, format, arguments);
  if (log->file) write_line(log->file, prefix, format, again);
  va_end(again);
}

void cohort_log_line(const cohort_log *log, const char *format, ...) {
  if (!log || !log->speaks) return;
  va_list arguments;
  va_start(arguments, format);
  write_both(log, !log->quiet, "", format, arguments);
  va_end(arguments);
}

void cohort_log_warning(const cohort_log *log, const char *format, ...) {
  if (!log || !log->speaks) return;
  va_list arguments;
  va_start(arguments, format);
  write_both(log, true, "cohort: warning: ", format, arguments);
  va_end(arguments);
}

static void write_error(FILE *stream, const char *text) {
  for (const char *line = text; line;) {
    const char *end = strchr(line, '\n');
    const int length = end ? (int)(end - line) : (int)strlen(line);
    fprintf(stream, "cohort: error: %.*s\n", length, line);
    line = end ? end + 1 : NULL;
  }
  fflush(stream);
}

void cohort_log_error(const cohort_log *log, const cohort_error *error) {
  if (!log || !log->speaks) return;
  cohort_log_end_line(log);
  write_error(stderr, error->text);
  if (log->file) write_error(log->file, error->text);
}
