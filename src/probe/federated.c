/* Probe of a strategy: the server's optimizer on recorded changes of clients, or whole rounds of clients whose losses
 * are quadratic, by the engine of clients that trains (train/engine/clients.h). A round of these costs a product with a
 * client's matrix for each of its steps. */
#include "train/engine/federated.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/asynchronous/asynchronous.h"
#include "probe/federated_network.h"
#include "probe/rounds.h"
#include "train/engine/privacy.h"

/* Numbers of a vector without the padding between tensors, one after another, as arrays have them; returns them. */
static void *pack(const cohort_probe_engine *engine, const void *vector, void *packed) {
  const size_t real = cohort_probe_real_size(engine->probe);
  char *to = packed;
  for (int t = 0; t < engine->space->tensors; t++) {
    const cohort_space_tensor *tensor = &engine->space->tensor[t];
    memcpy(to, (const char *)vector + (size_t)tensor->offset * real, (size_t)tensor->elements * real);
    to += (size_t)tensor->elements * real;
  }
  return packed;
}

static void unpack(const cohort_probe_engine *engine, const void *packed, void *vector) {
  const size_t real = cohort_probe_real_size(engine->probe);
  const char *from = packed;
  for (int t = 0; t < engine->space->tensors; t++) {
    const cohort_space_tensor *tensor = &engine->space->tensor[t];
    memcpy((char *)vector + (size_t)tensor->offset * real, from, (size_t)tensor->elements * real);
    from += (size_t)tensor->elements * real;
  }
}

/* The same of the personal tensors alone, each with the padding behind it; returns how many numbers. `packed` NULL:
 * only counts. */
static int64_t pack_personal(const cohort_probe_engine *engine, const char *row, char *packed) {
  const cohort_probe_state *probe = engine->probe;
  const cohort_space *space = engine->space;
  const cohort_federated *strategy = probe->choice.method->functions;
  const size_t real = cohort_probe_real_size(probe);
  int64_t count = 0, at = 0;
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    if (!strategy->personal(probe->choice.config, &tensor->declared, t, space->tensors)) continue;
    if (packed) memcpy(packed + (size_t)count * real, row + (size_t)at * real, (size_t)tensor->elements * real);
    at += (t + 1 < space->tensors ? space->tensor[t + 1].offset : space->elements) - tensor->offset;
    count += tensor->elements;
  }
  return count;
}

/* Minus the clients' mean change, weighted by their samples: what a round hands to the server's optimizer. */
static void average(const cohort_probe_state *probe, int64_t round, void *gradient) {
  const cohort_array *deltas = cohort_probe_input(probe, "deltas"), *samples = cohort_probe_input(probe, "samples");
  const int64_t clients = deltas->size[1], n = deltas->size[2];
  double total = 0;
  for (int64_t c = 0; c < clients; c++) total += cohort_array_get(samples, round * clients + c);
  for (int64_t e = 0; e < n; e++) {
    double sum = 0;
    for (int64_t c = 0; c < clients; c++)
      sum += cohort_array_get(samples, round * clients + c) * cohort_array_get(deltas, (round * clients + c) * n + e);
    cohort_probe_set(probe, gradient, e, -sum / total);
  }
}

/* A round as an oracle. */
typedef struct round_state {
  cohort_probe_engine *engine;
  cohort_clients *clients;       /* NULL: changes are recorded */
  cohort_probe_network *network; /* NULL: clients are quadratic */
  cohort_round round;
  int64_t *client, *steps; /* [clients] */
  double *samples, *cost;
  const cohort_choice *strategy, *asynchronous; /* asynchronous: or NULL */
  /* Where changes come late. */
  int64_t *version;   /* [clients] */
  const void **start; /* [clients] */
  double *share;      /* [clients] */
  void *weight;       /* [rounds][clients], in the probe's type */
  char *before;       /* [rounds]: weights before each round, `row` bytes apart */
  size_t row;
  cohort_round_module private; /* its name is NULL when there is none */
  double *equal;               /* [clients]: weights of changes under a bound; or NULL */
} round_state;

static cohort_status ask_clients(const round_state *own, const void *weights, void **rows, double *losses,
                                 cohort_error *error) {
  COHORT_TRY(cohort_clients_run(own->clients, &own->round, weights, rows, losses, error));
  if (!own->round.present) losses[0] = 0;
  return COHORT_DONE;
}

static cohort_status answer(void *argument, const cohort_ask *ask, void **rows, double *losses, cohort_error *error) {
  const round_state *own = argument;
  if (own->clients) return ask_clients(own, ask->point->vector->values, rows, losses, error);
  average(own->engine->probe, own->round.number, own->engine->rows);
  *rows = own->engine->rows;
  losses[0] = 0;
  return COHORT_DONE;
}

