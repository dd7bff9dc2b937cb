/* A template, to be copied: it pulls the arm with the largest mean reward, after each was pulled once. A round costs
 * the number of arms. */
#include <string.h>

#include "method/bandit/bandit.h"

typedef struct template_config {
  double start;
} template_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ANY(template_config, start, "1", "score of an arm that was never pulled"),
    {.name = NULL},
};

/* Of every arm its pulls and the sum of its rewards. */
static int64_t state_size(cohort_bandit_size size) { return 2 * size.arms; }

static void begin(const void *config, cohort_bandit_size size, double *state) {
  (void)config;
  memset(state, 0, (size_t)state_size(size) * sizeof *state);
}

static void score(const void *config, cohort_bandit_size size, const double *context, double *state, double *out) {
  const template_config *own = config;
  (void)context;
  for (int64_t arm = 0; arm < size.arms; arm++)
    out[arm] = state[2 * arm] > 0 ? state[2 * arm + 1] / state[2 * arm] : own->start;
}

static void learn(const void *config, cohort_bandit_size size, const double *context, int64_t arm, double reward,
                  double *state) {
  (void)config, (void)size, (void)context;
  state[2 * arm] += 1;
  state[2 * arm + 1] += reward;
}

static const cohort_bandit functions = {.state = state_size, .begin = begin, .score = score, .learn = learn};

static const cohort_method method = {
    .family = "bandit",
    .key = COHORT_FILE_KEY,
    .summary = "the arm of the largest mean reward",
    .source = "folklore",
    .formula = "score = mean reward of the arm; start before its first",
    .config_size = sizeof(template_config),
    .parameters = parameters,
    .functions = &functions,
};

#define METHODS_(file) cohort_bandit_##file
#define METHODS(file) METHODS_(file)
const cohort_method *const METHODS(COHORT_FILE)[] = {&method, NULL};
