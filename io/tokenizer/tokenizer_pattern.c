/* Searches with PCRE2's compiled code, or with memmem for a text. Bytes that are no UTF-8 are never part of a match. A
 * search that the compiled code gives up (its stack is full) is repeated by the interpreter. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/tokenizer/tokenizer_pattern.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_dialect.h"
#include "io/tokenizer/tokenizer_unicode.h"

const char cohort_pattern_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
#define RUST_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}"
const char cohort_pattern_words[] = "[" RUST_WORD "]+|[^" RUST_WORD "\\s]+";

struct cohort_pattern {
  pcre2_code *code; /* NULL: a text */
  bool compiled;    /* to machine code */
  char *text;
  size_t length;
};

struct cohort_pattern_scratch {
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
};

/* A text of a file inside a message: one line, not too long. */
static void quote(const char *source, char out[80]) {
  size_t n = 0;
  for (; n < 60 && source[n]; n++) out[n] = (unsigned char)source[n] < 32 ? ' ' : source[n];
  memcpy(out + n, source[n] ? "..." : "", source[n] ? 4 : 1);
}

cohort_status cohort_pattern_create(const char *name, const char *source, cohort_pattern **out, cohort_error *error) {
  char quoted[80];
  quote(source, quoted);
  cohort_text translated = {0};
  const char *unknown = cohort_dialect_translate(source, &translated);
  if (unknown) {
    cohort_text_release(&translated);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the expression %s has %s, which is not read here", name, quoted,
                       unknown);
  }
  int number = 0;
  size_t offset = 0;
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_code *code = pcre2_compile((PCRE2_SPTR)translated.text, translated.length,
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &number,
                                   &offset, context);
  pcre2_compile_context_free(context);
  cohort_text_release(&translated);
  if (!code) {
    PCRE2_UCHAR said[128] = {0};
    (void)pcre2_get_error_message(number, said, sizeof said);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: the expression %s is not read: %s", name, quoted,
                       (const char *)said);
  }
  *out = cohort_allocate(sizeof **out);
  (*out)->code = code;
  (*out)->compiled = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
  return COHORT_DONE;
}

cohort_pattern *cohort_pattern_literal(const char *text, size_t length) {
  cohort_pattern *pattern = cohort_allocate(sizeof *pattern);
  pattern->text = cohort_allocate(length + 1);
  memcpy(pattern->text, text, length);
  pattern->length = length;
  return pattern;
}

void cohort_pattern_destroy(cohort_pattern *pattern) {
  if (!pattern) return;
  pcre2_code_free(pattern->code);
  free(pattern->text);
  free(pattern);
}

cohort_pattern_scratch *cohort_pattern_scratch_create(void) {
  enum { FIRST_STACK = 32 << 10, LARGEST_STACK = 8 << 20, MOST_STEPS = 1000000 };
  cohort_pattern_scratch *scratch = cohort_allocate(sizeof *scratch);
  scratch->match = pcre2_match_data_create(1, NULL);
  scratch->context = pcre2_match_context_create(NULL);
  scratch->stack = pcre2_jit_stack_create(FIRST_STACK, LARGEST_STACK, NULL);
  pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
  (void)pcre2_set_match_limit(scratch->context, MOST_STEPS);
  return scratch;
}

void cohort_pattern_scratch_destroy(cohort_pattern_scratch *scratch) {
  if (!scratch) return;
  pcre2_match_data_free(scratch->match);
  pcre2_match_context_free(scratch->context);
  pcre2_jit_stack_free(scratch->stack);
  free(scratch);
}

cohort_pattern_search cohort_pattern_begin(const cohort_pattern *pattern, cohort_pattern_scratch *scratch,
                                           const char *text, size_t length) {
  return (cohort_pattern_search){
      .pattern = pattern, .scratch = scratch, .text = text, .length = length, .last_end = SIZE_MAX};
}

static bool next_text(cohort_pattern_search *search, size_t *start, size_t *end) {
  const cohort_pattern *pattern = search->pattern;
  if (!pattern->length || search->at >= search->length) return false;
  const char *found = memmem(search->text + search->at, search->length - search->at, pattern->text, pattern->length);
  if (!found) return false;
  *start = (size_t)(found - search->text);
  *end = search->at = *start + pattern->length;
  return true;
}

static bool match(cohort_pattern_search *search) {
  const cohort_pattern *pattern = search->pattern;
  cohort_pattern_scratch *scratch = search->scratch;
  int found = PCRE2_ERROR_JIT_STACKLIMIT;
  if (pattern->compiled)
    found = pcre2_jit_match(pattern->code, (PCRE2_SPTR)search->text, search->length, search->at, 0, scratch->match,
                            scratch->context);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT)
    found = pcre2_match(pattern->code, (PCRE2_SPTR)search->text, search->length, search->at, PCRE2_NO_JIT,
                        scratch->match, scratch->context);
  return found >= 0;
}

bool cohort_pattern_next(cohort_pattern_search *search, size_t *start, size_t *end) {
  if (!search->pattern->code) return next_text(search, start, end);
  const size_t *range = pcre2_get_ovector_pointer(search->scratch->match);
  while (search->at <= search->length && match(search)) {
    *start = range[0];
    *end = range[1];
    if (*start < *end || *start != search->last_end) {
      search->at = search->last_end = *end;
      return *start <= *end;
    }
    size_t bytes = 1;
    if (search->at < search->length)
      (void)cohort_utf8_read(search->text + search->at, search->length - search->at, &bytes);
    search->at += bytes;
  }
  search->at = search->length + 1;
  return false;
}
