/* Characters, through utf8proc. A normal form touches only the stretches of a text that are not plain: a character
 * below the form's threshold begins anew, so what is before it never changes by what follows. Linear in the text. */
#include "io/tokenizer/tokenizer_unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

static void make_room(cohort_text_buffer *buffer, size_t more) {
  if (buffer->length + more + 1 <= buffer->room) return;
  size_t room = buffer->room ? buffer->room : 64;
  while (room < buffer->length + more + 1) room *= 2;
  buffer->text = cohort_reallocate(buffer->text, room);
  buffer->room = room;
}

void cohort_text_buffer_add(cohort_text_buffer *buffer, const char *text, size_t length) {
  make_room(buffer, length);
  if (length) memcpy(buffer->text + buffer->length, text, length);
  buffer->length += length;
  buffer->text[buffer->length] = '\0';
}

void cohort_text_buffer_add_code(cohort_text_buffer *buffer, int32_t code) {
  make_room(buffer, 4);
  buffer->length += (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)buffer->text + buffer->length);
  buffer->text[buffer->length] = '\0';
}

void cohort_text_buffer_release(cohort_text_buffer *buffer) {
  free(buffer->text);
  memset(buffer, 0, sizeof *buffer);
}

int32_t cohort_utf8_read(const char *text, size_t length, size_t *bytes) {
  const unsigned char first = (unsigned char)text[0];
  *bytes = 1;
  if (first < 0x80) return first;
  const size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || more >= length) return -1;
  int32_t code = first & (0x3F >> more);
  for (size_t i = 1; i <= more; i++) {
    const unsigned char next = (unsigned char)text[i];
    if ((next & 0xC0) != 0x80) return -1;
    code = code << 6 | (next & 0x3F);
  }
  static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
  if (code < least[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return -1;
  *bytes = more + 1;
  return code;
}

int32_t cohort_utf8_read_last(const char *text, size_t length, size_t *bytes) {
  for (size_t back = 1; back <= 4 && back <= length; back++) {
    if (((unsigned char)text[length - back] & 0xC0) == 0x80) continue;
    const int32_t code = cohort_utf8_read(text + length - back, back, bytes);
    if (*bytes == back) return code;
    break;
  }
  *bytes = 1;
  return -1;
}

static bool is_space(int32_t code) {
  return (code >= 9 && code <= 13) || code == 32 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

static bool is_punctuation(int32_t code) {
  if (code < 128)
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  const utf8proc_category_t category = utf8proc_category(code);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* Other_Alphabetic beside letters, marks and Nl: circled and squared letters. */
static bool is_word(int32_t code) {
  const utf8proc_category_t category = utf8proc_category(code);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC ||
         code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
         (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
         (code >= 0x1F170 && code <= 0x1F189);
}

bool cohort_character_in(cohort_character_class class, int32_t given, int32_t code) {
  if (code < 0) return false;
  switch (class) {
    case COHORT_CLASS_SPACE:
      return is_space(code);
    case COHORT_CLASS_NUMBER:
      if (code < 128) return code >= '0' && code <= '9';
      return utf8proc_category(code) >= UTF8PROC_CATEGORY_ND && utf8proc_category(code) <= UTF8PROC_CATEGORY_NO;
    case COHORT_CLASS_PUNCTUATION:
      return is_punctuation(code);
    case COHORT_CLASS_WORD:
      return is_word(code);
    case COHORT_CLASS_CODE:
      return code == given;
  }
  return false;
}

/* Of a stretch that is UTF-8. */
static void normalise_stretch(cohort_normal_form form, const char *text, size_t length, cohort_text_buffer *out) {
  static const int options[] = {
      [COHORT_FORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
      [COHORT_FORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
      [COHORT_FORM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
      [COHORT_FORM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
  };
  utf8proc_uint8_t *made = NULL;
  const utf8proc_ssize_t bytes =
      utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &made, (utf8proc_option_t)options[form]);
  if (bytes >= 0)
    cohort_text_buffer_add(out, (const char *)made, (size_t)bytes);
  else
    cohort_text_buffer_add(out, text, length);
  free(made);
}

void cohort_normalise(cohort_normal_form form, const char *text, size_t length, cohort_text_buffer *out) {
  /* Below the threshold a character is its own form and never the second of a composition. */
  const int32_t threshold = form == COHORT_FORM_NFC ? 0x300 : 0x80;
  size_t plain = 0, last = 0, bytes = 0; /* plain: what is not yet copied; last: the character before `at` */
  for (size_t at = 0; at < length; at += bytes) {
    const int32_t code = cohort_utf8_read(text + at, length - at, &bytes);
    if (code < threshold) {
      last = code < 0 ? at + 1 : at;
      continue;
    }
    size_t end = at;
    while (end < length && cohort_utf8_read(text + end, length - end, &bytes) >= threshold) end += bytes;
    cohort_text_buffer_add(out, text + plain, last - plain);
    normalise_stretch(form, text + last, end - last, out);
    plain = last = end;
    at = end;
    bytes = 0;
  }
  cohort_text_buffer_add(out, text + plain, length - plain);
}

void cohort_lower(const char *text, size_t length, cohort_text_buffer *out) {
  size_t bytes = 0;
  for (size_t at = 0; at < length; at += bytes) {
    const int32_t code = cohort_utf8_read(text + at, length - at, &bytes);
    if (code < 0)
      cohort_text_buffer_add(out, text + at, 1);
    else if (code == 0x130) /* the one character with two in lower case */
      cohort_text_buffer_add(out, "i\xCC\x87", 3);
    else
      cohort_text_buffer_add_code(out, utf8proc_tolower(code));
  }
}

/* Printable bytes stand for themselves; the n-th of the others is U+0100 + n. */
static bool is_printable(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

static int32_t alphabet_code(int byte) {
  if (is_printable(byte)) return byte;
  return byte <= 32 ? 0x100 + byte : byte <= 160 ? 0x100 + 33 + byte - 127 : 0x100 + 67;
}

void cohort_alphabet_write(const char *bytes, size_t length, cohort_text_buffer *out) {
  for (size_t i = 0; i < length; i++) cohort_text_buffer_add_code(out, alphabet_code((unsigned char)bytes[i]));
}

int cohort_alphabet_byte(int32_t code) {
  if (code < 0) return -1;
  if (code < 0x100) return is_printable(code) ? code : -1;
  if (code <= 0x100 + 32) return code - 0x100;
  if (code <= 0x100 + 66) return code - 0x100 - 33 + 127;
  return code == 0x100 + 67 ? 173 : -1;
}

bool cohort_alphabet_read(const char *text, size_t length, cohort_text_buffer *out) {
  const size_t before = out->length;
  size_t bytes = 0;
  for (size_t at = 0; at < length; at += bytes) {
    const int byte = cohort_alphabet_byte(cohort_utf8_read(text + at, length - at, &bytes));
    if (byte < 0) {
      out->length = before;
      return false;
    }
    const char made = (char)byte;
    cohort_text_buffer_add(out, &made, 1);
  }
  return true;
}
