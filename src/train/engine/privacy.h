/* Privacy of rounds: a mechanism (method/privacy) as a module of them (train/engine/round.h). Every client's change is
 * shortened to the bound, noise is added, by each client or once to the joined change, and what is spent is told.
 *
 * The guarantee is about one client, there or not: changes weigh the same and their sum is divided by the clients that
 * take part on average, not by those that do. Where epsilon counts on sampling, every client takes part independently
 * of all others (Poisson); another sampler is refused. Noise is a function of (seed, "privacy", round, element): who
 * knows the seed can take it away.
 *
 * Intended usage:
 *   cohort_private_rounds_open(run, population, &faults, &module, &error);    of a run, or
 *   cohort_private_rounds_create(&options, &faults, &module, &error);    then module.release(module.argument)
 *   cohort_private_rounds_share(&module)     weight of every change
 *   cohort_private_rounds_limit(&module)     rounds after which the budget is spent */
#ifndef COHORT_TRAIN_ENGINE_PRIVACY_H
#define COHORT_TRAIN_ENGINE_PRIVACY_H

#include "train/engine/federated.h"

typedef struct cohort_private_rounds_options {
  cohort_comm *comm;
  const cohort_choice *mechanism;   /* copied; its documents stay the caller's */
  const cohort_federated *strategy; /* NULL: the clients' average */
  const cohort_document *place;     /* for faults; may be NULL */
  const cohort_space *space;        /* layout of changes; stays the caller's */
  size_t real;                      /* bytes of their numbers */
  int threads;                      /* of this rank */
  int64_t population;
  double present;     /* clients of a round, on average */
  bool poisson;       /* each takes part independently of the others */
  int64_t rounds;     /* of the run */
  int64_t every;      /* rounds from one row of metrics.csv to the next; what is spent is told in these and the last */
  int64_t separation; /* a client takes part at most once in so many rounds, as its sampler sees to it; 0: any time */
  uint64_t seed;
  const double *drawn; /* [rounds][parameters] noise of scale 1, instead of its own; stays the caller's; or NULL */
} cohort_private_rounds_options;

/* What cannot hold is added to `faults`. */
cohort_status cohort_private_rounds_create(const cohort_private_rounds_options *options, cohort_faults *faults,
                                           cohort_round_module *out, cohort_error *error);
/* The same of a run's settings. */
cohort_status cohort_private_rounds_open(const cohort_federation_options *run, int64_t population,
                                         cohort_faults *faults, cohort_round_module *out, cohort_error *error);

/* The module of a run's rounds; NULL: there is none. */
const cohort_round_module *cohort_private_rounds_find(const cohort_federation *federation);

/* By which every change is multiplied before the sum: all weigh the same, and the sum is not divided by how many came.
 * [present], the module's until the next call; of one. */
const double *cohort_private_rounds_shares(const cohort_round_module *module, int present);
double cohort_private_rounds_share(const cohort_round_module *module);
/* The round after which nothing is left of the budget; INT64_MAX: there is none. */
int64_t cohort_private_rounds_limit(const cohort_round_module *module);
/* A line about what is promised, after so many rounds; owned by the caller. */
char *cohort_private_rounds_text(const cohort_round_module *module, int64_t rounds);

#endif
