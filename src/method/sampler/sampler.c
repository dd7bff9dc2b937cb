/* The family sampler: its probe, and what several methods draw by. Invariant: whoever is chosen is chosen once, and
 * every draw is a function of the round's key. A round costs at most the clients. */
#include "method/sampler/sampler.h"

#include <string.h>

#include "method/family.h"

double cohort_sampler_fraction(cohort_random_key key, uint64_t element) {
  const philox4x32_ctr_t words = cohort_random_words(key, element, 0);
  return ((double)(words.v[0] >> 5) * 0x1p26 + (double)(words.v[1] >> 6)) * 0x1p-53;
}

/* ---- the largest of values ---- */

/* A heap of what is kept, whose first would go first: the smallest, of equal ones the last client. */
typedef struct kept {
  int64_t count, *client;
  double *value;
} kept;

static bool goes_first(const kept *own, int64_t a, int64_t b) {
  return own->value[a] < own->value[b] || (own->value[a] <= own->value[b] && own->client[a] > own->client[b]);
}

static void exchange(kept *own, int64_t a, int64_t b) {
  const double value = own->value[a];
  const int64_t client = own->client[a];
  own->value[a] = own->value[b];
  own->client[a] = own->client[b];
  own->value[b] = value;
  own->client[b] = client;
}

static void sink(kept *own, int64_t at) {
  for (int64_t child; (child = 2 * at + 1) < own->count; at = child) {
    if (child + 1 < own->count && goes_first(own, child + 1, child)) child++;
    if (goes_first(own, at, child)) return;
    exchange(own, at, child);
  }
}

static void offer(kept *own, int64_t most, int64_t client, double value) {
  if (!(value == value) || most < 1) return;
  if (own->count < most) {
    int64_t at = own->count++;
    own->client[at] = client;
    own->value[at] = value;
    for (; at > 0 && goes_first(own, at, (at - 1) / 2); at = (at - 1) / 2) exchange(own, at, (at - 1) / 2);
    return;
  }
  if (value < own->value[0] || (value <= own->value[0] && client > own->client[0])) return;
  own->client[0] = client;
  own->value[0] = value;
  sink(own, 0);
}

/* The largest first. */
static int64_t take_all(kept *own, int64_t *client) {
  const int64_t count = own->count;
  while (own->count > 0) {
    client[own->count - 1] = own->client[0];
    exchange(own, 0, --own->count);
    sink(own, 0);
  }
  return count;
}

static kept make_room(const cohort_sampler_round *round, int64_t count) {
  return (kept){.client = round->memory(round, (size_t)count * sizeof(int64_t)),
                .value = round->memory(round, (size_t)count * sizeof(double))};
}

int64_t cohort_sampler_largest(const cohort_sampler_round *round, const double *value, int64_t count, int64_t *client) {
  kept own = make_room(round, count);
  for (int64_t c = 0; c < round->clients; c++) offer(&own, count, c, value[c]);
  return take_all(&own, client);
}

int64_t cohort_sampler_race(const cohort_sampler_round *round, cohort_random_key key, int64_t candidates,
                            const int64_t *among, const double *weight, int64_t count, int64_t *client) {
  kept own = make_room(round, count);
  for (int64_t i = 0; i < candidates; i++) {
    const int64_t c = among ? among[i] : i;
    /* The first to arrive of races whose rates are the weights. */
    const double uniform = cohort_sampler_fraction(key, (uint64_t)c) + 0x1p-54;
    if (weight[i] > 0) offer(&own, count, c, log(uniform) / weight[i]);
  }
  return take_all(&own, client);
}

/* ---- the probe ---- */

static bool learns(const cohort_method *method) { return ((const cohort_sampler *)method->functions)->learn != NULL; }
static bool is_timed(const cohort_method *method) { return ((const cohort_sampler *)method->functions)->timed; }

static const cohort_probe_array inputs[] = {
    {"samples", COHORT_ARRAY_OF_REAL, {"clients"}, .constraint = "0 <= value", .meaning = "that each client holds"},
    {"losses",
     COHORT_ARRAY_OF_REAL,
     {"rounds", "clients"},
     .when = learns,
     .meaning = "mean loss that each client would have if it took part"},
    {"seconds",
     COHORT_ARRAY_OF_REAL,
     {"clients"},
     .when = is_timed,
     .constraint = "0 <= value",
     .meaning = "that each client takes for a round"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"present", COHORT_ARRAY_OF_INTEGER, {"rounds", "clients"}, .meaning = "1: takes part and is waited for, else 0"},
    {"share",
     COHORT_ARRAY_OF_REAL,
     {"rounds", "clients"},
     .meaning = "weight of the change where the sampler gives it; else 0"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"rounds", "10", "1", NULL, .meaning = "rounds"},
    {"clients_per_round", "2", "1", NULL, .meaning = "clients wanted"},
    {"seed", "1", "0", NULL, .meaning = "of the draws: that of a run gives its rounds"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"clients", 2, 12, NULL, .meaning = "clients of the population"},
    {"rounds", 1, 10, NULL, .meaning = "rounds, one after another"},
    {.name = NULL},
};

