/* What mechanisms have in common: their settings, and what a run asks of them (train/engine/privacy.h). */
#ifndef COHORT_METHOD_PRIVACY_MECHANISM_H
#define COHORT_METHOD_PRIVACY_MECHANISM_H

#include "method/privacy/privacy.h"

typedef struct cohort_privacy_budget {
  double epsilon, delta;
  int64_t rounds;
} cohort_privacy_budget;

/* Andrew, Thakkar, McMahan and Ramaswamy, NeurIPS 2021. */
typedef struct cohort_privacy_adaptive {
  double quantile, learning_rate, count_noise;
} cohort_privacy_adaptive;

/* A mechanism's config begins with it. */
typedef struct cohort_privacy_settings {
  double clip, noise, delta;
  int accountant; /* of the mechanism's own list */
  int64_t noise_cohort, noise_population;
  bool per_layer, local;
  const cohort_document *budget, *adaptive; /* NULL or null: none */
  cohort_privacy_budget budget_settings;
  cohort_privacy_adaptive adaptive_settings;
} cohort_privacy_settings;

extern const cohort_parameter cohort_privacy_budget_table[], cohort_privacy_adaptive_table[];

/* Rows of a mechanism whose config's first member is `common`. */
/* clang-format off */
#define COHORT_PRIVACY_FIELD(config, field, kind) .name = #field, .type = (kind), .offset = offsetof(config, common.field)
#define COHORT_PRIVACY_PARAMETERS(config, accountant_default, accountants)                                             \
  {COHORT_PRIVACY_FIELD(config, clip, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .minimum_open = true,     \
   .maximum = INFINITY, .maximum_open = true, .sweep_low = 1e-2, .sweep_high = 10, .sweep_log = true,                  \
   .meaning = "largest norm of a client's change; a longer one is shortened to it"},                                   \
  {COHORT_PRIVACY_FIELD(config, noise, COHORT_PARAMETER_REAL), .standard = "0", .minimum = 0, .maximum = INFINITY,     \
   .maximum_open = true, .sweep_low = 0.1, .sweep_high = 10, .sweep_log = true,                                        \
   .meaning = "multiplier: scale of the noise on the sum of changes, in units of clip; 0: what the budget asks for, "  \
              "or without one none, and nothing is private"},                                                          \
  {COHORT_PRIVACY_FIELD(config, delta, COHORT_PARAMETER_REAL), .standard = "1e-5", .minimum = 0, .minimum_open = true, \
   .maximum = 1, .maximum_open = true, .meaning = "with which epsilon may fail"},                                      \
  {COHORT_PRIVACY_FIELD(config, accountant, COHORT_PARAMETER_CHOICE), .standard = accountant_default,                  \
   .choices = accountants, .meaning = "what counts epsilon; all but zcdp need Poisson sampling"},                      \
  {.name = "budget", .type = COHORT_PARAMETER_SECTION, .offset = offsetof(config, common.budget), .standard = "null",  \
   .section = cohort_privacy_budget_table, .section_offset = offsetof(config, common.budget_settings),                 \
   .meaning = "what may be spent: it sets the noise, and ends the run"},                                               \
  {COHORT_PRIVACY_FIELD(config, noise_cohort, COHORT_PARAMETER_INTEGER), .standard = "0", .minimum = 0,                \
   .maximum = 1e12, .unit = "clients", .meaning = "noise and epsilon are those of as many clients a round, to see "    \
   "what a larger federation would learn; 0: the run's own"},                                                          \
  {COHORT_PRIVACY_FIELD(config, noise_population, COHORT_PARAMETER_INTEGER), .standard = "0", .minimum = 0,            \
   .maximum = 1e12, .unit = "clients", .meaning = "of as many in all, with noise_cohort; 0: the run's own"},           \
  {COHORT_PRIVACY_FIELD(config, per_layer, COHORT_PARAMETER_BOOLEAN), .standard = "false",                             \
   .meaning = "clip every tensor of a change by itself, to an equal part of the bound"},                               \
  {COHORT_PRIVACY_FIELD(config, local, COHORT_PARAMETER_BOOLEAN), .standard = "false",                                 \
   .meaning = "every client adds the noise itself, so that the server need not be trusted"}
/* clang-format on */

#endif
