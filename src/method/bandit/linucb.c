/* LinUCB with a model of its own for every arm: ridge regression and a bound on its error. Each arm keeps the inverse
 * of its matrix, brought up to date by a rank-one formula. A round costs arms x features^2. */
#include <math.h>
#include <string.h>

#include "method/bandit/bandit.h"

typedef struct linucb_config {
  double alpha, ridge;
} linucb_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ATLEAST(linucb_config, alpha, "1", 0, "width of the bound: standard deviations of the estimate",
                        .sweep_low = 0.1, .sweep_high = 10, .sweep_log = true),
    COHORT_REAL_ABOVE(linucb_config, ridge, "1", 0, "weight of the squared coefficients in the regression"),
    {.name = NULL},
};

/* An arm: inverse [d, d], the sum of reward times context [d], coefficients [d]; behind all arms, scratch [d]. */
static int64_t numbers(int64_t d) { return d * d + 2 * d; }
static int64_t state_size(cohort_bandit_size size) { return size.arms * numbers(size.features) + size.features; }

static void begin(const void *config, cohort_bandit_size size, double *state) {
  const linucb_config *own = config;
  const int64_t d = size.features;
  memset(state, 0, (size_t)state_size(size) * sizeof *state);
  for (int64_t arm = 0; arm < size.arms; arm++)
    for (int64_t i = 0; i < d; i++) state[arm * numbers(d) + i * d + i] = 1 / own->ridge;
}

/* out = matrix x; returns x'out. */
static double product(int64_t d, const double *matrix, const double *x, double *out) {
  double form = 0;
  for (int64_t i = 0; i < d; i++) {
    double sum = 0;
    for (int64_t j = 0; j < d; j++) sum += matrix[i * d + j] * x[j];
    out[i] = sum;
    form += x[i] * sum;
  }
  return form;
}

static void score(const void *config, cohort_bandit_size size, const double *context, double *state, double *out) {
  const linucb_config *own = config;
  const int64_t d = size.features;
  double *scratch = state + size.arms * numbers(d);
  for (int64_t arm = 0; arm < size.arms; arm++) {
    const double *inverse = state + arm * numbers(d), *coefficients = inverse + d * d + d;
    double mean = 0;
    for (int64_t i = 0; i < d; i++) mean += coefficients[i] * context[i];
    out[arm] = mean + own->alpha * sqrt(fmax(product(d, inverse, context, scratch), 0));
  }
}

static void learn(const void *config, cohort_bandit_size size, const double *context, int64_t arm, double reward,
                  double *state) {
  (void)config;
  const int64_t d = size.features;
  double *inverse = state + arm * numbers(d), *sum = inverse + d * d, *coefficients = sum + d;
  double *scratch = state + size.arms * numbers(d);
  const double scale = 1 / (1 + product(d, inverse, context, scratch));
  for (int64_t i = 0; i < d; i++) {
    for (int64_t j = 0; j < d; j++) inverse[i * d + j] -= scale * scratch[i] * scratch[j];
    sum[i] += reward * context[i];
  }
  (void)product(d, inverse, sum, coefficients);
}

static const cohort_bandit functions = {.state = state_size, .begin = begin, .score = score, .learn = learn};

static const cohort_method linucb = {
    .family = "bandit",
    .key = "linucb",
    .summary = "ridge regression of every arm's reward on the context, and an upper confidence bound",
    .title = "A Contextual-Bandit Approach to Personalized News Article Recommendation",
    .source =
        "Li et al., A Contextual-Bandit Approach to Personalized News Article Recommendation, WWW 2010, "
        "algorithm 1 (disjoint linear models)",
    .formula =
        "A_a = ridge I + sum of x x', b_a = sum of r x over the rounds of arm a; score = x' A_a^-1 b_a + alpha "
        "sqrt(x' A_a^-1 x)",
    .config_size = sizeof(linucb_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_bandit_linucb[] = {&linucb, NULL};