typedef struct probed {
  const cohort_probe_call *call;
  const double *seconds, *losses; /* losses: of all rounds */
} probed;

static void ask_losses(const cohort_sampler_round *round, int64_t count, const int64_t *client, double *loss) {
  const probed *own = round->implementation;
  for (int64_t i = 0; i < count; i++) loss[i] = own->losses[round->number * round->clients + client[i]];
}

static double seconds_of(const cohort_sampler_round *round, int64_t client) {
  return ((const probed *)round->implementation)->seconds[client];
}

static void *take(const cohort_sampler_round *round, size_t bytes) {
  const cohort_probe_call *call = ((const probed *)round->implementation)->call;
  return call->memory(call, (int64_t)(bytes / sizeof(double) + 1));
}

cohort_random_key cohort_sampler_key(uint64_t seed) {
  const cohort_random_key of_run = cohort_random_key_derive_name(cohort_random_key_from_seed(seed), "federated");
  return cohort_random_key_derive_name(of_run, "cohort");
}

int64_t cohort_sampler_finishers(const cohort_sampler_round *round, int64_t count, int64_t *client, double *weight,
                                 double *seconds) {
  if (count <= round->wanted) return count;
  bool *stays = round->memory(round, (size_t)count * sizeof *stays);
  int64_t *place = round->memory(round, (size_t)round->wanted * sizeof *place), left = 0;
  kept own = make_room(round, round->wanted);
  for (int64_t i = 0; i < count; i++) offer(&own, round->wanted, i, -seconds[i]);
  const int64_t found = take_all(&own, place);
  for (int64_t i = 0; i < found; i++) stays[place[i]] = true;
  for (int64_t i = 0; i < count; i++) {
    if (!stays[i]) continue;
    client[left] = client[i];
    seconds[left] = seconds[i];
    if (weight) weight[left] = weight[i];
    left++;
  }
  return left;
}

static void run_round(const cohort_probe_call *call, const cohort_sampler_round *round, const double *losses,
                      double *present, double *share) {
  const cohort_sampler *functions = call->method->functions;
  const int64_t most = functions->most(call->config, round->clients, round->wanted);
  int64_t *client = round->memory(round, (size_t)(most + 1) * sizeof *client);
  double *weight = functions->shares ? round->memory(round, (size_t)(most + 1) * sizeof *weight) : NULL;
  int64_t count = functions->choose(call->config, round, client, weight);
  double *seconds = round->memory(round, (size_t)(most + 1) * sizeof *seconds);
  for (int64_t i = 0; functions->waits && i < count; i++) seconds[i] = round->seconds(round, client[i]);
  if (functions->waits) count = cohort_sampler_finishers(round, count, client, weight, seconds);
  double *loss = round->memory(round, (size_t)(count + 1) * sizeof *loss);
  for (int64_t i = 0; i < count; i++) {
    present[client[i]] = 1;
    if (weight) share[client[i]] = weight[i];
    if (losses) loss[i] = losses[client[i]];
  }
  const cohort_sampler_outcome outcome = {.present = count, .client = client, .loss = loss};
  if (functions->learn) functions->learn(call->config, round, &outcome);
}

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  const cohort_sampler *functions = call->method->functions;
  const double *samples = call->input(call, "samples"), *losses = functions->learn ? call->input(call, "losses") : NULL;
  double *present = call->output(call, "present"), *share = call->output(call, "share");
  probed own = {.call = call, .losses = losses, .seconds = functions->timed ? call->input(call, "seconds") : NULL};
  cohort_sampler_round round = {.clients = call->size(call, "clients"),
                                .wanted = call->setting(call, "clients_per_round"),
                                .seconds = own.seconds ? seconds_of : NULL,
                                .ask = ask_losses,
                                .memory = take,
                                .implementation = &own};
  if (round.wanted > round.clients)
    return cohort_fail(error, COHORT_BAD_CONFIG, "clients_per_round: %lld is more than the %lld clients",
                       (long long)round.wanted, (long long)round.clients);
  int64_t *first = take(&round, (size_t)(round.clients + 1) * sizeof *first);
  for (int64_t c = 0; c < round.clients; c++) first[c + 1] = first[c] + (int64_t)samples[c];
  round.first = first;
  round.numbers = take(&round, (size_t)(round.clients * functions->numbers + 1) * sizeof(double));
  round.totals = take(&round, (size_t)(functions->totals + 1) * sizeof(double));
  for (int64_t i = 0; i < round.clients * functions->numbers; i++) round.numbers[i] = NAN;
  const cohort_random_key key = cohort_sampler_key((uint64_t)call->setting(call, "seed"));
  for (int64_t r = 0; r < call->setting(call, "rounds"); r++) {
    round.number = r;
    round.key = cohort_random_key_derive(key, (uint64_t)r);
    run_round(call, &round, losses ? losses + r * round.clients : NULL, present + r * round.clients,
              share + r * round.clients);
  }
  return COHORT_DONE;
}

const cohort_family cohort_family_sampler = {
    .name = "sampler",
    .summary = "a rule for who takes part in a round",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