/* A client's loss w'Aw/2 - b'w + c and its gradient; of A the symmetric part counts. */
static bool ask_quadratic(void *argument, const cohort_client_question *question, double *loss) {
  const int64_t client = question->client; /* which has one sample, its loss */
  const void *point = question->point;
  const cohort_probe_state *probe = argument;
  const cohort_array *A = cohort_probe_input(probe, "problem/A"), *b = cohort_probe_input(probe, "problem/b");
  const cohort_array *c = cohort_probe_input(probe, "problem/c");
  const int64_t n = A->size[1], matrix = client * n * n;
  *loss = c ? cohort_array_get(c, client) : 0;
  for (int64_t i = 0; i < n; i++) {
    const double linear = cohort_array_get(b, client * n + i);
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
      sum += 0.5 * (cohort_array_get(A, matrix + i * n + j) + cohort_array_get(A, matrix + j * n + i)) *
             cohort_probe_get(probe, point, j);
    if (question->gradient) cohort_probe_set(probe, question->gradient, i, sum - linear);
    *loss += (0.5 * sum - linear) * cohort_probe_get(probe, point, i);
  }
  return true;
}

/* When a client began: so many steps of the server ago, at the first at most. */
static void find_start(round_state *own, int64_t round, int64_t client, int at) {
  const cohort_array *delay = cohort_probe_input(own->engine->probe, "delay");
  const int64_t late = (int64_t)cohort_array_get(delay, round * delay->size[1] + client);
  own->version[at] = late < round ? round - late : 0;
  own->start[at] = own->before + (size_t)own->version[at] * own->row;
}

/* What late changes weigh: as a run has it (train/engine/arrivals.c). */
static void weigh_late(round_state *own, int64_t round) {
  const cohort_asynchronous *functions = own->asynchronous->method->functions;
  const void *config = own->asynchronous->config;
  const bool by_samples = functions->by_samples && functions->by_samples(config);
  const int64_t clients = cohort_probe_size_of(own->engine->probe, "clients");
  double samples = 0;
  for (int i = 0; i < own->round.present; i++) samples += own->samples[i];
  for (int i = 0; i < own->round.present; i++) {
    own->share[i] = (by_samples ? own->samples[i] / samples : 1.0 / own->round.present) *
                    functions->weight(config, round - own->version[i]);
    cohort_probe_set(own->engine->probe, own->weight, round * clients + own->client[i], own->share[i]);
  }
  own->round.share = own->share;
}

/* A model that is mixed in is a change from the server's weights. */
static cohort_status mix(void *argument, const cohort_round *round, const double *applied, void *change,
                         cohort_error *error) {
  const round_state *own = argument;
  const cohort_probe_state *probe = own->engine->probe;
  const char *now = own->before + (size_t)round->number * own->row;
  (void)applied, (void)error;
  for (int i = 0; i < round->present; i++)
    for (int64_t e = 0; e < cohort_probe_size_of(probe, "n"); e++)
      cohort_probe_set(probe, change, e,
                       cohort_probe_get(probe, change, e) + own->share[i] * (cohort_probe_get(probe, own->start[i], e) -
                                                                             cohort_probe_get(probe, now, e)));
  return COHORT_DONE;
}

/* Who takes part, and how many steps each takes. */
static void choose(round_state *own, int64_t round) {
  const cohort_probe_state *probe = own->engine->probe;
  const cohort_array *steps = cohort_probe_input(probe, "steps"), *present = cohort_probe_input(probe, "present");
  const cohort_array *samples = cohort_probe_input(probe, "samples");
  const int64_t clients = samples->size[1];
  int count = 0;
  for (int64_t c = 0; c < clients; c++) {
    const int64_t at = round * clients + c;
    if (present && cohort_array_get(present, at) <= 0) continue;
    own->client[count] = c;
    own->steps[count] = steps ? (int64_t)cohort_array_get(steps, at) : cohort_probe_setting_value(probe, "local_steps");
    own->samples[count] = cohort_array_get(samples, at);
    own->cost[count] = (double)own->steps[count];
    if (own->before) find_start(own, round, c, count);
    count++;
  }
  own->round = (cohort_round){.number = round,
                              .present = count,
                              .client = own->client,
                              .steps = own->steps,
                              .samples = own->samples,
                              .cost = own->cost,
                              .factor = 1,
                              .version = own->before ? own->version : NULL,
                              .start = own->before ? own->start : NULL};
  if (own->asynchronous) weigh_late(own, round);
  if (own->equal) own->round.share = own->equal;
}

