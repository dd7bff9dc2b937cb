/* Batches by a sampler, and their account. Invariant: a batch is a function of (seed, step), and what has been spent
 * one of the steps and the config, so both are the same after a resume. A batch costs a draw a sample of the split; an
 * account is kept for one noise and rate, and costs a search over orders. */
#include "train/engine/sampled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/optimizer/optimizer.h"
#include "method/privacy/privacy.h"
#include "method/sampler/sampler.h"

enum { MOST_ROOMS = 4 };

struct cohort_sampled {
  cohort_sampled_options options;
  cohort_choice choice;
  const cohort_sampler *functions;
  cohort_sampler_round round;
  cohort_random_key key;
  int64_t *sample; /* [most] */
  int rooms;       /* taken in this draw */
  cohort_scratch room[MOST_ROOMS];
  double noise, bought, clip; /* the multiplier that is in force; of it the budget's; of the optimizer */
  cohort_privacy_room account;
};

/* By which an account may differ from itself: a budget that was bought for so many steps is not overspent by them. */
static const double slack = 1e-5;

static const cohort_private_settings *settings_of(const cohort_sampled *own) {
  return &own->options.settings->privacy_settings;
}

static void *take(const cohort_sampler_round *round, size_t bytes) {
  cohort_sampled *own = round->implementation;
  if (own->rooms == MOST_ROOMS) return NULL; /* a fault of the method: its tests end here */
  return memset(cohort_scratch_take(&own->room[own->rooms++], bytes + 1), 0, bytes);
}

static bool given(const cohort_document *section) { return !cohort_document_is_null(section); }

/* ---- the account ---- */

bool cohort_sampled_is_private(const cohort_sampled *own) { return own && given(own->options.settings->privacy); }

static double epsilon_of(void *argument, const cohort_privacy_use *use) {
  cohort_sampled *own = argument;
  return settings_of(own)->accountant == COHORT_ACCOUNTANT_PLD
             ? cohort_pld_epsilon(&cohort_law_gaussian, use, &own->account)
             : cohort_rdp_epsilon(&cohort_law_gaussian, use, &own->account);
}

static cohort_privacy_use use_of(const cohort_sampled *own, int64_t steps) {
  return (cohort_privacy_use){.noise = own->noise,
                              .rate = (double)own->round.wanted / (double)own->round.clients,
                              .steps = steps,
                              .delta = settings_of(own)->delta};
}

double cohort_sampled_noise(const cohort_sampled *own) { return own ? own->bought : 0; }

double cohort_sampled_epsilon(cohort_sampled *own, int64_t steps) {
  const cohort_privacy_use use = use_of(own, steps);
  return steps < 1 ? 0 : epsilon_of(own, &use);
}

int64_t cohort_sampled_limit(cohort_sampled *own) {
  if (!cohort_sampled_is_private(own) || !given(settings_of(own)->budget)) return INT64_MAX;
  const double most = settings_of(own)->budget_settings.epsilon * (1 + slack);
  int64_t low = 0, high = own->options.settings->steps; /* affordable; perhaps not */
  if (cohort_sampled_epsilon(own, high) <= most) return INT64_MAX;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (cohort_sampled_epsilon(own, middle) <= most)
      low = middle;
    else
      high = middle;
  }
  return low;
}

char *cohort_sampled_text(cohort_sampled *own, int64_t steps) {
  if (!cohort_sampled_is_private(own)) return NULL;
  return cohort_format_text(
      "every sample: noise %.6g x clip %g, epsilon %.6g at delta %g after %lld steps; who knows the seed can take the "
      "noise away",
      own->noise, own->clip, cohort_sampled_epsilon(own, steps), settings_of(own)->delta, (long long)steps);
}

/* The optimizer that is hidden: its gradient of a step is one sum of clipped gradients with noise. */
static void read_optimizer(cohort_sampled *own, cohort_faults *faults) {
  const cohort_settings *settings = own->options.settings;
  cohort_choice choice = {0};
  cohort_choice_read(own->options.variant, "optimizer", settings->optimizer, "optimizer", &choice, NULL, faults);
  if (!choice.method) return;
  const cohort_optimizer *functions = choice.method->functions;
  if (functions->wants & COHORT_WANTS_CLIPPED) {
    own->noise = cohort_choice_real(&choice, "noise", 0);
    own->clip = cohort_choice_real(&choice, "clip", 0);
  } else {
    cohort_faults_add(faults, settings->sampler,
                      "sampler: batches that differ in size serve an optimizer that takes every sample's gradient by "
                      "itself; take optimizer: {dpsgd: {}}, or remove sampler");
  }
  cohort_choice_release(&choice);
}

