/* The queue of arrivals. Invariant: what is kept changes when a round's step was applied; until then a round that is
 * asked again gives the same. The same on every rank. A round costs its arrivals times those in flight; memory is the
 * weights of as many versions as clients train at once, and one more. */
#include "train/engine/arrivals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* A client that trains. In doubles, which hold these numbers exactly, so that a checkpoint has one array of them. */
typedef struct flight {
  double client, version, finish, order, lost; /* client -1: nobody; lost: it drops out when it should finish */
} flight;

enum { MOST_FLIGHTS = 100000 };

/* What is kept of the queue; a round works on a copy. */
typedef struct queue {
  double now, steps, order; /* steps of the server, which number the versions; how many have begun */
  double version, position; /* of the last draw */
} queue;

struct cohort_arrivals {
  cohort_arrivals_options options;
  cohort_choice choice;
  const cohort_asynchronous *functions;
  cohort_random_key key;
  int64_t concurrency, buffer;
  flight *kept, *own; /* [concurrency]: kept, as the round leaves it */
  queue kept_queue, own_queue;
  double *held; /* [concurrency]: the version that a slot has; -1: none */
  float *slot;  /* [concurrency][elements] */
  float *current;
  /* The round. */
  int64_t round;
  int count;
  int64_t *client, *version; /* [buffer] */
  double *share;             /* [buffer] */
  const void **start;        /* [buffer] */
  const float *weights;
  double value[1];
  cohort_round_state state[4];
  cohort_round_module module;
};

/* ---- the queue ---- */

/* Whether a client trains, or has arrived for the step that others begin before. */
static bool is_busy(const cohort_arrivals *own, int64_t client, int64_t version) {
  for (int64_t f = 0; f < own->concurrency; f++)
    if ((int64_t)own->own[f].client == client) return true;
  for (int i = 0; i < own->count && version == own->round; i++)
    if (own->client[i] == client) return true;
  return false;
}

static bool can(const cohort_arrivals *own, int64_t client, double now) {
  return !own->options.clock || cohort_clock_can(own->options.clock, client, now);
}

/* The next client that can begin at this version; each begins once at a version. -1: there is none. */
static int64_t draw(cohort_arrivals *own, int64_t version, double now) {
  const int64_t clients = own->options.who.population->clients;
  const cohort_random_key key = cohort_random_key_derive(own->key, (uint64_t)version);
  queue *at = &own->own_queue;
  if ((int64_t)at->version != version) {
    at->version = (double)version;
    at->position = 0;
  }
  for (; (int64_t)at->position < clients; at->position++) {
    const int64_t client = (int64_t)cohort_random_permute(key, (uint64_t)clients, (uint64_t)at->position);
    if (is_busy(own, client, version) || !can(own, client, now)) continue;
    at->position++;
    return client;
  }
  return -1;
}

/* Clients begin until as many train as shall. */
static void start(cohort_arrivals *own, int64_t version, double now) {
  for (int64_t f = 0; f < own->concurrency; f++) {
    if (own->own[f].client >= 0) continue;
    const int64_t client = draw(own, version, now);
    if (client < 0) return;
    const double work = own->options.who.work(own->options.who.argument, client), order = own->own_queue.order++;
    const double takes = own->options.clock ? cohort_clock_takes(own->options.clock, (int64_t)order, client, work) : 1;
    const bool lost = !isfinite(takes);
    const double seconds = lost ? cohort_clock_expects(own->options.clock, client, work) : takes;
    own->own[f] = (flight){(double)client, (double)version, now + seconds, order, lost};
  }
}

static flight *earliest(const cohort_arrivals *own) {
  flight *found = NULL;
  for (int64_t f = 0; f < own->concurrency; f++) {
    flight *at = &own->own[f];
    if (at->client < 0) continue;
    const bool earlier = !found || at->finish < found->finish;
    if (earlier || (at->finish <= found->finish && at->order < found->order)) found = at;
  }
  return found;
}

static void arrive(cohort_arrivals *own, flight *found, int64_t *lost) {
  if (found->lost > 0) {
    ++*lost;
  } else {
    own->client[own->count] = (int64_t)found->client;
    own->version[own->count++] = (int64_t)found->version;
  }
  own->own_queue.now = found->finish;
  found->client = -1;
}

/* Arrivals until the buffer is full; then others begin, at what will be the next version. */
static void fill(cohort_arrivals *own, int64_t round) {
  int64_t lost = 0;
  const double before = own->own_queue.now;
  if (own->own_queue.order <= 0) start(own, round, before);
  while (own->count < own->buffer) {
    flight *found = earliest(own);
    if (!found || found->finish > own->own_queue.now) { /* time goes on: the places that are free are taken first */
      start(own, round, own->own_queue.now);
      found = earliest(own);
    }
    if (!found) break;
    arrive(own, found, &lost);
  }
  if (own->options.clock) {
    const double seconds = cohort_clock_pass(own->options.clock, own->own_queue.now - before, lost);
    if (own->own_queue.now <= before) own->own_queue.now += seconds; /* nobody could be asked */
  }
  start(own, round + 1, own->own_queue.now);
}

