/* UTF-8, character classes, normal forms and GPT-2's alphabet of bytes, as tokenizers need them. */
#ifndef COHORT_IO_TOKENIZER_UNICODE_H
#define COHORT_IO_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Adds a character as UTF-8. */
void cohort_text_add_code(cohort_text *text, int32_t code);

/* The character at text[0, length), length at least 1, and its bytes; -1 and 1 for a byte that is no UTF-8. */
int32_t cohort_utf8_read(const char *text, size_t length, size_t *bytes);
/* The same for the last character. */
int32_t cohort_utf8_read_last(const char *text, size_t length, size_t *bytes);

/* Classes of characters; -1 (no character) is in none. */
typedef enum {
  COHORT_CLASS_SPACE,       /* White_Space */
  COHORT_CLASS_NUMBER,      /* Nd, Nl, No */
  COHORT_CLASS_PUNCTUATION, /* P, and all of ASCII's */
  COHORT_CLASS_WORD,        /* Rust's \w: letters, marks, Nd, Pc, joiners */
  COHORT_CLASS_CODE,        /* one given character */
} cohort_character_class;
bool cohort_character_in(cohort_character_class class, int32_t given, int32_t code);

typedef enum { COHORT_FORM_NFC, COHORT_FORM_NFD, COHORT_FORM_NFKC, COHORT_FORM_NFKD } cohort_normal_form;
/* Appends the normal form of a text; what is no UTF-8 stays. */
void cohort_normalise(cohort_normal_form form, const char *text, size_t length, cohort_text *out);
/* Appends the text in lower case, character by character. */
void cohort_lower(const char *text, size_t length, cohort_text *out);

/* GPT-2's alphabet: a printable character for each byte. Appends the characters of bytes. */
void cohort_alphabet_write(const char *bytes, size_t length, cohort_text *out);
/* The byte of one of its characters, or -1. */
int cohort_alphabet_byte(int32_t code);
/* Appends the bytes of a text of the alphabet; false, and nothing appended, when it has other characters. */
bool cohort_alphabet_read(const char *text, size_t length, cohort_text *out);

#endif