static void buy_noise(cohort_sampled *own, cohort_faults *faults) {
  const cohort_private_settings *settings = settings_of(own);
  if (!cohort_sampled_is_private(own)) return;
  if (strcmp(own->choice.method->key, "poisson") != 0)
    cohort_faults_add(faults, own->options.settings->privacy,
                      "privacy: epsilon counts on Poisson sampling; set sampler: poisson");
  if (given(settings->budget) && own->noise <= 0) {
    const cohort_privacy_use use = use_of(own, settings->budget_settings.steps);
    own->noise = own->bought = cohort_privacy_solve(epsilon_of, own, settings->budget_settings.epsilon, &use);
  }
  if (own->noise <= 0)
    cohort_faults_add(faults, own->options.settings->privacy,
                      "privacy: the optimizer adds no noise; give its noise, or a budget that buys it");
  else if (given(settings->budget) && !(cohort_sampled_limit(own) >= 1))
    cohort_faults_add(faults, own->options.settings->privacy,
                      "privacy.budget: the first step costs more than epsilon %g; give more noise, or a larger budget",
                      settings->budget_settings.epsilon);
}

/* ---- making ---- */

static cohort_status build(cohort_sampled *own, cohort_faults *faults, cohort_error *error) {
  const cohort_settings *settings = own->options.settings;
  const int64_t samples = own->options.samples;
  cohort_choice_expand(own->options.variant, "sampler", settings->sampler, "sampler", &own->choice,
                       own->options.expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  const cohort_sampler *functions = own->functions = own->choice.method->functions;
  if (functions->shares || functions->asks || functions->timed || functions->waits || functions->numbers)
    cohort_faults_add(faults, settings->sampler,
                      "sampler: %s is about clients of a federation; take poisson or uniform", own->choice.method->key);
  if (settings->batch > samples)
    cohort_faults_add(faults, settings->sampler, "sampler: a batch of %lld is more than the %lld samples; lower batch",
                      (long long)settings->batch, (long long)samples);
  own->key = cohort_random_key_derive_name(cohort_random_key_from_seed((uint64_t)settings->seed), "sampled");
  own->round =
      (cohort_sampler_round){.clients = samples, .wanted = settings->batch, .memory = take, .implementation = own};
  read_optimizer(own, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  buy_noise(own, faults);
  const int64_t most = functions->most(own->choice.config, samples, settings->batch);
  own->sample = cohort_allocate((size_t)(most + 1) * sizeof *own->sample);
  return cohort_faults_status(faults, error);
}

cohort_status cohort_sampled_create(const cohort_sampled_options *options, cohort_faults *faults, cohort_sampled **out,
                                    cohort_error *error) {
  *out = NULL;
  if (!given(options->settings->sampler)) {
    if (given(options->settings->privacy))
      cohort_faults_add(faults, options->settings->privacy,
                        "privacy: epsilon counts on Poisson sampling; set sampler: poisson");
    return cohort_faults_status(faults, error);
  }
  cohort_sampled *own = cohort_allocate(sizeof *own);
  own->options = *options;
  const cohort_status status = build(own, faults, error);
  if (status != COHORT_DONE) {
    cohort_sampled_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_sampled_destroy(cohort_sampled *own) {
  if (!own) return;
  for (int r = 0; r < MOST_ROOMS; r++) cohort_scratch_release(&own->room[r]);
  cohort_privacy_room_release(&own->account);
  cohort_choice_release(&own->choice);
  free(own->sample);
  free(own);
}

int64_t cohort_sampled_draw(cohort_sampled *own, int64_t step, const int64_t **sample) {
  own->rooms = 0;
  own->round.number = step;
  own->round.key = cohort_random_key_derive(own->key, (uint64_t)step);
  *sample = own->sample;
  return own->functions->choose(own->choice.config, &own->round, own->sample, NULL);
}