/* Memory of starts that lie back. */
static void make_history(round_state *own) {
  cohort_probe_state *probe = own->engine->probe;
  const size_t clients = (size_t)cohort_probe_size_of(probe, "clients"),
               rounds = (size_t)cohort_probe_size_of(probe, "rounds");
  if (!cohort_probe_input(probe, "delay")) return;
  own->row = cohort_round_up((size_t)own->engine->space->elements * cohort_probe_real_size(probe), COHORT_ALIGNMENT);
  own->before = cohort_probe_memory(probe, rounds * own->row);
  own->version = cohort_probe_memory(probe, clients * sizeof *own->version);
  own->start = cohort_probe_memory(probe, clients * sizeof *own->start);
  own->share = cohort_probe_memory(probe, clients * sizeof *own->share);
  if (own->asynchronous)
    own->weight = cohort_probe_output(probe, "weight", COHORT_SHAPE((int64_t)rounds, (int64_t)clients));
}

/* ---- clipping and noise, by the module that trains ---- */

/* With a bound as in a run: changes weigh the same. Without one noise is added to the joined change as it is. */
static cohort_status make_private(cohort_probe_engine *engine, const cohort_choice *strategy, cohort_round_module *out,
                                  cohort_error *error) {
  cohort_probe_state *probe = engine->probe;
  const double clip = cohort_probe_real_setting(probe, "clip"), noise = cohort_probe_real_setting(probe, "noise");
  const double expected = cohort_probe_real_setting(probe, "expected"), far = 1e30; /* a bound that binds nobody */
  const cohort_array *drawn = cohort_probe_input(probe, "draws/noise");
  if (clip <= 0 && expected > 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: expected belongs to clip; give clip");
  if (clip <= 0 && noise <= 0 && !drawn) return COHORT_DONE;
  if (cohort_probe_input(probe, "deltas"))
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "command line: clip and noise belong to a problem; recorded changes are taken as they are");
  const double multiplier = noise > 0 || !drawn ? noise : 1;
  const cohort_choice_number number[2] = {{"clip", clip > 0 ? clip : far},
                                          {"noise", clip > 0 ? multiplier : multiplier / far}};
  cohort_choice mechanism;
  COHORT_TRY(cohort_choice_make(probe->variant, "privacy", "gaussian", 2, number, &mechanism, error));
  double *draws = NULL;
  if (drawn) {
    const int64_t count = cohort_array_elements(drawn);
    draws = cohort_probe_memory(probe, (size_t)count * sizeof *draws);
    for (int64_t i = 0; i < count; i++) draws[i] = cohort_array_get(drawn, i);
  }
  const int64_t clients = cohort_probe_size_of(probe, "clients"), rounds = cohort_probe_size_of(probe, "rounds");
  const cohort_private_rounds_options options = {.comm = &engine->alone,
                                                 .mechanism = &mechanism,
                                                 .strategy = strategy->method->functions,
                                                 .space = engine->space,
                                                 .real = cohort_probe_real_size(probe),
                                                 .threads = 1,
                                                 .population = expected > (double)clients ? (int64_t)expected : clients,
                                                 .present = clip <= 0      ? 1
                                                            : expected > 0 ? expected
                                                                           : (double)clients,
                                                 .poisson = true,
                                                 .rounds = rounds,
                                                 .every = rounds,
                                                 .seed = (uint64_t)cohort_probe_setting_value(probe, "seed"),
                                                 .drawn = draws};
  cohort_faults faults = {NULL, 0};
  const cohort_status status = cohort_private_rounds_create(&options, &faults, out, error);
  cohort_faults_release(&faults);
  cohort_choice_release(&mechanism);
  return status;
}

