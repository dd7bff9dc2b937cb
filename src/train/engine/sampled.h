/* Batches that a sampler draws, each from all samples of the training split, instead of epochs in a shuffled order; and
 * what steps on them cost in privacy, where every sample comes by itself with the same probability and its gradient is
 * clipped and hidden by noise (the optimizer dpsgd): DP-SGD with the account that its theorem is about.
 *
 * A batch is a function of (seed, step), the same on every rank. How many samples it has differs from step to step and
 * may be none: sums are divided by the mean number, `batch`.
 *
 * Intended usage:
 *   cohort_sampled_create(&options, &faults, &sampled, &error);
 *   count = cohort_sampled_draw(sampled, step, &sample);    each step
 *   cohort_sampled_epsilon(sampled, step + 1); cohort_sampled_limit(sampled);    where privacy is wanted
 *   cohort_sampled_destroy(sampled); */
#ifndef COHORT_TRAIN_ENGINE_SAMPLED_H
#define COHORT_TRAIN_ENGINE_SAMPLED_H

#include "train/run/settings.h"

typedef struct cohort_sampled cohort_sampled;

typedef struct cohort_sampled_options {
  const cohort_settings *settings; /* stays the caller's */
  cohort_document *expanded;       /* of the config; may be NULL */
  cohort_variant variant;
  int64_t samples; /* of the training split */
} cohort_sampled_options;

/* *out is NULL where the config has no sampler. What cannot hold is added to `faults`. */
cohort_status cohort_sampled_create(const cohort_sampled_options *options, cohort_faults *faults, cohort_sampled **out,
                                    cohort_error *error);
void cohort_sampled_destroy(cohort_sampled *sampled); /* NULL is fine */

/* The samples of a step's batch, valid until the next draw; returns how many. */
int64_t cohort_sampled_draw(cohort_sampled *sampled, int64_t step, const int64_t **sample);

/* ---- privacy: NULL, or a config without the section, has none ---- */

bool cohort_sampled_is_private(const cohort_sampled *sampled);
/* The multiplier of the noise that the budget has bought; 0: the optimizer's own. */
double cohort_sampled_noise(const cohort_sampled *sampled);
/* What so many steps cost. */
double cohort_sampled_epsilon(cohort_sampled *sampled, int64_t steps);
/* The steps after which nothing is left of the budget; INT64_MAX: there is none, or it lasts. */
int64_t cohort_sampled_limit(cohort_sampled *sampled);
/* A line about what is promised after so many steps; owned by the caller. */
char *cohort_sampled_text(cohort_sampled *sampled, int64_t steps);

#endif
