/* UCB1: the mean reward of an arm and a bound that shrinks with its pulls; contexts are not looked at. A round costs
 * the number of arms. */
#include <math.h>
#include <string.h>

#include "method/bandit/bandit.h"

typedef struct ucb1_config {
  double alpha;
} ucb1_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ATLEAST(ucb1_config, alpha, "1", 0, "factor on the bound", .sweep_low = 0.05, .sweep_high = 4,
                        .sweep_log = true),
    {.name = NULL},
};

/* All pulls; then of every arm its pulls and the sum of its rewards. */
static int64_t state_size(cohort_bandit_size size) { return 1 + 2 * size.arms; }

static void begin(const void *config, cohort_bandit_size size, double *state) {
  (void)config;
  memset(state, 0, (size_t)state_size(size) * sizeof *state);
}

/* An arm that was never pulled comes first. */
static void score(const void *config, cohort_bandit_size size, const double *context, double *state, double *out) {
  static const double before_all = 1e30;
  const ucb1_config *own = config;
  (void)context;
  for (int64_t arm = 0; arm < size.arms; arm++) {
    const double pulls = state[1 + 2 * arm], sum = state[2 + 2 * arm];
    out[arm] = pulls > 0 ? sum / pulls + own->alpha * sqrt(2 * log(state[0]) / pulls) : before_all;
  }
}

static void learn(const void *config, cohort_bandit_size size, const double *context, int64_t arm, double reward,
                  double *state) {
  (void)config, (void)size, (void)context;
  state[0] += 1;
  state[1 + 2 * arm] += 1;
  state[2 + 2 * arm] += reward;
}

static const cohort_bandit functions = {.state = state_size, .begin = begin, .score = score, .learn = learn};

static const cohort_method ucb1 = {
    .family = "bandit",
    .key = "ucb1",
    .summary = "the mean reward of an arm and an upper confidence bound by its pulls",
    .title = "Finite-time Analysis of the Multiarmed Bandit Problem",
    .source =
        "Auer, Cesa-Bianchi and Fischer, Finite-time Analysis of the Multiarmed Bandit Problem, Machine Learning "
        "47, 2002, figure 1; alpha 1 is the paper's",
    .formula = "score = mean of arm a + alpha sqrt(2 log(pulls of all) / pulls of a); an arm without pulls comes first",
    .config_size = sizeof(ucb1_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_bandit_ucb1[] = {&ucb1, NULL};
