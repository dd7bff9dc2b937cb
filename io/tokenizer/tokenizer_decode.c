/* Decoders at work: a list of tokens' texts goes through the steps one after another. Linear in the text, a step at a
 * time. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer/tokenizer_steps.h"

/* Texts that a step makes: places in a buffer that may still move. */
typedef struct text_list {
  cohort_text text;
  size_t *end; /* [count] */
  int64_t count, room;
} text_list;

static void end_text(text_list *list) {
  if (list->count == list->room) {
    list->room = list->room ? 2 * list->room : 64;
    list->end = cohort_reallocate(list->end, (size_t)list->room * sizeof *list->end);
  }
  list->end[list->count++] = list->text.length;
}

static void replace_matches(const cohort_text_step *step, cohort_pattern_scratch *scratch, cohort_token_text token,
                            cohort_text *out) {
  cohort_pattern_search search = cohort_pattern_begin(step->pattern, scratch, token.text, token.length);
  size_t start = 0, end = 0, told = 0;
  while (token.length && cohort_pattern_next(&search, &start, &end)) {
    cohort_text_put_bytes(out, token.text + told, start - told);
    cohort_text_put_bytes(out, step->text, step->length);
    told = end;
  }
  cohort_text_put_bytes(out, token.text + told, token.length - told);
}

/* `from` by `to` everywhere. */
static void replace_text(cohort_token_text token, const char *from, size_t from_length, const char *to,
                         cohort_text *out) {
  size_t told = 0;
  for (const char *found; from_length && told < token.length &&
                          (found = memmem(token.text + told, token.length - told, from, from_length));) {
    cohort_text_put_bytes(out, token.text + told, (size_t)(found - token.text) - told);
    cohort_text_put_bytes(out, to, strlen(to));
    told = (size_t)(found - token.text) + from_length;
  }
  cohort_text_put_bytes(out, token.text + told, token.length - told);
}

static cohort_token_text strip(const cohort_text_step *step, cohort_token_text token) {
  for (size_t i = 0; i < step->start && token.length >= step->length; i++) {
    if (memcmp(token.text, step->text, step->length) != 0) break;
    token.text += step->length;
    token.length -= step->length;
  }
  for (size_t i = 0; i < step->stop && token.length >= step->length; i++) {
    if (memcmp(token.text + token.length - step->length, step->text, step->length) != 0) break;
    token.length -= step->length;
  }
  return token;
}

/* The byte that <0x0A> stands for, or -1. */
static int named_byte(cohort_token_text token) {
  if (token.length != 6 || memcmp(token.text, "<0x", 3) != 0 || token.text[5] != '>') return -1;
  int byte = 0;
  for (size_t i = 3; i < 5; i++) {
    const char c = token.text[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    byte = 16 * byte + digit;
  }
  return byte;
}

static void decode_token(const cohort_text_step *step, cohort_pattern_scratch *scratch, cohort_token_text token,
                         bool first, bool last, cohort_text *out) {
  switch (step->kind) {
    case COHORT_STEP_REPLACE:
      replace_matches(step, scratch, token, out);
      return;
    case COHORT_STEP_METASPACE:
      replace_text(token, step->text, step->length, first && step->scheme != COHORT_PREPEND_NEVER ? "" : " ", out);
      return;
    case COHORT_STEP_SUFFIX:
      replace_text(token, step->text, step->length, last ? "" : " ", out);
      return;
    case COHORT_STEP_STRIP:
      token = strip(step, token);
      break;
    case COHORT_STEP_ALPHABET:
      if (cohort_alphabet_read(token.text, token.length, out)) return;
      break;
    case COHORT_STEP_BYTE_FALLBACK: {
      const int byte = named_byte(token);
      const char made = (char)byte;
      if (byte < 0) break;
      cohort_text_put_bytes(out, &made, 1);
      return;
    }
    default:
      break;
  }
  cohort_text_put_bytes(out, token.text, token.length);
}

/* Whether the token's text stays open: fused, joined to bytes, or all bytes of one text. */
static bool goes_on(const cohort_text_step *step, const cohort_token_text *token, bool last) {
  if (last) return false;
  if (step->kind == COHORT_STEP_FUSE || step->kind == COHORT_STEP_ALPHABET) return true;
  return step->kind == COHORT_STEP_BYTE_FALLBACK && named_byte(token[0]) >= 0 && named_byte(token[1]) >= 0;
}

static void decode_step(const cohort_text_step *step, cohort_pattern_scratch *scratch, const cohort_token_text *token,
                        int64_t count, text_list *out) {
  out->text.length = 0;
  out->count = 0;
  cohort_text_put_bytes(&out->text, "", 0);
  for (int64_t i = 0; i < count; i++) {
    decode_token(step, scratch, token[i], i == 0, i + 1 == count, &out->text);
    if (!goes_on(step, token + i, i + 1 == count)) end_text(out);
  }
}

void cohort_steps_decode(const cohort_step_list *list, cohort_pattern_scratch *scratch, const cohort_token_text *token,
                         int64_t count, cohort_text *out) {
  text_list made[2] = {0};
  cohort_token_text *now = cohort_allocate((size_t)(count + 1) * sizeof *now);
  if (count) memcpy(now, token, (size_t)count * sizeof *now);
  for (int i = 0; i < list->count; i++) {
    text_list *to = &made[i % 2];
    decode_step(&list->step[i], scratch, now, count, to);
    count = to->count;
    for (int64_t n = 0; n < count; n++) {
      const size_t start = n ? to->end[n - 1] : 0;
      now[n] = (cohort_token_text){to->text.text + start, to->end[n] - start};
    }
  }
  for (int64_t n = 0; n < count; n++) {
    if (n && !list->count) cohort_text_put_bytes(out, " ", 1);
    cohort_text_put_bytes(out, now[n].text, now[n].length);
  }
  for (int i = 0; i < 2; i++) {
    cohort_text_release(&made[i].text);
    free(made[i].end);
  }
  free(now);
}
