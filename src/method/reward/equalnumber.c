/* 1 where the number that a completion ends with is that of a column. Of a completion with \boxed{...} the last box is
 * read alone. One pass over the text. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/reward/reward.h"

typedef struct equalnumber_config {
  const char *column;
  double tolerance;
} equalnumber_config;

static const cohort_parameter parameters[] = {
    COHORT_TEXT(equalnumber_config, column, "answer", "column of the data whose last number is the right one"),
    COHORT_REAL_ATLEAST(equalnumber_config, tolerance, "0", 0, "largest difference that is still equal"),
    {.name = NULL},
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Behind the whole part that begins at `at`: digits, or groups of three behind commas. */
static size_t whole_part(const char *text, size_t at, size_t end) {
  while (at < end && is_digit(text[at])) at++;
  while (at + 3 < end && text[at] == ',' && is_digit(text[at + 1]) && is_digit(text[at + 2]) &&
         is_digit(text[at + 3]) && !(at + 4 < end && is_digit(text[at + 4])))
    at += 4;
  return at;
}

/* The number that begins at text[*at], a digit or a point before one; *at goes behind it. The sign is that before it,
 * unless that is a subtraction's. */
static double read_number(const char *text, size_t begin, size_t *at, size_t end) {
  enum { DIGITS = 400 };
  char plain[DIGITS + 1];
  size_t count = 0, i = *at;
  const size_t first = *at, behind = whole_part(text, i, end);
  for (; i < behind; i++)
    if (text[i] != ',' && count < DIGITS) plain[count++] = text[i];
  if (i + 1 < end && text[i] == '.' && is_digit(text[i + 1])) {
    if (count < DIGITS) plain[count++] = '.';
    for (i++; i < end && is_digit(text[i]); i++)
      if (count < DIGITS) plain[count++] = text[i];
  }
  plain[count] = '\0';
  *at = i;
  const bool minus = first > begin && text[first - 1] == '-';
  const bool subtraction = minus && first > begin + 1 && (isalnum((unsigned char)text[first - 2]) != 0);
  return minus && !subtraction ? -strtod(plain, NULL) : strtod(plain, NULL);
}

/* The last number of text[begin, end); false: there is none. */
static bool last_number(const char *text, size_t begin, size_t end, double *out) {
  bool found = false;
  for (size_t i = begin; i < end;) {
    if (is_digit(text[i]) || (text[i] == '.' && i + 1 < end && is_digit(text[i + 1]))) {
      *out = read_number(text, begin, &i, end);
      found = true;
    } else {
      i++;
    }
  }
  return found;
}

/* What the last \boxed{...} holds; all of the text when there is none, or when it is not closed. */
static void find_box(const char *text, size_t bytes, size_t *begin, size_t *end) {
  static const char mark[] = "\\boxed{";
  const size_t length = sizeof mark - 1;
  *begin = 0;
  *end = bytes;
  for (size_t i = 0; i + length <= bytes; i++) {
    if (memcmp(text + i, mark, length) != 0) continue;
    int depth = 1;
    size_t at = i + length;
    for (; at < bytes && depth > 0; at++) depth += (text[at] == '{') - (text[at] == '}');
    if (depth > 0) return;
    *begin = i + length;
    *end = at - 1;
  }
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const equalnumber_config *own = config;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++) {
    const char *text = batch->completion[i].text, *right = cohort_reward_value(batch, i, own->column);
    double said = 0, wanted = 0;
    size_t begin, end;
    find_box(text, batch->completion[i].bytes, &begin, &end);
    reward[i] = right && last_number(text, begin, end, &said) && last_number(right, 0, strlen(right), &wanted) &&
                fabs(said - wanted) <= own->tolerance;
  }
}

static const char *column(const void *config, int index) {
  return index == 0 ? ((const equalnumber_config *)config)->column : NULL;
}

static const cohort_reward functions = {.column = column, .score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "1 where the completion's last number, or that of its last \\boxed{}, is the data's, else 0",
    .source =
        "folklore: the exact match of GSM8K's answers (Cobbe et al., Training Verifiers to Solve Math Word "
        "Problems, 2021)",
    .formula = "r = 1 if |last number of the completion - last number of the column| <= tolerance, else 0",
    .config_size = sizeof(equalnumber_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
