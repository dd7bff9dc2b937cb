/* Who takes part in a round: a method of the family sampler draws, the simulated clock (if there is one) says who can
 * be asked, who is in time and how long the round is. The same on every rank.
 *
 * Intended usage:
 *   cohort_participation_create(&options, &faults, &participation, &error);
 *   cohort_participation_draw(participation, round, &participants);    each round
 *   cohort_participation_modules(participation, module);    what it keeps, learns and reports (train/engine/round.h)
 *   cohort_participation_destroy(participation); */
#ifndef COHORT_TRAIN_ENGINE_PARTICIPATION_H
#define COHORT_TRAIN_ENGINE_PARTICIPATION_H

#include "method/sampler/sampler.h"
#include "train/engine/clock.h"
#include "train/engine/population.h"

typedef struct cohort_participation cohort_participation;

typedef struct cohort_participation_options {
  const cohort_settings *settings;
  const cohort_population *population; /* stays the caller's, as all here does */
  cohort_document *expanded;           /* of the section federated; may be NULL */
  cohort_variant variant;
  double bytes; /* of a model */
  void *argument;
  /* Samples that a client goes through in a round. */
  double (*work)(void *argument, int64_t client);
  /* In a thread: the mean loss of a client over all its samples, at the weights of the round that begins. False: it was
   * left before its end. */
  bool (*ask)(void *argument, int executor, int64_t round, int64_t client, double *loss);
  cohort_comm *comm; /* who answers */
  int threads;
} cohort_participation_options;

/* The key of a strategy that weighs changes in its own way, which nobody else may then; NULL: it does not. */
const char *cohort_participation_weigher(const cohort_settings *settings);

typedef struct cohort_participants {
  int count;
  const int64_t *client; /* [count], in the order of the draw */
  const double *share;   /* [count]: weights of the changes, of sum 1; NULL: the strategy's */
} cohort_participants;

cohort_status cohort_participation_create(const cohort_participation_options *options, cohort_faults *faults,
                                          cohort_participation **out, cohort_error *error);
void cohort_participation_destroy(cohort_participation *participation); /* NULL is fine */

int64_t cohort_participation_most(const cohort_participation *participation); /* clients of a round */
/* What it finds is valid until the next draw. Collective where the sampler asks. */
void cohort_participation_draw(cohort_participation *participation, int64_t round, cohort_participants *out);
bool cohort_participation_asks(const cohort_participation *participation);           /* whether losses are asked for */
cohort_clock *cohort_participation_clock(const cohort_participation *participation); /* or NULL */
double cohort_participation_bytes(const cohort_participation *participation); /* of what is kept, on every rank */
/* Its modules; returns how many (at most 2). */
int cohort_participation_modules(cohort_participation *participation, cohort_round_module *out);

#endif
