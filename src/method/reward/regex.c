/* 1 where a pattern is found in the completion, or in all of it. What a model writes may make a pattern slow: matching
 * is given up after so many steps, and then there is no match. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "method/reward/reward.h"

typedef struct regex_config {
  const char *pattern;
  bool whole;
  int64_t match_limit;
} regex_config;

static const cohort_parameter parameters[] = {
    COHORT_TEXT(regex_config, pattern, NULL, "regular expression in PCRE2's syntax; (?s) lets . be a line's end"),
    COHORT_BOOLEAN(regex_config, whole, "false", "it must be all of the completion"),
    COHORT_INTEGER_RANGE(regex_config, match_limit, "1000000", 1, 4e9,
                         "steps of matching, beyond which there is no match"),
    {.name = NULL},
};

static pcre2_code *compile(const regex_config *own, int *fault, size_t *where) {
  const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | (own->whole ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0);
  return pcre2_compile((PCRE2_SPTR)own->pattern, PCRE2_ZERO_TERMINATED, options, fault, where, NULL);
}

static cohort_status check(const void *config, cohort_error *error) {
  const regex_config *own = config;
  int fault = 0;
  size_t where = 0;
  pcre2_code *code = compile(own, &fault, &where);
  unsigned char said[128] = "";
  if (!code) (void)pcre2_get_error_message(fault, said, sizeof said);
  pcre2_code_free(code);
  if (code) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "pattern %s: %s at character %zu", own->pattern, (const char *)said,
                     where + 1);
}

static void *open(const void *config) {
  int fault;
  size_t where;
  return compile(config, &fault, &where);
}

static void close(void *opened) { pcre2_code_free(opened); }

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  pcre2_match_context *context = pcre2_match_context_create(NULL);
  pcre2_match_data *match = pcre2_match_data_create_from_pattern(opened, NULL);
  (void)given;
  (void)pcre2_set_match_limit(context, (uint32_t)((const regex_config *)config)->match_limit);
  for (int64_t i = 0; i < batch->completions; i++) {
    const cohort_reward_completion *completion = &batch->completion[i];
    reward[i] = pcre2_match(opened, (PCRE2_SPTR)completion->text, completion->bytes, 0, 0, match, context) >= 0 ? 1 : 0;
  }
  pcre2_match_data_free(match);
  pcre2_match_context_free(context);
}

static const cohort_reward functions = {.open = open, .close = close, .score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "1 for a completion in which a regular expression is found, else 0",
    .source =
        "folklore; TRL's think_format_reward is whole: false with (?sm)^<think>(?!.*<think>)(.*?)</think>.*$ "
        "anchored by \\A",
    .formula = "r = 1 if the pattern is found, else 0",
    .config_size = sizeof(regex_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
