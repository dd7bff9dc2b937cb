/* Text that grows, and JSON over it: commas, indentation and escapes. */
#ifndef COHORT_METHOD_WRITER_H
#define COHORT_METHOD_WRITER_H

#include <stdbool.h>

#include "base/text.h"

enum { COHORT_WRITER_DEPTH = 32 };

typedef struct cohort_writer {
  cohort_text out; /* its text is the caller's to free() */
  int depth;
  bool filled[COHORT_WRITER_DEPTH]; /* whether the level already has an entry */
} cohort_writer;

void cohort_writer_put(cohort_writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* JSON: `name` is the key inside an object and NULL inside an array and for the root. */
void cohort_writer_open(cohort_writer *writer, const char *name, char bracket);      /* '{' or '[' */
void cohort_writer_close(cohort_writer *writer, char bracket);                       /* '}' or ']' */
void cohort_writer_text(cohort_writer *writer, const char *name, const char *value); /* NULL: null */
void cohort_writer_real(cohort_writer *writer, const char *name, double value);      /* not finite: null */
void cohort_writer_boolean(cohort_writer *writer, const char *name, bool value);
void cohort_writer_null(cohort_writer *writer, const char *name);

#endif
