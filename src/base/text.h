/* Text that grows as it is written. */
#ifndef COHORT_BASE_TEXT_H
#define COHORT_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

typedef struct cohort_text {
  char *text; /* NUL-ended; owned: free() it; NULL while empty */
  size_t length, capacity;
} cohort_text;

/* Bytes as they are; none: it becomes "" where it was NULL. */
void cohort_text_put_bytes(cohort_text *text, const char *bytes, size_t length);
void cohort_text_release(cohort_text *text); /* it is empty again */
void cohort_text_put(cohort_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cohort_text_put_list(cohort_text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* A JSON string of these bytes, in quotes; what is no UTF-8 becomes U+FFFD, a byte at a time. */
void cohort_text_put_json(cohort_text *text, const char *bytes, size_t length);

#endif
