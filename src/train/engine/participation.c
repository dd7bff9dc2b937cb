/* Draws of rounds. Invariant: a function of (seed, round), of what the sampler has kept and of simulated time, which
 * change when a round's step was applied. Costs what the sampler does, and a few draws a client. */
#include "train/engine/participation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/federated/federated.h"

enum { MOST_ROOMS = 24 };

struct cohort_participation {
  cohort_participation_options options;
  cohort_choice choice;
  const cohort_sampler *sampler;
  cohort_clock *clock; /* or NULL */
  cohort_random_key key;
  int64_t most;             /* clients of a round */
  int64_t *client;          /* [most] */
  double *weight, *seconds; /* [most]; weight: or NULL */
  cohort_sampler_round round;
  int rooms; /* taken in this draw */
  cohort_scratch room[MOST_ROOMS];
  cohort_round_state state[2];
  cohort_items *items; /* where the sampler asks; else NULL */
  cohort_item_order order;
};

static void *take(const cohort_sampler_round *round, size_t bytes) {
  cohort_participation *own = round->implementation;
  if (own->rooms == MOST_ROOMS) return NULL; /* a fault of the method: its tests end here */
  return memset(cohort_scratch_take(&own->room[own->rooms++], bytes + 1), 0, bytes);
}

static double expects(const cohort_sampler_round *round, int64_t client) {
  const cohort_participation *own = round->implementation;
  return cohort_clock_expects(own->clock, client, own->options.work(own->options.argument, client));
}

/* A question about some clients, as items. */
typedef struct questions {
  const cohort_participation *own;
  const int64_t *client;
} questions;

static cohort_status ask_one(void *argument, int executor, int item, void *row, double *numbers, cohort_error *error) {
  const questions *all = argument;
  const cohort_participation_options *options = &all->own->options;
  (void)row;
  if (options->ask(options->argument, executor, all->own->round.number, all->client[item], numbers)) return COHORT_DONE;
  return cohort_fail(error, COHORT_STOPPED, "stopped");
}

/* Who is left has a loss of NAN; the round is then left too, and asked again. */
static void ask(const cohort_sampler_round *round, int64_t count, const int64_t *client, double *loss) {
  cohort_participation *own = round->implementation;
  questions all = {own, client};
  double *cost = take(round, (size_t)count * sizeof *cost);
  for (int64_t i = 0; i < count; i++) cost[i] = cohort_sampler_samples(round, client[i]);
  cohort_item_order_create((int)count, cost, own->options.comm->size, &own->order);
  const cohort_item_work work = {.argument = &all, .run = ask_one, .numbers = 1};
  cohort_item_results results = {.numbers = loss};
  cohort_items_run(own->items, &own->order, &work, &results);
}

const char *cohort_participation_weigher(const cohort_settings *settings) {
  const cohort_document *strategy = settings->federated_settings.strategy;
  const char *key = strategy->kind == COHORT_MAP ? strategy->names[0] : strategy->text;
  const cohort_method *method = cohort_registry_find(COHORT_VARIANT_F64, "federated", key);
  return method && ((const cohort_federated *)method->functions)->weigh ? method->key : NULL;
}

static cohort_status make_clock(cohort_participation *own, cohort_error *error) {
  const cohort_federated_settings *settings = &own->options.settings->federated_settings;
  const uint64_t seed = (uint64_t)own->options.settings->seed;
  cohort_error why = {.text = ""};
  if (!settings->clock) {
    if (own->sampler->timed)
      return cohort_settings_fail(own->options.settings, "federated.sampler", error,
                                  "federated.sampler: %s drops who finishes last; give federated.clock, which says who "
                                  "that is",
                                  own->choice.method->key);
    return COHORT_DONE;
  }
  const cohort_status status = cohort_clock_create(&settings->clock_settings, seed, own->options.population->clients,
                                                   own->options.bytes, &own->clock, &why);
  return status == COHORT_DONE ? status : cohort_fail(error, status, "federated.clock: %s", why.text);
}

