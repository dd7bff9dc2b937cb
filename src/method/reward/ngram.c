/* A penalty for n-grams of tokens that stand more than once. Sorts a completion's n-grams by their first places: n
 * log(n) comparisons. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/reward/reward.h"

typedef struct ngram_config {
  int64_t n;
  double penalty;
} ngram_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(ngram_config, n, "3", 1, 1000, "tokens of an n-gram", .unit = "tokens"),
    COHORT_REAL_RANGE(ngram_config, penalty, "-1", -INFINITY, true, 0, false, "reward where all n-grams are one"),
    {.name = NULL},
};

typedef struct ngrams {
  const int32_t *token;
  int64_t n;
} ngrams;

static int compare(const void *a, const void *b, void *argument) {
  const ngrams *own = argument;
  return memcmp(own->token + *(const int64_t *)a, own->token + *(const int64_t *)b, (size_t)own->n * sizeof(int32_t));
}

/* The share of n-grams that stand there already. */
static double repeated(const cohort_reward_completion *completion, int64_t n) {
  const int64_t count = completion->tokens - n + 1;
  ngrams own = {completion->token, n};
  if (count <= 0) return 0;
  int64_t *place = cohort_allocate((size_t)count * sizeof *place), unique = 1;
  for (int64_t i = 0; i < count; i++) place[i] = i;
  qsort_r(place, (size_t)count, sizeof *place, compare, &own);
  for (int64_t i = 1; i < count; i++) unique += compare(&place[i - 1], &place[i], &own) != 0;
  free(place);
  return 1 - (double)unique / (double)count;
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const ngram_config *own = config;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++) {
    const double share = repeated(&batch->completion[i], own->n);
    reward[i] = share > 0 ? share * own->penalty : 0;
  }
}

static const cohort_reward functions = {.score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "a penalty for repeated n-grams of tokens",
    .title = "Demystifying Long Chain-of-Thought Reasoning in LLMs",
    .source = "Yeo et al., Demystifying Long Chain-of-Thought Reasoning in LLMs, 2025, appendix C.2, as in TRL",
    .formula = "r = penalty (1 - different n-grams / n-grams)",
    .config_size = sizeof(ngram_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
