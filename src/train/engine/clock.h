/* The simulated clock of a federation: how long clients take for a round, who can be asked, who drops out, and when a
 * round ends. All of it is a function of (seed, round, client) and of the time that has passed, which is kept; nothing
 * is measured.
 *
 * A client takes its samples / compute, times `slowdown` when it straggles, and 2 bytes / link to receive and send. A
 * round ends when the last client that it waits for has finished, at its deadline at the latest; who is not done by
 * then is dropped.
 *
 * Intended usage, in a round:
 *   for each client drawn: cohort_clock_can(clock, round, client), cohort_clock_takes(clock, round, client, samples)
 *   cohort_clock_pass(clock, seconds, dropped);    how long the round will have been
 *   cohort_clock_module(clock)->commit             when its step was applied: time has passed */
#ifndef COHORT_TRAIN_ENGINE_CLOCK_H
#define COHORT_TRAIN_ENGINE_CLOCK_H

#include "base/random.h"
#include "train/engine/round.h"
#include "train/run/settings.h"

typedef struct cohort_clock cohort_clock;

/* `bytes` of a model that is sent. COHORT_BAD_DATA: a trace that does not fit. */
cohort_status cohort_clock_create(const cohort_clock_settings *settings, uint64_t seed, int64_t clients, double bytes,
                                  cohort_clock **out, cohort_error *error);
void cohort_clock_destroy(cohort_clock *clock); /* NULL is fine */

/* Whether a client can be asked at this time. */
bool cohort_clock_can(const cohort_clock *clock, int64_t client, double now);
/* Seconds that a client takes for so many samples in this round; INFINITY: it drops out. */
double cohort_clock_takes(const cohort_clock *clock, int64_t round, int64_t client, double samples);
/* Without chance: what a sampler may know beforehand. */
double cohort_clock_expects(const cohort_clock *clock, int64_t client, double samples);
double cohort_clock_deadline(const cohort_clock *clock); /* INFINITY: there is none */

/* The round that has begun takes so long, and this many of its clients are dropped. 0 seconds, of nobody: the deadline,
 * or `pause`. Returns how long it takes. */
double cohort_clock_pass(cohort_clock *clock, double seconds, int64_t dropped);
double cohort_clock_now(const cohort_clock *clock); /* seconds from the start of the run to that of the round */
/* "clock", with columns clock/seconds and clock/dropped; valid as long as the clock. */
const cohort_round_module *cohort_clock_module(cohort_clock *clock);

#endif
