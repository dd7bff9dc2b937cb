/* What a reward model says: the run scores the prompt and the completion with the model of another run. */
#include "method/reward/reward.h"

typedef struct rm_config {
  const char *from;
  double scale, shift;
} rm_config;

static const cohort_parameter parameters[] = {
    COHORT_TEXT(rm_config, from, NULL, "a run of the loss rm, or a checkpoint of one"),
    COHORT_REAL_ABOVE(rm_config, scale, "1", 0, "factor on its score"),
    COHORT_REAL_ANY(rm_config, shift, "0", "taken from its score first"),
    {.name = NULL},
};

static cohort_reward_question question(const void *config) {
  return (cohort_reward_question){.asks = COHORT_REWARD_ASKS_MODEL, .what = ((const rm_config *)config)->from};
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  const rm_config *own = config;
  (void)opened;
  for (int64_t i = 0; i < batch->completions; i++) reward[i] = own->scale * (given[0][i] - own->shift);
}

static const cohort_reward functions = {.question = question, .score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "the score of a reward model that another run has trained",
    .title = "Training language models to follow instructions with human feedback",
    .source =
        "Ouyang et al., Training language models to follow instructions with human feedback, 2022, section 3.5; "
        "shift is their normalisation to a mean of 0",
    .formula = "r = scale (score of prompt and completion - shift)",
    .config_size = sizeof(rm_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
