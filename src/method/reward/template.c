/* A template, to be copied: the share of the completion's bytes that are a given letter. One pass over the text. */
#include "method/reward/reward.h"

typedef struct template_config {
  const char *letter;
} template_config;

static const cohort_parameter parameters[] = {
    COHORT_TEXT(template_config, letter, "e", "whose share it is; of a longer text the first byte"),
    {.name = NULL},
};

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const template_config *own = config;
  (void)opened, (void)given;
  for (int64_t i = 0; i < batch->completions; i++) {
    const cohort_reward_completion *completion = &batch->completion[i];
    size_t found = 0;
    for (size_t b = 0; b < completion->bytes; b++) found += completion->text[b] == own->letter[0];
    reward[i] = completion->bytes ? (double)found / (double)completion->bytes : 0;
  }
}

static const cohort_reward functions = {.score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "the share of a letter",
    .source = "folklore",
    .formula = "r = bytes that are the letter / bytes; 0 of an empty completion",
    .config_size = sizeof(template_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
