/* What several rewards say together: their mean, the worst, or the mean less their variance. Linear in the rewards. */
#include "method/reward/reward.h"

typedef struct ensemble_config {
  const cohort_document *of;
  double lambda; /* of uwo alone, as the next */
  bool unbiased;
} ensemble_config;

#define OF                                                                                                    \
  {                                                                                                           \
    .name = "of", .type = COHORT_PARAMETER_TREE, .offset = offsetof(ensemble_config, of), .family = "reward", \
    .meaning = "the rewards of the ensemble: a list, as [{rm: runs/a}, {rm: runs/b}]"                         \
  }

static const cohort_parameter parameters[] = {OF, {.name = NULL}};
static const cohort_parameter weighted_parameters[] = {
    OF,
    COHORT_REAL_ATLEAST(ensemble_config, lambda, "0.5", 0, "weight of the variance", .sweep_low = 0.01,
                        .sweep_high = 10, .sweep_log = true),
    COHORT_BOOLEAN(ensemble_config, unbiased, "false", "the variance is divided by one less than their number"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const ensemble_config *own = config;
  if (own->of->kind == COHORT_LIST && own->of->count > 0) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "of is no list of rewards; write [{rm: RUN}, ...]");
}

static const cohort_document *parts(const void *config) { return ((const ensemble_config *)config)->of; }

static double mean_of(size_t parts, const double *const *given, int64_t i) {
  double sum = 0;
  for (size_t p = 0; p < parts; p++) sum += given[p][i];
  return sum / (double)parts;
}

static void score_mean(const void *config, const void *opened, const cohort_reward_batch *batch,
                       const double *const *given, double *reward) {
  (void)opened;
  for (int64_t i = 0; i < batch->completions; i++) reward[i] = mean_of(parts(config)->count, given, i);
}

static void score_worst(const void *config, const void *opened, const cohort_reward_batch *batch,
                        const double *const *given, double *reward) {
  (void)opened;
  for (int64_t i = 0; i < batch->completions; i++) {
    reward[i] = given[0][i];
    for (size_t p = 1; p < parts(config)->count; p++)
      if (given[p][i] < reward[i]) reward[i] = given[p][i];
  }
}

static void score_weighted(const void *config, const void *opened, const cohort_reward_batch *batch,
                           const double *const *given, double *reward) {
  const ensemble_config *own = config;
  const size_t count = own->of->count, divisor = count - (own->unbiased && count > 1);
  (void)opened;
  for (int64_t i = 0; i < batch->completions; i++) {
    const double mean = mean_of(count, given, i);
    double squares = 0;
    for (size_t p = 0; p < count; p++) squares += (given[p][i] - mean) * (given[p][i] - mean);
    reward[i] = mean - own->lambda * squares / (double)divisor;
  }
}

#define TITLE "Reward Model Ensembles Help Mitigate Overoptimization"
#define SOURCE \
  "Coste, Anwar, Kirk and Krueger, Reward Model Ensembles Help Mitigate Overoptimization, ICLR 2024, section 3"

static const cohort_reward mean_functions = {.parts = parts, .score = score_mean};
static const cohort_reward worst_functions = {.parts = parts, .score = score_worst};
static const cohort_reward weighted_functions = {.parts = parts, .score = score_weighted};

static const cohort_method mean = {
    .family = "reward",
    .key = "mean",
    .summary = "the mean of an ensemble's rewards",
    .title = TITLE,
    .source = SOURCE,
    .formula = "r = mean of r_k",
    .config_size = sizeof(ensemble_config),
    .parameters = parameters,
    .check = check,
    .functions = &mean_functions,
};

static const cohort_method worst = {
    .family = "reward",
    .key = "wco",
    .summary = "worst-case optimization: the least of an ensemble's rewards",
    .title = TITLE,
    .source = SOURCE,
    .formula = "r = min of r_k",
    .config_size = sizeof(ensemble_config),
    .parameters = parameters,
    .check = check,
    .functions = &worst_functions,
};

static const cohort_method weighted = {
    .family = "reward",
    .key = "uwo",
    .summary = "uncertainty-weighted optimization: the mean of an ensemble's rewards less their variance",
    .title = TITLE,
    .source = SOURCE "; their code for ppo has the unbiased variance",
    .formula = "r = mean of r_k - lambda sum (r_k - mean)^2 / K",
    .config_size = sizeof(ensemble_config),
    .parameters = weighted_parameters,
    .check = check,
    .functions = &weighted_functions,
};

COHORT_METHOD_FILE(reward, COHORT_FILE) = {&mean, &worst, &weighted, NULL};