static cohort_status make_clients(round_state *own, cohort_error *error) {
  cohort_probe_state *probe = own->engine->probe;
  const size_t clients = (size_t)cohort_probe_size_of(probe, "clients");
  own->client = cohort_probe_memory(probe, clients * sizeof *own->client);
  own->steps = cohort_probe_memory(probe, clients * sizeof *own->steps);
  own->samples = cohort_probe_memory(probe, clients * sizeof *own->samples);
  own->cost = cohort_probe_memory(probe, clients * sizeof *own->cost);
  const cohort_choice_number number[2] = {{"learning_rate", cohort_probe_real_setting(probe, "client_learning_rate")},
                                          {"momentum", cohort_probe_real_setting(probe, "client_momentum")}};
  cohort_choice client;
  COHORT_TRY(cohort_choice_make(probe->variant, "optimizer", "sgd", 2, number, &client, error));
  cohort_client_source source = {probe, ask_quadratic};
  if (own->network) source = (cohort_client_source){own->network, cohort_probe_network_ask};
  if (own->network) cohort_probe_network_place(own->network, own->engine->space);
  const bool mixes = own->asynchronous && ((const cohort_asynchronous *)own->asynchronous->method->functions)->mixes;
  const cohort_round_module module = {.name = "arrivals", .argument = own, .joined = mix};
  const cohort_clients_options options = {.comm = &own->engine->alone,
                                          .threads = 1,
                                          .strategy = own->strategy,
                                          .made = &client,
                                          .population = (int64_t)clients,
                                          .space = own->engine->space,
                                          .variant = probe->variant,
                                          .source = source,
                                          .modules = mixes || own->private.name,
                                          .module = own->private.name ? &own->private : &module};
  if (own->private.name && cohort_probe_real_setting(probe, "clip") > 0)
    own->equal = cohort_probe_memory(probe, clients * sizeof *own->equal);
  for (size_t c = 0; c < clients && own->equal; c++) own->equal[c] = cohort_private_rounds_share(&own->private);
  make_history(own);
  cohort_faults faults = {NULL, 0};
  const cohort_status status = cohort_clients_create(&options, &faults, &own->clients, error);
  cohort_faults_release(&faults);
  cohort_choice_release(&client);
  return status;
}

static cohort_federated_layout layout_of(const round_state *own, const char *name) {
  const cohort_federated *strategy = own->strategy->method->functions;
  const cohort_federated_vector *v = strategy->vectors;
  while (strcmp(v->name, name) != 0) v++;
  return v->layout;
}

/* What the strategy keeps: the server's vectors, and the clients' by number. */
static void output_states(const round_state *own) {
  cohort_probe_state *probe = own->engine->probe;
  const int64_t n = cohort_probe_size_of(probe, "n"), clients = cohort_probe_size_of(probe, "clients");
  const size_t real = cohort_probe_real_size(probe);
  cohort_clients_kept kept;
  for (int i = 0; cohort_clients_keep(own->clients, i, &kept); i++) {
    const int64_t count = kept.like_weights ? n : kept.elements;
    char *path = cohort_format_text("state/%s", kept.name),
         *out = cohort_probe_output(probe, path, COHORT_SHAPE(count));
    if (kept.like_weights) pack(own->engine, kept.values, out);
    for (int64_t k = 0; !kept.like_weights && k < count; k++)
      cohort_probe_set(probe, out, k, ((const double *)kept.values)[k]);
    free(path);
  }
  cohort_row_table *table = cohort_clients_table(own->clients);
  if (!table) return;
  void *rows[COHORT_MAX_ROW_COLUMNS];
  for (int c = 0; c < cohort_row_table_columns(table); c++)
    rows[c] =
        cohort_probe_memory(probe, (size_t)(clients * cohort_row_table_column(table, c)->elements) * sizeof(double));
  for (int64_t c = 0; c < clients; c++) own->client[c] = c;
  cohort_row_table_read(table, clients, own->client, rows, NULL);
  for (int c = 0; c < cohort_row_table_columns(table); c++) {
    const cohort_row_column *column = cohort_row_table_column(table, c);
    const cohort_federated_layout layout = layout_of(own, column->name);
    const bool personal = layout == COHORT_LIKE_PERSONAL;
    const int64_t elements = column->elements,
                  own_elements = personal ? pack_personal(own->engine, NULL, NULL) : elements;
    const int64_t shown = layout == COHORT_LIKE_WEIGHTS ? n : own_elements;
    char *path = cohort_format_text("state/%s", column->name);
    char *out = cohort_probe_output(probe, path, COHORT_SHAPE(clients, shown));
    for (int64_t client = 0; client < clients; client++) {
      const size_t at = (size_t)(client * elements);
      if (layout == COHORT_LIKE_WEIGHTS)
        pack(own->engine, (char *)rows[c] + at * real, out + (size_t)(client * n) * real);
      else if (personal)
        (void)pack_personal(own->engine, (char *)rows[c] + at * real, out + (size_t)(client * shown) * real);
      for (int64_t e = 0; e < elements && layout == COHORT_LIKE_NUMBERS; e++)
        cohort_probe_set(probe, out, (int64_t)at + e, ((const double *)rows[c])[at + (size_t)e]);
    }
    free(path);
  }
}

