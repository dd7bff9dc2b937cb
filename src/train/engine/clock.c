/* Simulated time. Invariant: it passes when a round's step was applied, and by what the config and the draws say alone,
 * so it is the same on any ranks and after a resume. Costs a few draws a client of a round; a trace is held in memory.
 */
#include "train/engine/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/arrays.h"

const cohort_parameter cohort_clock_table[] = {
    COHORT_REAL_ABOVE(cohort_clock_settings, compute, "100", 0,
                      "samples that a client trains on in a second, the median", .unit = "samples/s"),
    COHORT_REAL_ATLEAST(cohort_clock_settings, compute_spread, "0", 0,
                        "standard deviation of its logarithm over clients; 0: all are alike"),
    COHORT_REAL_ABOVE(cohort_clock_settings, link, "1e6", 0,
                      "bytes that a client sends or receives in a second, the median", .unit = "bytes/s"),
    COHORT_REAL_ATLEAST(cohort_clock_settings, link_spread, "0", 0,
                        "standard deviation of its logarithm over clients; 0: all are alike"),
    COHORT_TEXT(cohort_clock_settings, trace, "null",
                "HDF5 file of what is known of each client instead: /compute and /link [clients], and /available "
                "[times, clients] of 0 and 1, of which each stands for a period and the last is followed by the first"),
    COHORT_REAL_RANGE(cohort_clock_settings, available, "1", 0, true, 1, false,
                      "share of every period in which a client can be asked, from a time of its own on"),
    COHORT_REAL_ABOVE(cohort_clock_settings, period, "86400", 0, "of availability, and of a trace's rows",
                      .unit = "seconds"),
    COHORT_REAL_UNIT(cohort_clock_settings, dropout, "0", "probability that a client which has begun is not heard of"),
    COHORT_REAL_UNIT(cohort_clock_settings, straggler, "0", "probability that a client is slow in a round"),
    COHORT_REAL_RANGE(cohort_clock_settings, slowdown, "10", 1, false, 1e9, false,
                      "how much longer a slow client takes"),
    COHORT_REAL_ATLEAST(cohort_clock_settings, deadline, "0", 0,
                        "of a round: who is later is dropped; 0: all are waited for", .unit = "seconds"),
    COHORT_REAL_ABOVE(cohort_clock_settings, pause, "60", 0, "length of a round of nobody, without a deadline",
                      .unit = "seconds"),
    {.name = NULL},
};

enum { SECONDS, DROPPED, COLUMNS };

struct cohort_clock {
  cohort_clock_settings settings;
  cohort_random_key key;
  int64_t clients, times; /* times: rows of a trace; 0: there is none */
  double bytes;
  double *compute, *link;             /* [clients], or NULL */
  bool *available;                    /* [times][clients], or NULL */
  double now;                         /* kept */
  double ahead, late, value[COLUMNS]; /* of the round that has begun: its length, clients dropped */
  cohort_round_state state;
  cohort_round_module module;
};

/* ---- traces ---- */

static double *take_speeds(const cohort_clock *clock, const cohort_arrays *arrays, const char *name,
                           cohort_error *error) {
  const cohort_array *array = cohort_arrays_find(arrays, name);
  if (!array) return NULL;
  double *speeds = cohort_allocate((size_t)clock->clients * sizeof *speeds);
  const bool fits = array->axes == 1 && array->size[0] == clock->clients;
  error->status = fits ? COHORT_DONE
                       : cohort_fail(error, COHORT_BAD_DATA, "%s: %s wants a number for each of the %lld clients",
                                     clock->settings.trace, name, (long long)clock->clients);
  for (int64_t c = 0; c < clock->clients && error->status == COHORT_DONE; c++) {
    speeds[c] = cohort_array_get(array, c);
    if (!(speeds[c] > 0) || !isfinite(speeds[c]))
      error->status = cohort_fail(error, COHORT_BAD_DATA, "%s: %s[%lld] is %g; speeds are above 0",
                                  clock->settings.trace, name, (long long)c, speeds[c]);
  }
  return speeds;
}

static void take_times(cohort_clock *clock, const cohort_arrays *arrays, cohort_error *error) {
  const cohort_array *array = cohort_arrays_find(arrays, "available");
  if (!array) return;
  if (array->axes != 2 || array->size[0] < 1 || array->size[1] != clock->clients) {
    error->status = cohort_fail(error, COHORT_BAD_DATA, "%s: available wants [times, %lld clients]",
                                clock->settings.trace, (long long)clock->clients);
    return;
  }
  clock->times = array->size[0];
  const int64_t elements = clock->times * clock->clients;
  clock->available = cohort_allocate((size_t)elements * sizeof *clock->available);
  for (int64_t i = 0; i < elements; i++) clock->available[i] = cohort_array_get(array, i) > 0;
}

