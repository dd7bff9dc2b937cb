/* What a program of the user's says: one process, which reads a line of JSON for every completion and writes a line
 * with its reward. */
#include "method/reward/reward.h"

typedef struct command_config {
  const char *line;
  double timeout;
} command_config;

static const cohort_parameter parameters[] = {
    COHORT_TEXT(command_config, line, NULL,
                "command line for sh; it runs only where the config was named on the command line"),
    COHORT_REAL_ABOVE(command_config, timeout, "60", 0, "longest wait for the rewards of a batch", .unit = "seconds"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  if (*((const command_config *)config)->line) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "line is empty; give a command");
}

static cohort_reward_question question(const void *config) {
  const command_config *own = config;
  return (cohort_reward_question){.asks = COHORT_REWARD_ASKS_COMMAND, .what = own->line, .timeout = own->timeout};
}

static void score(const void *config, const void *opened, const cohort_reward_batch *batch, const double *const *given,
                  double *reward) {
  (void)config, (void)opened;
  for (int64_t i = 0; i < batch->completions; i++) reward[i] = given[0][i];
}

static const cohort_reward functions = {.question = question, .score = score};

static const cohort_method method = {
    .family = "reward",
    .key = COHORT_FILE_KEY,
    .summary = "what an external program says of prompt and completion, over JSON lines",
    .source = "folklore",
    .formula = "r = the number that the program writes for the completion",
    .config_size = sizeof(command_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&method, NULL};
