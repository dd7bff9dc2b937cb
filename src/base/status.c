/* An error's text. It is made where the fault is found and only passed up from there. */
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
