/* JSON into a text that grows. Commas, quotes and indentation are kept here, so what is written is always
 * well formed. */
#include "method/writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void cohort_writer_put(cohort_writer *writer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  cohort_text_put_list(&writer->out, format, arguments);
  va_end(arguments);
}

static void put_quoted(cohort_writer *writer, const char *text) {
  cohort_writer_put(writer, "\"");
  for (const char *c = text; *c; c++) {
    if (*c == '"' || *c == '\\')
      cohort_writer_put(writer, "\\%c", *c);
    else if ((unsigned char)*c < 0x20)
      cohort_writer_put(writer, "\\u%04x", (unsigned)*c);
    else
      cohort_writer_put(writer, "%c", *c);
  }
  cohort_writer_put(writer, "\"");
}

/* Comma, new line, indentation and key of the next entry. */
static void begin_entry(cohort_writer *writer, const char *name) {
  if (writer->depth > 0) {
    cohort_writer_put(writer, writer->filled[writer->depth] ? ",\n%*s" : "\n%*s", 2 * writer->depth, "");
    writer->filled[writer->depth] = true;
  }
  if (!name) return;
  put_quoted(writer, name);
  cohort_writer_put(writer, ": ");
}

void cohort_writer_open(cohort_writer *writer, const char *name, char bracket) {
  begin_entry(writer, name);
  cohort_writer_put(writer, "%c", bracket);
  if (writer->depth + 1 >= COHORT_WRITER_DEPTH) abort();
  writer->filled[++writer->depth] = false;
}

void cohort_writer_close(cohort_writer *writer, char bracket) {
  const bool filled = writer->filled[writer->depth--];
  if (filled) cohort_writer_put(writer, "\n%*s", 2 * writer->depth, "");
  cohort_writer_put(writer, writer->depth ? "%c" : "%c\n", bracket);
}

void cohort_writer_text(cohort_writer *writer, const char *name, const char *value) {
  begin_entry(writer, name);
  if (value)
    put_quoted(writer, value);
  else
    cohort_writer_put(writer, "null");
}

void cohort_writer_real(cohort_writer *writer, const char *name, double value) {
  begin_entry(writer, name);
  if (!isfinite(value)) {
    cohort_writer_put(writer, "null");
    return;
  }
  char text[40];
  if (value == trunc(value) && fabs(value) < 1e15) { /* 10, never 1e+01, which readers take for a fraction */
    cohort_writer_put(writer, "%.0f", value);
    return;
  }
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  cohort_writer_put(writer, "%s", text);
}

void cohort_writer_boolean(cohort_writer *writer, const char *name, bool value) {
  begin_entry(writer, name);
  cohort_writer_put(writer, value ? "true" : "false");
}

void cohort_writer_null(cohort_writer *writer, const char *name) {
  begin_entry(writer, name);
  cohort_writer_put(writer, "null");
}