static cohort_status take_rounds(round_state *own, cohort_error *error) {
  cohort_probe_engine *engine = own->engine;
  cohort_probe_state *probe = engine->probe;
  const cohort_array *start = cohort_probe_input(probe, "parameters");
  const int64_t n = start->size[0], rounds = cohort_probe_size_of(probe, "rounds");
  const size_t bytes = (size_t)n * cohort_probe_real_size(probe);
  const size_t row = (size_t)engine->space->elements * cohort_probe_real_size(probe);
  unpack(engine, start->data, engine->weights.values);
  char *out = cohort_probe_output(probe, "parameters", COHORT_SHAPE(rounds, n));
  const cohort_oracle oracle = {.argument = own, .objectives = 1, .ask = answer};
  for (int64_t round = 0; round < rounds; round++) {
    own->round.number = round;
    if (own->before) memcpy(own->before + (size_t)round * own->row, engine->weights.values, row);
    if (own->clients) choose(own, round);
    cohort_step_report report = {.applied = true};
    /* A round that nobody takes part in changes nothing, but for noise. */
    const bool acts = !own->clients || own->round.present || own->private.name;
    if (acts) COHORT_TRY(cohort_updater_step(engine->updater, &oracle, round, rounds, &report, error));
    if (!report.applied)
      return cohort_fail(error, COHORT_DIVERGED, "%s %s: round %lld is not finite", probe->family->name,
                         probe->choice.method->key, (long long)round + 1);
    if (own->clients && acts) cohort_clients_commit(own->clients, engine->weights.values);
    pack(engine, engine->weights.values, out + (size_t)round * bytes);
  }
  if (own->clients) output_states(own);
  return COHORT_DONE;
}

void cohort_probe_repeat_samples(cohort_probe_state *probe) {
  static const char *const by_round[] = {"deltas", "steps", "present", "delay"};
  cohort_array *samples = cohort_arrays_find(&probe->in, "samples");
  if (!samples || samples->axes != 1 || samples->type != COHORT_ARRAY_INT32) return;
  int64_t rounds = cohort_probe_setting_value(probe, "rounds");
  for (size_t i = 0; i < sizeof by_round / sizeof *by_round; i++) {
    const cohort_array *array = cohort_probe_input(probe, by_round[i]);
    if (array && array->axes >= 2) rounds = array->size[0];
  }
  const int64_t clients = samples->size[0];
  int32_t *all = cohort_allocate((size_t)(rounds * clients) * sizeof *all + 1);
  for (int64_t i = 0; i < rounds * clients; i++) all[i] = ((const int32_t *)samples->data)[i % clients];
  free(samples->data);
  samples->data = all;
  samples->axes = 2;
  samples->size[0] = rounds;
  samples->size[1] = clients;
}

cohort_status cohort_probe_rounds(cohort_probe_state *probe, const cohort_choice *strategy,
                                  const cohort_choice *asynchronous, cohort_error *error) {
  const cohort_array *start = cohort_probe_input(probe, "parameters");
  cohort_probe_tensor tensor[COHORT_NETWORK_TENSORS] = {{.name = "parameters", .shape = COHORT_SHAPE(start->size[0])}};
  int tensors = 1;
  cohort_choice server = {NULL, NULL};
  cohort_probe_engine engine = {NULL};
  round_state own = {.engine = &engine, .strategy = strategy, .asynchronous = asynchronous};
  cohort_status status = cohort_federation_server(probe->variant, strategy, &server, error);
  if (status == COHORT_DONE && cohort_probe_input(probe, "problem/x")) {
    status = cohort_probe_network_create(probe, &own.network, error);
    tensors = COHORT_NETWORK_TENSORS;
    if (status == COHORT_DONE) cohort_probe_network_tensors(own.network, tensor);
  }
  if (status == COHORT_DONE)
    status = cohort_probe_engine_create(probe, NULL, &server, "server", 1, tensors, tensor, &engine, error);
  if (status == COHORT_DONE && !asynchronous) status = make_private(&engine, strategy, &own.private, error);
  if (status == COHORT_DONE && !cohort_probe_input(probe, "deltas")) status = make_clients(&own, error);
  if (status == COHORT_DONE) status = take_rounds(&own, error);
  cohort_clients_destroy(own.clients);
  if (own.private.release) own.private.release(own.private.argument);
  cohort_probe_network_destroy(own.network);
  cohort_probe_engine_destroy(&engine);
  cohort_choice_release(&server);
  return status;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  return cohort_probe_rounds(probe, &probe->choice, NULL, error);
}

const cohort_probe_program cohort_probe_federated = {
    .family = "federated", .bind = cohort_probe_repeat_samples, .run = run};
