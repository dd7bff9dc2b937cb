/* Characters, through utf8proc. A normal form touches only the stretches of a text that are not plain: a character
 * below the form's threshold begins anew, so what is before it never changes by what follows. Linear in the text. */
#include "io/tokenizer/tokenizer_unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"

void cohort_text_add_code(cohort_text *text, int32_t code) {
  unsigned char bytes[4];
  cohort_text_put_bytes(text, (const char *)bytes, (size_t)utf8proc_encode_char(code, bytes));
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

/* Where `tokenizers` has older tables than utf8proc (its 0.23.3 against utf8proc 2.8.0, asked for every character):
 * those that a normal form would touch and that to it are plain (newer than Unicode 9), and those that to it are no
 * punctuation. */
static const int32_t newer_forms[][2] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785},
    {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};
static const int32_t newer_punctuation[][2] = {
    {0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},     {0xC84, 0xC84},
    {0x166D, 0x166D},   {0x1B7D, 0x1B7E},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},   {0x10EAD, 0x10EAD},
    {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x111C9, 0x111C9}, {0x1144B, 0x1144F}, {0x1145A, 0x1145B},
    {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1183B, 0x1183B}, {0x11944, 0x11946},
    {0x119E2, 0x119E2}, {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09},
    {0x11C41, 0x11C45}, {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF},
    {0x12FF1, 0x12FF2}, {0x16E97, 0x16E9A}, {0x16FE2, 0x16FE2}, {0x1E95E, 0x1E95F}};

static bool is_listed(const int32_t (*range)[2], size_t count, int32_t code) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (range[middle][1] < code)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && range[low][0] <= code;
}

static bool is_newer(int32_t code) { return is_listed(newer_forms, sizeof newer_forms / sizeof *newer_forms, code); }

static bool is_punctuation(int32_t code) {
  if (code < 128)
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  const utf8proc_category_t category = utf8proc_category(code);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO &&
         !is_listed(newer_punctuation, sizeof newer_punctuation / sizeof *newer_punctuation, code);
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
static void normalise_stretch(cohort_normal_form form, const char *text, size_t length, cohort_text *out) {
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
    cohort_text_put_bytes(out, (const char *)made, (size_t)bytes);
  else
    cohort_text_put_bytes(out, text, length);
  free(made);
}

/* Whether a form may change the character, or a composition take it as its second. */
static bool is_touched(cohort_normal_form form, int32_t code) {
  return code >= (form == COHORT_FORM_NFC ? 0x300 : 0x80) && !is_newer(code);
}

void cohort_normalise(cohort_normal_form form, const char *text, size_t length, cohort_text *out) {
  size_t plain = 0, last = 0, bytes = 0; /* plain: what is not yet copied; last: where the character before `at` is */
  for (size_t at = 0; at < length; at += bytes) {
    const int32_t code = cohort_utf8_read(text + at, length - at, &bytes);
    if (!is_touched(form, code)) {
      last = code < 0 || is_newer(code) ? at + bytes : at;
      continue;
    }
    size_t end = at;
    while (end < length && is_touched(form, cohort_utf8_read(text + end, length - end, &bytes))) end += bytes;
    cohort_text_put_bytes(out, text + plain, last - plain);
    normalise_stretch(form, text + last, end - last, out);
    plain = last = end;
    at = end;
    bytes = 0;
  }
  cohort_text_put_bytes(out, text + plain, length - plain);
}

void cohort_lower(const char *text, size_t length, cohort_text *out) {
  size_t bytes = 0;
  for (size_t at = 0; at < length; at += bytes) {
    const int32_t code = cohort_utf8_read(text + at, length - at, &bytes);
    if (code < 0)
      cohort_text_put_bytes(out, text + at, 1);
    else if (code == 0x130) /* the one character with two in lower case */
      cohort_text_put_bytes(out, "i\xCC\x87", 3);
    else
      cohort_text_add_code(out, utf8proc_tolower(code));
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

void cohort_alphabet_write(const char *bytes, size_t length, cohort_text *out) {
  for (size_t i = 0; i < length; i++) cohort_text_add_code(out, alphabet_code((unsigned char)bytes[i]));
}

int cohort_alphabet_byte(int32_t code) {
  if (code < 0) return -1;
  if (code < 0x100) return is_printable(code) ? code : -1;
  if (code <= 0x100 + 32) return code - 0x100;
  if (code <= 0x100 + 66) return code - 0x100 - 33 + 127;
  return code == 0x100 + 67 ? 173 : -1;
}

bool cohort_alphabet_read(const char *text, size_t length, cohort_text *out) {
  const size_t before = out->length;
  size_t bytes = 0;
  for (size_t at = 0; at < length; at += bytes) {
    const int byte = cohort_alphabet_byte(cohort_utf8_read(text + at, length - at, &bytes));
    if (byte < 0) {
      out->length = before;
      return false;
    }
    const char made = (char)byte;
    cohort_text_put_bytes(out, &made, 1);
  }
  return true;
}