static void weigh(cohort_arrivals *own) {
  const int64_t *first = own->options.who.population->first;
  const bool by_samples = own->functions->by_samples && own->functions->by_samples(own->choice.config);
  double samples = 0;
  for (int i = 0; i < own->count; i++) samples += (double)(first[own->client[i] + 1] - first[own->client[i]]);
  for (int i = 0; i < own->count; i++) {
    const double size = (double)(first[own->client[i] + 1] - first[own->client[i]]);
    own->share[i] = (by_samples ? size / samples : 1.0 / own->count) *
                    own->functions->weight(own->choice.config, own->round - own->version[i]);
  }
}

void cohort_arrivals_begin(cohort_arrivals *own, cohort_participants *out, const int64_t **version) {
  const int64_t round = (int64_t)own->kept_queue.steps;
  own->round = round;
  own->count = 0;
  own->own_queue = own->kept_queue;
  memcpy(own->own, own->kept, (size_t)own->concurrency * sizeof *own->own);
  fill(own, round);
  weigh(own);
  *out = (cohort_participants){own->count, own->client, own->share};
  *version = own->version;
}

/* ---- weights that clients began at ---- */

static float *slot_of(const cohort_arrivals *own, int64_t version) {
  for (int64_t s = 0; s < own->concurrency; s++)
    if ((int64_t)own->held[s] == version) return own->slot + s * own->options.elements;
  return NULL;
}

const void *const *cohort_arrivals_starts(cohort_arrivals *own, const float *weights) {
  memcpy(own->current, weights, (size_t)own->options.elements * sizeof *weights);
  for (int i = 0; i < own->count; i++)
    own->start[i] = own->version[i] == own->round ? own->current : slot_of(own, own->version[i]);
  return own->start;
}

/* A model that is mixed in is a change from the server's weights, not from those it began at. */
static cohort_status mix(void *argument, const cohort_round *round, const double *applied, void *change,
                         cohort_error *error) {
  const cohort_arrivals *own = argument;
  float *to = change;
  (void)applied, (void)error;
  for (int i = 0; i < round->present; i++) {
    const float *from = own->start[i], share = (float)own->share[i];
    if (from == own->current) continue;
    for (int64_t e = 0; e < own->options.elements; e++) to[e] += share * (from[e] - own->current[e]);
  }
  return COHORT_DONE;
}

static bool is_in_flight(const cohort_arrivals *own, double version) {
  for (int64_t f = 0; f < own->concurrency; f++)
    if (own->kept[f].client >= 0 && (int64_t)own->kept[f].version == (int64_t)version) return true;
  return false;
}

static void commit(void *argument, const cohort_round *round, const double *losses) {
  cohort_arrivals *own = argument;
  double delays = 0;
  (void)losses;
  for (int i = 0; i < round->present; i++) delays += (double)(own->round - own->version[i]);
  own->value[0] = round->present ? delays / round->present : NAN;
  own->kept_queue = own->own_queue;
  own->kept_queue.steps++;
  memcpy(own->kept, own->own, (size_t)own->concurrency * sizeof *own->kept);
  for (int64_t s = 0; s < own->concurrency; s++)
    if (own->held[s] >= 0 && !is_in_flight(own, own->held[s])) own->held[s] = -1;
  if (!is_in_flight(own, (double)own->round) || slot_of(own, own->round)) return;
  int64_t s = 0;
  while (own->held[s] >= 0) s++; /* those in flight have no more versions than there are slots */
  own->held[s] = (double)own->round;
  memcpy(own->slot + s * own->options.elements, own->current, (size_t)own->options.elements * sizeof *own->slot);
}

/* ---- making ---- */

