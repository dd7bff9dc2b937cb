/* Family sampler: who takes part in a round of a federation. A function of the round's key, of what is known of the
 * clients, and of what a method keeps of them; every client at most once.
 *
 * Intended usage:
 *   1. Parameters, as of every method. How many are wanted is the run's clients_per_round.
 *   2. `most`: how many can come at once; `choose`: who. Both sides, training (train/engine/participation.h) and
 * `cohort probe sampler`, call them with a cohort_sampler_round.
 *   3. What is kept (float64): `numbers` of each client, NAN before it first took part where `learn` writes them, and
 *      `totals` of all; `learn` writes them when a round's step was applied. They are saved, the same on all ranks.
 *   4. `share`: weights of the changes instead of the strategy's, where they follow from how clients are drawn.
 * A method takes memory through round->memory alone. */
#ifndef COHORT_METHOD_SAMPLER_SAMPLER_H
#define COHORT_METHOD_SAMPLER_SAMPLER_H

#include "base/random.h"
#include "method/method.h"

typedef struct cohort_sampler_round {
  int64_t number;          /* of the round, from 0 */
  int64_t clients, wanted; /* of the population; that a round shall have */
  const int64_t *first;    /* [clients + 1]: the samples of all clients counted up to each */
  cohort_random_key key;   /* of the round */
  double *numbers;         /* [clients][numbers of the method] */
  double *totals;          /* [totals of the method] */
  /* What a client is thought to take for a round; NULL: nothing is known of time. */
  double (*seconds)(const struct cohort_sampler_round *round, int64_t client);
  /* Collective in a run: mean losses of clients over all their samples at the round's weights. */
  void (*ask)(const struct cohort_sampler_round *round, int64_t count, const int64_t *client, double *loss);
  /* Zeroed memory until the call returns. */
  void *(*memory)(const struct cohort_sampler_round *round, size_t bytes);
  void *implementation;
} cohort_sampler_round;

/* What has come of a round. */
typedef struct cohort_sampler_outcome {
  int64_t present;
  const int64_t *client; /* [present] */
  const double *loss;    /* [present]: mean losses of their steps */
} cohort_sampler_outcome;

typedef struct cohort_sampler {
  int64_t (*most)(const void *config, int64_t clients, int64_t wanted);
  /* client[most] receives who, in the order in which they were drawn, and weight[most] (if the method shares) of each;
   * returns how many. */
  int64_t (*choose)(const void *config, const cohort_sampler_round *round, int64_t *client, double *weight);
  bool shares;
  int numbers, totals;
  const char *const *number, *const *total; /* their names */
  void (*learn)(const void *config, const cohort_sampler_round *round, const cohort_sampler_outcome *outcome);
  bool (*asks)(const void *config); /* whether choose asks for losses; NULL: never */
  bool timed;                       /* of use only where time is known (federated.clock) */
  bool waits;                       /* a round ends when as many as are wanted have finished: the others are dropped */
} cohort_sampler;

/* The key of a run's rounds, of the run's seed; a round's is derived from it by its number. */
cohort_random_key cohort_sampler_key(uint64_t seed);
/* Of `count` clients that were drawn, and take so many seconds, those who finish first, as many as are wanted, in the
 * order of the draw; returns how many. All arrays are shortened; `weight` may be NULL. */
int64_t cohort_sampler_finishers(const cohort_sampler_round *round, int64_t count, int64_t *client, double *weight,
                                 double *seconds);

/* ---- for methods ---- */

static inline double cohort_sampler_samples(const cohort_sampler_round *round, int64_t client) {
  return (double)(round->first[client + 1] - round->first[client]);
}

/* Uniform in [0, 1) with 53 bits, of two words. */
double cohort_sampler_fraction(cohort_random_key key, uint64_t element);
/* The `count` clients of the largest values; of equal ones the first; in this order. A client of value NAN is none. */
int64_t cohort_sampler_largest(const cohort_sampler_round *round, const double *value, int64_t count, int64_t *client);
/* So many of `among` clients (NULL: of all) without replacement, each in proportion to its weight among those that are
 * left: exponential races (Efraimidis and Spirakis, 2006). Returns how many. */
int64_t cohort_sampler_race(const cohort_sampler_round *round, cohort_random_key key, int64_t candidates,
                            const int64_t *among, const double *weight, int64_t count, int64_t *client);

#endif
