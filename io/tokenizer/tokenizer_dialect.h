/* Regular expressions from Oniguruma's Ruby syntax, with Unicode's classes, into PCRE2's. */
#ifndef COHORT_IO_TOKENIZER_DIALECT_H
#define COHORT_IO_TOKENIZER_DIALECT_H

#include "io/tokenizer/tokenizer_unicode.h"

/* Appends the same expression for PCRE2 (UTF, UCP, newline LF). Returns NULL, or what has no equal there. */
const char *cohort_dialect_translate(const char *source, cohort_text *out);

#endif
