/* Task bandit: a method of the family bandit on a synthetic linear problem. There is no model: a step is a block of
 * repeats, each a problem of its own played from the first round to the last. Invariant: a repeat is a function of
 * (seed, its number) alone. Costs repeats x rounds of a method's round, on any thread of any rank.
 *
 * Arm a has coefficients theta_a, standard normal over the square root of their number. A round shows x: its first
 * feature is 1, the others are standard normal. Arm a gives theta_a'x plus normal noise. The regret of a round is what
 * the best arm would have given, without noise, less what the chosen one does. */
#include "method/bandit/bandit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/task.h"

typedef struct bandit_settings {
  const cohort_document *learner;
  int64_t arms, features, rounds;
  double noise;
} bandit_settings;

const cohort_parameter cohort_task_bandit_keys[] = {
    COHORT_METHOD_OF(bandit_settings, learner, "linucb", "bandit", "who pulls the arms"),
    COHORT_INTEGER_RANGE(bandit_settings, arms, "10", 2, 4096, "arms of the problem", .unit = "arms"),
    COHORT_INTEGER_RANGE(bandit_settings, features, "5", 1, 256, "numbers of a context; the first is 1",
                         .unit = "features"),
    COHORT_INTEGER_RANGE(bandit_settings, rounds, "1000", 2, 1e9, "rounds of a repeat", .unit = "rounds"),
    COHORT_REAL_ATLEAST(bandit_settings, noise, "0.1", 0, "standard deviation of the noise of a reward"),
    {.name = NULL},
};

typedef struct bandit_data {
  cohort_choice learner;
} bandit_data;

/* Sums over repeats behind the columns. */
enum { REGRET, SQUARE, HALF, METRICS };

static void close_task(cohort_task *task) {
  bandit_data *own = task->own;
  cohort_choice_release(&own->learner);
  free(own);
}

static cohort_status open_task(cohort_task *task, const cohort_log *log, cohort_faults *faults, cohort_error *error) {
  static const char *const names[METRICS] = {"bandit/regret", "bandit/regret_deviation", "bandit/regret_half"};
  const bandit_settings *settings = task->settings->task_settings;
  bandit_data *own = cohort_allocate(sizeof *own);
  (void)log;
  task->own = own;
  cohort_document *keys = cohort_document_get(cohort_document_get(task->settings->expanded, "task"), "bandit");
  cohort_choice_expand(COHORT_VARIANT_F64, "bandit", settings->learner, "learner", &own->learner, keys, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  task->samples[COHORT_SPLIT_TRAIN] = task->settings->batch; /* an epoch is a step: no data are gone through */
  for (int m = 0; m < METRICS; m++) task->metric[task->metrics++] = names[m];
  return COHORT_DONE;
}

/* A repeat under way. */
typedef struct bandit_repeat {
  const bandit_settings *settings;
  const cohort_bandit *functions;
  const void *config;
  cohort_bandit_size size;
  cohort_random_key theta_key, context_key, noise_key;
  double *theta, *context, *score, *state;
} bandit_repeat;

/* What an arm gives without noise. */
static double mean_of(const bandit_repeat *own, int64_t arm) {
  const double *theta = own->theta + arm * own->size.features;
  double mean = 0;
  for (int64_t f = 0; f < own->size.features; f++) mean += theta[f] * own->context[f];
  return mean;
}

/* Plays a round; returns its regret. */
static double play(const bandit_repeat *own, int64_t round) {
  const int64_t features = own->size.features;
  own->context[0] = 1;
  for (int64_t f = 1; f < features; f++)
    own->context[f] = cohort_random_normal_at(own->context_key, (uint64_t)round, (uint64_t)f);
  own->functions->score(own->config, own->size, own->context, own->state, own->score);
  const int64_t arm = cohort_bandit_choose(own->size.arms, own->score);
  const double mean = mean_of(own, arm);
  const double noise = cohort_random_normal_at(own->noise_key, 0, (uint64_t)round);
  double best = mean;
  for (int64_t a = 0; a < own->size.arms; a++) best = fmax(best, mean_of(own, a));
  own->functions->learn(own->config, own->size, own->context, arm, mean + own->settings->noise * noise, own->state);
  return best - mean;
}

static void item(const cohort_task *task, int64_t position, double *sums) {
  const bandit_data *data = task->own;
  const bandit_settings *settings = task->settings->task_settings;
  const cohort_random_key key = cohort_random_key_derive(
      cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)task->settings->seed), "bandit"),
      (uint64_t)position);
  bandit_repeat own = {.settings = settings,
                       .functions = data->learner.method->functions,
                       .config = data->learner.config,
                       .size = {settings->arms, settings->features},
                       .theta_key = cohort_random_key_derive_name(key, "theta"),
                       .context_key = cohort_random_key_derive_name(key, "context"),
                       .noise_key = cohort_random_key_derive_name(key, "noise")};
  const int64_t coefficients = settings->arms * settings->features;
  const int64_t numbers = coefficients + settings->features + settings->arms + own.functions->state(own.size);
  own.theta = cohort_allocate((size_t)numbers * sizeof *own.theta);
  own.context = own.theta + coefficients;
  own.score = own.context + settings->features;
  own.state = own.score + settings->arms;
  for (int64_t i = 0; i < coefficients; i++)
    own.theta[i] = cohort_random_normal_at(own.theta_key, 0, (uint64_t)i) / sqrt((double)settings->features);
  own.functions->begin(own.config, own.size, own.state);
  double regret = 0, half = 0;
  for (int64_t round = 0; round < settings->rounds; round++) {
    regret += play(&own, round);
    if (round + 1 == settings->rounds / 2) half = regret;
  }
  free(own.theta);
  sums[0] += regret / (double)settings->rounds;
  sums[1 + REGRET] += regret;
  sums[1 + SQUARE] += regret * regret;
  sums[1 + HALF] += half;
}

static int64_t count(const cohort_task *task, cohort_split split, int64_t samples) {
  (void)task, (void)split;
  return samples;
}

static void derive(const cohort_task *task, cohort_split split, int64_t repeats, const double *sums, double loss,
                   double *columns) {
  (void)task, (void)split, (void)loss;
  const double n = (double)repeats, mean = sums[REGRET] / n;
  columns[REGRET] = mean;
  columns[SQUARE] = repeats > 1 ? sqrt(fmax(sums[SQUARE] - n * mean * mean, 0) / (n - 1)) : 0;
  columns[HALF] = sums[HALF] / n;
}

const cohort_task_functions cohort_task_bandit = {.name = "bandit",
                                                  .noun = "repeats",
                                                  .settings_size = sizeof(bandit_settings),
                                                  .open = open_task,
                                                  .close = close_task,
                                                  .item = item,
                                                  .count = count,
                                                  .derive = derive};
