#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

cohort_status cohort_fail(cohort_error *error, cohort_status status, const char *format, ...) {
  if (!error) return status;
  /* Formatted aside first: an argument may be the error's own text. */
  char text[sizeof error->text];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  error->status = status;
  memcpy(error->text, text, strlen(text) + 1);
  return status;
}

cohort_status cohort_fail_within(cohort_error *error, cohort_status status, const char *format, ...) {
  if (!error) return status;
  char prefix[sizeof error->text], text[sizeof error->text];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(prefix, sizeof prefix, format, arguments);
  va_end(arguments);
  size_t length = strlen(prefix);
  const size_t old = strlen(error->text);
  memcpy(text, prefix, length + 1);
  if (length + 2 < sizeof text) {
    const size_t room = sizeof text - length - 3;
    memcpy(text + length, ": ", 2);
    memcpy(text + length + 2, error->text, old < room ? old : room);
    length += 2 + (old < room ? old : room);
    text[length] = '\0';
  }
  error->status = status;
  memcpy(error->text, text, strlen(text) + 1);
  return status;
}
