/* Text in a buffer that doubles. Invariant: it is NUL-ended after every call. A call costs its own text, and now and
 * then a copy of all. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static void reserve(cohort_text *text, size_t more) {
  if (text->length + more + 1 <= text->capacity) return;
  size_t capacity = text->capacity ? text->capacity : 256;
  while (capacity < text->length + more + 1) capacity *= 2;
  text->text = cohort_reallocate(text->text, capacity);
  text->capacity = capacity;
}

void cohort_text_put_bytes(cohort_text *text, const char *bytes, size_t length) {
  reserve(text, length);
  if (length) memcpy(text->text + text->length, bytes, length);
  text->length += length;
  text->text[text->length] = '\0';
}

void cohort_text_release(cohort_text *text) {
  free(text->text);
  *text = (cohort_text){.text = NULL};
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

/* Bytes of the UTF-8 character that begins here; 0: none does. */
static size_t character(const unsigned char *at, size_t left) {
  const size_t length = at[0] < 0x80   ? 1
                        : at[0] < 0xC2 ? 0
                        : at[0] < 0xE0 ? 2
                        : at[0] < 0xF0 ? 3
                        : at[0] < 0xF5 ? 4
                                       : 0;
  if (length == 0 || length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  if (at[0] == 0xE0 && at[1] < 0xA0) return 0;  /* longer than it need be */
  if (at[0] == 0xED && at[1] >= 0xA0) return 0; /* half of a pair of UTF-16 */
  if (at[0] == 0xF0 && at[1] < 0x90) return 0;
  if (at[0] == 0xF4 && at[1] >= 0x90) return 0;
  return length;
}

void cohort_text_put_json(cohort_text *text, const char *bytes, size_t length) {
  const unsigned char *at = (const unsigned char *)bytes;
  cohort_text_put(text, "\"");
  for (size_t i = 0; i < length;) {
    const size_t wide = character(at + i, length - i);
    if (wide == 0)
      cohort_text_put(text, "\\ufffd");
    else if (at[i] == '"' || at[i] == '\\')
      cohort_text_put(text, "\\%c", at[i]);
    else if (at[i] == '\n')
      cohort_text_put(text, "\\n");
    else if (at[i] < 0x20 || at[i] == 0x7F)
      cohort_text_put(text, "\\u%04x", at[i]);
    else
      cohort_text_put(text, "%.*s", (int)wide, bytes + i);
    i += wide ? wide : 1;
  }
  cohort_text_put(text, "\"");
}
