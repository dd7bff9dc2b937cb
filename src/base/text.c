/* Text in a buffer that doubles. Invariant: it is NUL-ended after every call. A call costs its own text, and now and
 * then a copy of all. */
#include "base/text.h"

#include <stdio.h>

#include "base/memory.h"

static void reserve(cohort_text *text, size_t more) {
  if (text->length + more + 1 <= text->capacity) return;
  size_t capacity = text->capacity ? text->capacity : 4096;
  while (capacity < text->length + more + 1) capacity *= 2;
  text->text = cohort_reallocate(text->text, capacity);
  text->capacity = capacity;
}

void cohort_text_put_list(cohort_text *text, const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  reserve(text, 0);
  const size_t left = text->capacity - text->length;
  const int needed = vsnprintf(text->text + text->length, left, format, arguments);
  if (needed > 0 && (size_t)needed >= left) {
    reserve(text, (size_t)needed);
    (void)vsnprintf(text->text + text->length, (size_t)needed + 1, format, again);
  }
  if (needed > 0) text->length += (size_t)needed;
  va_end(again);
}

void cohort_text_put(cohort_text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  cohort_text_put_list(text, format, arguments);
  va_end(arguments);
}
