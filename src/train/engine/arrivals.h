/* Rounds of a server that does not wait (method/asynchronous): which changes arrive for its next step, when each of
 * their clients began, and from which weights. Events are replayed from the seed and the state, never measured:
 *
 *   in flight: (client, version, finish) x concurrency --earliest--> arrivals of this step --buffer full--> step
 *        ^                                                                                                  |
 *        +------- another client, drawn, begins at the server's weights of that moment <-------------------+
 *
 * Of clients that finish at the same moment all arrive before others begin; who begins when a step is made begins at
 * the new weights. Weights that somebody in flight began at are kept, once for each version.
 *
 * Intended usage, in a round:
 *   cohort_arrivals_begin(arrivals, &present, &version);
 *   cohort_arrivals_starts(arrivals, weights)    before clients train
 *   its module's joined, commit */
#ifndef COHORT_TRAIN_ENGINE_ARRIVALS_H
#define COHORT_TRAIN_ENGINE_ARRIVALS_H

#include "method/asynchronous/asynchronous.h"
#include "train/engine/participation.h"

typedef struct cohort_arrivals cohort_arrivals;

typedef struct cohort_arrivals_options {
  cohort_participation_options who; /* settings, population, work and argument of it are used */
  cohort_clock *clock;              /* or NULL: everybody takes a second */
  int64_t elements;                 /* of the weights, in floats */
  bool plan_only;
} cohort_arrivals_options;

cohort_status cohort_arrivals_create(const cohort_arrivals_options *options, cohort_faults *faults,
                                     cohort_arrivals **out, cohort_error *error);
void cohort_arrivals_destroy(cohort_arrivals *arrivals); /* NULL is fine */

/* Who arrives for the server's next step; version[count]: how many steps it had made when each began. Valid until the
 * next. */
void cohort_arrivals_begin(cohort_arrivals *arrivals, cohort_participants *out, const int64_t **version);
/* Their first weights, of which some may be `weights`, those of this round: [count]. */
const void *const *cohort_arrivals_starts(cohort_arrivals *arrivals, const float *weights);
/* "arrivals", with the column clock/staleness: the mean delay of the step's changes. */
const cohort_round_module *cohort_arrivals_module(cohort_arrivals *arrivals);
double cohort_arrivals_bytes(const cohort_arrivals *arrivals); /* of what is kept, on every rank */

#endif