static void check(const cohort_arrivals *own, cohort_faults *faults) {
  const cohort_federated_settings *settings = &own->options.who.settings->federated_settings;
  const cohort_document *where = settings->asynchronous;
  const int64_t clients = own->options.who.population->clients;
  const cohort_document *sampler = settings->sampler;
  const char *key = sampler && sampler->kind == COHORT_MAP ? sampler->names[0] : sampler ? sampler->text : "uniform";
  const char *weigher = cohort_participation_weigher(own->options.who.settings);
  if (weigher)
    cohort_faults_add(faults, where,
                      "federated.asynchronous: %s weighs changes, and so does the strategy %s; take another",
                      own->choice.method->key, weigher);
  if (own->concurrency > clients)
    cohort_faults_add(faults, where, "federated.asynchronous: %lld clients cannot train at once, there are %lld",
                      (long long)own->concurrency, (long long)clients);
  if (own->concurrency > MOST_FLIGHTS)
    cohort_faults_add(faults, where, "federated.asynchronous: at most %d clients can train at once", MOST_FLIGHTS);
  if (own->buffer > clients)
    cohort_faults_add(faults, where, "federated.asynchronous: a buffer of %lld is never full, there are %lld clients",
                      (long long)own->buffer, (long long)clients);
  if (strcmp(key, "uniform") != 0)
    cohort_faults_add(faults, sampler, "federated.sampler: clients begin one by one, drawn uniformly; remove it");
  if (settings->clock && settings->clock_settings.deadline > 0)
    cohort_faults_add(faults, settings->clock, "federated.clock.deadline: nobody is waited for; remove it");
}

static cohort_status make_memory(cohort_arrivals *own, cohort_error *error) {
  const size_t flights = (size_t)own->concurrency, buffer = (size_t)own->buffer;
  const size_t bytes = (size_t)own->options.elements * sizeof(float);
  void *memory;
  own->kept = cohort_allocate(flights * sizeof *own->kept);
  own->own = cohort_allocate(flights * sizeof *own->own);
  own->held = cohort_allocate(flights * sizeof *own->held);
  own->client = cohort_allocate(buffer * sizeof *own->client);
  own->version = cohort_allocate(buffer * sizeof *own->version);
  own->share = cohort_allocate(buffer * sizeof *own->share);
  own->start = cohort_allocate(buffer * sizeof *own->start);
  for (size_t f = 0; f < flights; f++) own->kept[f].client = own->held[f] = -1;
  own->kept_queue.version = -1;
  if (own->options.plan_only) return COHORT_DONE;
  COHORT_TRY(cohort_memory_create(bytes * flights, "weights that clients began at", &memory, error));
  own->slot = memory;
  COHORT_TRY(cohort_memory_create(bytes, "weights that clients began at", &memory, error));
  own->current = memory;
  return COHORT_DONE;
}

static void list_states(cohort_arrivals *own) {
  static const char *const columns[] = {"clock/staleness"};
  own->state[0] = (cohort_round_state){"flights", COHORT_STORED_FLOAT64,
                                       own->concurrency * (int64_t)(sizeof(flight) / sizeof(double)), own->kept};
  own->state[1] =
      (cohort_round_state){"queue", COHORT_STORED_FLOAT64, sizeof(queue) / sizeof(double), &own->kept_queue};
  own->state[2] = (cohort_round_state){"versions", COHORT_STORED_FLOAT64, own->concurrency, own->held};
  own->state[3] =
      (cohort_round_state){"weights", COHORT_STORED_FLOAT32, own->concurrency * own->options.elements, own->slot};
  own->module = (cohort_round_module){.name = "arrivals",
                                      .argument = own,
                                      .joined = own->functions->mixes ? mix : NULL,
                                      .commit = commit,
                                      .columns = 1,
                                      .column = columns,
                                      .value = own->value,
                                      .states = 4,
                                      .state = own->state};
}

static cohort_status build(cohort_arrivals *own, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = &own->options.who.settings->federated_settings;
  cohort_choice_expand(own->options.who.variant, "asynchronous", settings->asynchronous, "asynchronous", &own->choice,
                       own->options.who.expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  own->functions = own->choice.method->functions;
  own->key = cohort_sampler_key((uint64_t)own->options.who.settings->seed);
  own->concurrency = own->functions->concurrency(own->choice.config, settings->clients_per_round);
  own->buffer = own->functions->buffer(own->choice.config, settings->clients_per_round);
  check(own, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(make_memory(own, error));
  list_states(own);
  return COHORT_DONE;
}

cohort_status cohort_arrivals_create(const cohort_arrivals_options *options, cohort_faults *faults,
                                     cohort_arrivals **out, cohort_error *error) {
  cohort_arrivals *own = cohort_allocate(sizeof *own);
  own->options = *options;
  const cohort_status status = build(own, faults, error);
  if (status != COHORT_DONE) {
    cohort_arrivals_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_arrivals_destroy(cohort_arrivals *own) {
  if (!own) return;
  cohort_choice_release(&own->choice);
  cohort_memory_release(own->slot);
  cohort_memory_release(own->current);
  free(own->kept);
  free(own->own);
  free(own->held);
  free(own->client);
  free(own->version);
  free(own->share);
  free(own->start);
  free(own);
}

const cohort_round_module *cohort_arrivals_module(cohort_arrivals *own) { return &own->module; }

double cohort_arrivals_bytes(const cohort_arrivals *own) {
  return (double)(own->concurrency + 1) * (double)own->options.elements * sizeof(float);
}