static cohort_status build(cohort_participation *own, cohort_faults *faults, cohort_error *error) {
  const cohort_federated_settings *settings = &own->options.settings->federated_settings;
  const int64_t clients = own->options.population->clients;
  cohort_choice_expand(own->options.variant, "sampler", settings->sampler, "sampler", &own->choice,
                       own->options.expanded, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  own->sampler = own->choice.method->functions;
  own->key = cohort_sampler_key((uint64_t)own->options.settings->seed);
  const char *weigher = own->sampler->shares ? cohort_participation_weigher(own->options.settings) : NULL;
  if (weigher)
    return cohort_settings_fail(own->options.settings, "federated.sampler", error,
                                "federated.sampler: %s weighs changes, and so does the strategy %s; take uniform",
                                own->choice.method->key, weigher);
  COHORT_TRY(make_clock(own, error));
  own->most = own->sampler->most(own->choice.config, clients, settings->clients_per_round);
  const int64_t most = own->most;
  const int64_t numbers = clients * own->sampler->numbers;
  own->client = cohort_allocate((size_t)(most + 1) * sizeof *own->client);
  own->seconds = cohort_allocate((size_t)(most + 1) * sizeof *own->seconds);
  if (own->sampler->shares) own->weight = cohort_allocate((size_t)(most + 1) * sizeof *own->weight);
  own->round = (cohort_sampler_round){.clients = clients,
                                      .wanted = settings->clients_per_round,
                                      .first = own->options.population->first,
                                      .numbers = cohort_allocate((size_t)(numbers + 1) * sizeof(double)),
                                      .totals = cohort_allocate((size_t)(own->sampler->totals + 1) * sizeof(double)),
                                      .seconds = own->clock ? expects : NULL,
                                      .ask = ask,
                                      .memory = take,
                                      .implementation = own};
  for (int64_t i = 0; i < numbers; i++) own->round.numbers[i] = NAN;
  if (cohort_participation_asks(own))
    own->items = cohort_items_create(own->options.comm, own->options.threads, sizeof(float), 0);
  return COHORT_DONE;
}

cohort_status cohort_participation_create(const cohort_participation_options *options, cohort_faults *faults,
                                          cohort_participation **out, cohort_error *error) {
  cohort_participation *own = cohort_allocate(sizeof *own);
  own->options = *options;
  const cohort_status status = build(own, faults, error);
  if (status != COHORT_DONE) {
    cohort_participation_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_participation_destroy(cohort_participation *own) {
  if (!own) return;
  for (int r = 0; r < MOST_ROOMS; r++) cohort_scratch_release(&own->room[r]);
  cohort_clock_destroy(own->clock);
  cohort_items_destroy(own->items);
  cohort_item_order_release(&own->order);
  cohort_choice_release(&own->choice);
  free(own->client);
  free(own->weight);
  free(own->seconds);
  free(own->round.numbers);
  free(own->round.totals);
  free(own);
}

int64_t cohort_participation_most(const cohort_participation *own) { return own->most; }

bool cohort_participation_asks(const cohort_participation *own) {
  return own->sampler->asks && own->sampler->asks(own->choice.config);
}

cohort_clock *cohort_participation_clock(const cohort_participation *own) { return own->clock; }

double cohort_participation_bytes(const cohort_participation *own) {
  return (double)(own->round.clients * own->sampler->numbers + own->sampler->totals) * sizeof(double);
}

/* ---- a draw ---- */

static void keep(cohort_participation *own, int64_t from, int64_t to) {
  own->client[to] = own->client[from];
  own->seconds[to] = own->seconds[from];
  if (own->weight) own->weight[to] = own->weight[from];
}

/* Who can be asked and is in time; returns how many. */
static int64_t drop_the_late(cohort_participation *own, int64_t count, bool *late) {
  const double deadline = cohort_clock_deadline(own->clock);
  int64_t left = 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t client = own->client[i];
    if (!cohort_clock_can(own->clock, client, cohort_clock_now(own->clock))) continue;
    own->seconds[i] =
        cohort_clock_takes(own->clock, own->round.number, client, own->options.work(own->options.argument, client));
    const bool good = isfinite(own->seconds[i]) && own->seconds[i] <= deadline;
    *late = *late || !good;
    if (good) keep(own, i, left++);
  }
  return left;
}

static int64_t pass_time(cohort_participation *own, int64_t drawn) {
  bool late = false;
  int64_t count = drop_the_late(own, drawn, &late);
  const bool enough = own->sampler->waits && count >= own->round.wanted;
  if (enough) count = cohort_sampler_finishers(&own->round, count, own->client, own->weight, own->seconds);
  double seconds = 0;
  for (int64_t i = 0; i < count; i++) seconds = fmax(seconds, own->seconds[i]);
  if (late && !enough && isfinite(cohort_clock_deadline(own->clock))) seconds = cohort_clock_deadline(own->clock);
  (void)cohort_clock_pass(own->clock, seconds, drawn - count);
  return count;
}

void cohort_participation_draw(cohort_participation *own, int64_t round, cohort_participants *out) {
  own->rooms = 0;
  own->round.number = round;
  own->round.key = cohort_random_key_derive(own->key, (uint64_t)round);
  const int64_t drawn = own->sampler->choose(own->choice.config, &own->round, own->client, own->weight);
  const int64_t count = own->clock ? pass_time(own, drawn) : drawn;
  double sum = 0;
  for (int64_t i = 0; own->weight && i < count; i++) sum += own->weight[i];
  for (int64_t i = 0; own->weight && count < drawn && i < count; i++) own->weight[i] /= sum;
  *out = (cohort_participants){(int)count, own->client, own->weight};
}

/* ---- modules ---- */

static void learn(void *argument, const cohort_round *round, const double *losses) {
  cohort_participation *own = argument;
  const cohort_sampler_outcome outcome = {.present = round->present, .client = round->client, .loss = losses};
  own->rooms = 0;
  own->round.number = round->number;
  if (own->sampler->learn) own->sampler->learn(own->choice.config, &own->round, &outcome);
}

int cohort_participation_modules(cohort_participation *own, cohort_round_module *out) {
  int count = 0, states = 0;
  const int64_t numbers = own->round.clients * own->sampler->numbers;
  if (numbers)
    own->state[states++] = (cohort_round_state){"clients", COHORT_STORED_FLOAT64, numbers, own->round.numbers};
  if (own->sampler->totals)
    own->state[states++] =
        (cohort_round_state){"totals", COHORT_STORED_FLOAT64, own->sampler->totals, own->round.totals};
  if (own->sampler->learn)
    out[count++] = (cohort_round_module){
        .name = "sampler", .argument = own, .commit = learn, .states = states, .state = own->state};
  if (own->clock) out[count++] = *cohort_clock_module(own->clock);
  return count;
}