static cohort_status read_trace(cohort_clock *clock, cohort_error *error) {
  static const char *const names[] = {"compute", "link", "available", NULL};
  cohort_arrays arrays = {0};
  cohort_error found = {.status = COHORT_DONE};
  if (!clock->settings.trace) return COHORT_DONE;
  COHORT_TRY(cohort_arrays_read_named(clock->settings.trace, names, &arrays, error));
  if (!arrays.count)
    found.status =
        cohort_fail(&found, COHORT_BAD_DATA, "%s: has none of compute, link and available", clock->settings.trace);
  if (found.status == COHORT_DONE) clock->compute = take_speeds(clock, &arrays, "compute", &found);
  if (found.status == COHORT_DONE) clock->link = take_speeds(clock, &arrays, "link", &found);
  if (found.status == COHORT_DONE) take_times(clock, &arrays, &found);
  cohort_arrays_release(&arrays);
  if (found.status != COHORT_DONE && error) *error = found;
  return found.status;
}

/* ---- the clock ---- */

static void commit(void *argument, const cohort_round *round, const double *losses) {
  cohort_clock *clock = argument;
  (void)round, (void)losses;
  clock->now += clock->ahead;
  clock->value[SECONDS] = clock->now;
  clock->value[DROPPED] = clock->late;
}

cohort_status cohort_clock_create(const cohort_clock_settings *settings, uint64_t seed, int64_t clients, double bytes,
                                  cohort_clock **out, cohort_error *error) {
  static const char *const columns[] = {"clock/seconds", "clock/dropped"};
  const cohort_random_key of_run = cohort_random_key_derive_name(cohort_random_key_from_seed(seed), "federated");
  cohort_clock *clock = cohort_allocate(sizeof *clock);
  clock->settings = *settings;
  clock->key = cohort_random_key_derive_name(of_run, "clock");
  clock->clients = clients;
  clock->bytes = bytes;
  const cohort_status status = read_trace(clock, error);
  if (status != COHORT_DONE) {
    cohort_clock_destroy(clock);
    return status;
  }
  clock->state = (cohort_round_state){"seconds", COHORT_STORED_FLOAT64, 1, &clock->now};
  clock->module = (cohort_round_module){.name = "clock",
                                        .argument = clock,
                                        .commit = commit,
                                        .columns = COLUMNS,
                                        .column = columns,
                                        .value = clock->value,
                                        .states = 1,
                                        .state = &clock->state};
  *out = clock;
  return COHORT_DONE;
}

void cohort_clock_destroy(cohort_clock *clock) {
  if (!clock) return;
  free(clock->compute);
  free(clock->link);
  free(clock->available);
  free(clock);
}

const cohort_round_module *cohort_clock_module(cohort_clock *clock) { return &clock->module; }
double cohort_clock_now(const cohort_clock *clock) { return clock->now; }
double cohort_clock_deadline(const cohort_clock *clock) {
  return clock->settings.deadline > 0 ? clock->settings.deadline : INFINITY;
}

static cohort_random_key key_of(const cohort_clock *clock, const char *purpose, int64_t client) {
  return cohort_random_key_derive(cohort_random_key_derive_name(clock->key, purpose), (uint64_t)client);
}

static double speed_of(const cohort_clock *clock, const double *known, const char *purpose, double median,
                       double spread, int64_t client) {
  if (known) return known[client];
  return spread > 0 ? median * exp(spread * cohort_random_normal_at(key_of(clock, purpose, client), 0, 0)) : median;
}

bool cohort_clock_can(const cohort_clock *clock, int64_t client, double now) {
  const double periods = now / clock->settings.period;
  if (clock->available) {
    const int64_t row = (int64_t)fmod(floor(periods), (double)clock->times);
    return clock->available[row * clock->clients + client];
  }
  if (clock->settings.available >= 1) return true;
  const double own = cohort_random_uniform(cohort_random_word(key_of(clock, "available", client), 0, 0));
  return fmod(periods + own, 1) < clock->settings.available;
}

double cohort_clock_expects(const cohort_clock *clock, int64_t client, double samples) {
  const cohort_clock_settings *settings = &clock->settings;
  const double compute =
      speed_of(clock, clock->compute, "compute", settings->compute, settings->compute_spread, client);
  const double link = speed_of(clock, clock->link, "link", settings->link, settings->link_spread, client);
  return samples / compute + 2 * clock->bytes / link;
}

double cohort_clock_takes(const cohort_clock *clock, int64_t round, int64_t client, double samples) {
  const cohort_clock_settings *settings = &clock->settings;
  const philox4x32_ctr_t words = cohort_random_words(key_of(clock, "chance", client), (uint64_t)round, 0);
  if (cohort_random_uniform(words.v[0]) < settings->dropout) return INFINITY;
  const bool slow = cohort_random_uniform(words.v[1]) < settings->straggler;
  const double own = cohort_clock_expects(clock, client, samples), sent = cohort_clock_expects(clock, client, 0);
  return slow ? (own - sent) * settings->slowdown + sent : own;
}

double cohort_clock_pass(cohort_clock *clock, double seconds, int64_t dropped) {
  const double deadline = cohort_clock_deadline(clock);
  clock->ahead = seconds > 0 ? seconds : isfinite(deadline) ? deadline : clock->settings.pause;
  clock->late = (double)dropped;
  return clock->ahead;
}
