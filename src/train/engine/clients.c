/* Clients of a round as items. What a client draws depends on (round, client) alone, what it leaves on nothing else
 * that runs beside it.
 *
 *   table "clients" --rows of own clients--> trainers (one a thread) --changes, uploads--> tree --> server's gradient
 *         ^                                                                                  |
 *         +------- commit: rows go home; the server's vectors receive the uploads <----------+ step applied
 *
 * Time is that of the busiest rank's clients; memory is a few vectors a thread, and the rows of a rank's clients. */
#include "train/engine/clients.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "update/algebra.h"

/* What one executor trains clients with, one after another. */
typedef struct client_trainer {
  cohort_space *space;
  cohort_vector weights;
  void *memory[3]; /* weights, gradient, scratch */
  cohort_comm alone;
  cohort_shard_group *members;
  cohort_updater *updater;
} client_trainer;

struct cohort_clients {
  cohort_clients_options options;
  const cohort_federated *strategy; /* or NULL */
  const cohort_kernel_set *kernels;
  const cohort_algebra *algebra;
  size_t real;
  int64_t elements;
  int vectors, rows, uploads;              /* of the strategy; those of a client, uploads */
  int place[COHORT_MAX_FEDERATED_VECTORS]; /* of a vector among those of its side */
  client_trainer *trainer;                 /* [threads] */
  cohort_items *items;
  cohort_row_table *table;                    /* or NULL */
  void *server[COHORT_MAX_FEDERATED_VECTORS]; /* by vector; NULL: not the server's */
  /* The round. */
  cohort_round round;
  const void *weights;
  cohort_item_order order;
  double *share; /* [present] */
  int own;       /* clients of this rank */
  int *own_of;   /* [present]: which of them; -1 */
  int64_t *own_client, *own_position;
  char *row[COHORT_MAX_FEDERATED_VECTORS]; /* [own][elements], by vector; NULL: not the clients' */
  cohort_scratch row_room[COHORT_MAX_FEDERATED_VECTORS], share_room, own_of_room, client_room, position_room;
  const char *sum; /* change, uploads */
};

/* ---- making ---- */

/* The model's tensors once more: weights and pieces of a client are its own. */
static cohort_space *copy_space(const cohort_space *space) {
  cohort_parameter_tensor *declared = cohort_allocate((size_t)(space->tensors + 1) * sizeof *declared);
  for (int t = 0; t < space->tensors; t++) declared[t] = space->tensor[t].declared;
  cohort_space *copy = cohort_space_of(space->name, space->tensors, declared);
  free(declared);
  return copy;
}

static cohort_status create_trainer(const cohort_clients *clients, client_trainer *trainer, bool first,
                                    cohort_faults *faults, cohort_error *error) {
  const cohort_clients_options *options = &clients->options;
  trainer->space = copy_space(options->space);
  trainer->alone = cohort_comm_alone();
  COHORT_TRY(cohort_shard_group_create(&trainer->alone, false, &trainer->members, error));
  for (int i = 0; i < 3 && !options->plan_only; i++)
    COHORT_TRY(cohort_memory_create((size_t)clients->elements * clients->real, "a client's vectors",
                                    &trainer->memory[i], error));
  const cohort_updater_options own = {.optimizer = options->client,
                                      .made = options->made,
                                      .groups = options->client_groups,
                                      .expanded = first ? options->expanded : NULL,
                                      .optimizer_path = "client",
                                      .groups_path = "client_groups",
                                      .clip = options->client_clip,
                                      .activity = COHORT_ACTIVITY_LOCAL,
                                      .unjudged = options->client_clip <= 0,
                                      .seed = options->seed,
                                      .space = trainer->space,
                                      .comm = &trainer->alone,
                                      .kernels = clients->kernels,
                                      .variant = options->variant,
                                      .threads = 1,
                                      .plan_only = options->plan_only,
                                      .objectives = 1,
                                      .sharding = COHORT_SHARDING_OPTIMIZER,
                                      .members = trainer->members,
                                      .sizes = {trainer->space->elements + 1, trainer->space->elements + 1}};
  COHORT_TRY(cohort_updater_create(&own, faults, &trainer->updater, error));
  if (cohort_updater_needs_of(trainer->updater).wants & ~(unsigned)COHORT_WANTS_GRADIENT)
    cohort_faults_add(faults, options->client,
                      "federated.client: it asks for more than gradients, which clients do not give; take another");
  COHORT_TRY(cohort_faults_status(faults, error));
  if (options->plan_only) return COHORT_DONE;
  trainer->space->values = trainer->memory[0];
  trainer->weights.values = trainer->memory[0];
  return cohort_updater_connect(trainer->updater, &(cohort_updater_connection){.weights = &trainer->weights}, error);
}

static void destroy_trainer(client_trainer *trainer) {
  cohort_updater_destroy(trainer->updater);
  cohort_shard_group_destroy(trainer->members);
  for (int i = 0; i < 3; i++) cohort_memory_release(trainer->memory[i]);
  cohort_space_destroy(trainer->space);
}

/* Steps whose sum, divided by the rates, is a mean gradient. */
static void check_plain(const cohort_clients_options *options, cohort_faults *faults) {
  cohort_choice client = {NULL, NULL};
  if (options->made) client = cohort_choice_copy(options->made);
  if (!client.method)
    cohort_choice_read(options->variant, "optimizer", options->client, "client", &client, NULL, faults);
  if (!client.method) return;
  const bool plain = strcmp(client.method->key, "sgd") == 0 && cohort_choice_real(&client, "momentum", 1) <= 0 &&
                     cohort_document_is_null(options->client_groups) && options->client_clip <= 0;
  if (!plain)
    cohort_faults_add(faults, options->place,
                      "federated.client: %s needs local steps that are learning_rate times the gradient; take sgd "
                      "without momentum, and no client_groups or client_clip",
                      options->strategy->method->key);
  cohort_choice_release(&client);
}

static cohort_status make_vectors(cohort_clients *clients, cohort_error *error) {
  const cohort_federated_vector *vectors = clients->strategy ? clients->strategy->vectors : NULL;
  const size_t bytes = (size_t)clients->elements * clients->real;
  cohort_row_column column[COHORT_MAX_FEDERATED_VECTORS];
  for (; vectors && vectors[clients->vectors].name; clients->vectors++) {
    const int v = clients->vectors;
    if (vectors[v].side == COHORT_SIDE_SERVER && !clients->options.plan_only)
      COHORT_TRY(cohort_memory_create(bytes, "the server's vectors", &clients->server[v], error));
    if (vectors[v].side == COHORT_SIDE_UPLOAD) clients->place[v] = 1 + clients->uploads++;
    if (vectors[v].side != COHORT_SIDE_CLIENT) continue;
    clients->place[v] = clients->rows;
    column[clients->rows++] = (cohort_row_column){
        vectors[v].name, clients->real == sizeof(float) ? COHORT_STORED_FLOAT32 : COHORT_STORED_FLOAT64,
        clients->elements};
  }
  if (clients->rows) clients->table = cohort_row_table_create(clients->options.comm, "clients", clients->rows, column);
  return COHORT_DONE;
}

static cohort_status build(cohort_clients *clients, cohort_faults *faults, cohort_error *error) {
  const cohort_clients_options *options = &clients->options;
  if (clients->strategy && clients->strategy->plain) check_plain(options, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  COHORT_TRY(make_vectors(clients, error));
  clients->trainer = cohort_allocate((size_t)options->threads * sizeof *clients->trainer);
  for (int e = 0; e < (options->plan_only ? 1 : options->threads); e++)
    COHORT_TRY(create_trainer(clients, &clients->trainer[e], e == 0, faults, error));
  clients->items =
      cohort_items_create(options->comm, options->threads, clients->real, (1 + clients->uploads) * clients->elements);
  return COHORT_DONE;
}

cohort_status cohort_clients_create(const cohort_clients_options *options, cohort_faults *faults, cohort_clients **out,
                                    cohort_error *error) {
  cohort_clients *clients = cohort_allocate(sizeof *clients);
  clients->options = *options;
  clients->strategy = options->strategy ? options->strategy->method->functions : NULL;
  clients->kernels = cohort_updater_kernels(options->variant);
  clients->algebra = cohort_algebra_of(options->variant);
  clients->real = clients->kernels->real_size;
  clients->elements = options->space->elements;
  const cohort_status status = build(clients, faults, error);
  if (status != COHORT_DONE) {
    cohort_clients_destroy(clients);
    return status;
  }
  *out = clients;
  return COHORT_DONE;
}

void cohort_clients_destroy(cohort_clients *clients) {
  if (!clients) return;
  for (int e = 0; clients->trainer && e < clients->options.threads; e++) destroy_trainer(&clients->trainer[e]);
  for (int v = 0; v < COHORT_MAX_FEDERATED_VECTORS; v++) {
    cohort_memory_release(clients->server[v]);
    cohort_scratch_release(&clients->row_room[v]);
  }
  free(clients->trainer);
  cohort_items_destroy(clients->items);
  cohort_row_table_destroy(clients->table);
  cohort_item_order_release(&clients->order);
  cohort_scratch_release(&clients->share_room);
  cohort_scratch_release(&clients->own_of_room);
  cohort_scratch_release(&clients->client_room);
  cohort_scratch_release(&clients->position_room);
  free(clients);
}

cohort_row_table *cohort_clients_table(const cohort_clients *clients) { return clients->table; }

int cohort_clients_vectors(const cohort_clients *clients) {
  int count = 0;
  for (int v = 0; v < clients->vectors; v++) count += clients->strategy->vectors[v].side == COHORT_SIDE_SERVER;
  return count;
}

void *cohort_clients_vector(const cohort_clients *clients, int index, const char **name) {
  int v = 0;
  while (clients->strategy->vectors[v].side != COHORT_SIDE_SERVER || index-- > 0) v++;
  *name = clients->strategy->vectors[v].name;
  return clients->server[v];
}

int cohort_clients_uploads(const cohort_clients *clients) { return 1 + clients->uploads; }

double cohort_clients_kept_bytes(const cohort_clients *clients, double rounds, double present, int ranks) {
  const double vector = (double)clients->elements * (double)clients->real;
  const double ever = fmin((double)clients->options.population, rounds * present);
  return vector * (cohort_clients_vectors(clients) + clients->rows * (ever + present) / ranks);
}

double cohort_clients_message_bytes(const cohort_clients *clients, double present, int ranks) {
  return 2 * present / ranks * clients->rows * (double)clients->elements * (double)clients->real;
}

double cohort_clients_saving_bytes(const cohort_clients *clients, double rounds, double present, int ranks) {
  const double vector = (double)clients->elements * (double)clients->real;
  const double ever = fmin((double)clients->options.population, rounds * present);
  return vector * clients->rows * ever / ranks * (1 + 2 * (1 - 1.0 / ranks));
}

double cohort_clients_bytes(const cohort_clients *clients) {
  const cohort_updater *updater = clients->trainer[0].updater;
  const double vectors = 3 + cohort_updater_needs_of(updater).vectors;
  return vectors * (double)clients->elements * (double)clients->real + cohort_updater_state_bytes(updater);
}

void cohort_clients_record(cohort_clients *clients, cohort_recorder *const *recorder) {
  cohort_items_record(clients->items, recorder);
  for (int e = 0; e < clients->options.threads; e++)
    cohort_updater_record(clients->trainer[e].updater, recorder ? recorder[e] : NULL);
}

double cohort_clients_busy_seconds(cohort_clients *clients) { return cohort_items_busy_seconds(clients->items); }

/* ---- one client ---- */

/* A client in training: the oracle of its local steps, and the vectors that its strategy sees. */
typedef struct training {
  const cohort_clients *clients;
  client_trainer *trainer;
  int executor, item;
  int64_t step;
  char *row;         /* what it leaves: change, uploads */
  const void *point; /* where its gradient was asked for */
  double learning_rate;
} training;

static void *vector_of(const training *own, int vector) {
  const cohort_clients *clients = own->clients;
  const size_t bytes = (size_t)clients->elements * clients->real;
  if (vector == COHORT_CLIENT_START) return (void *)(uintptr_t)clients->weights;
  if (vector == COHORT_CLIENT_LOCAL) return (void *)(uintptr_t)own->point;
  if (vector == COHORT_CLIENT_GRADIENT) return own->trainer->memory[1];
  if (vector == COHORT_CLIENT_SCRATCH) return own->trainer->memory[2];
  const int v = vector - COHORT_CLIENT_VECTORS;
  if (clients->server[v]) return clients->server[v];
  if (clients->row[v]) return clients->row[v] + (size_t)clients->own_of[own->item] * bytes;
  return own->row + (size_t)clients->place[v] * bytes;
}

static void combine_client(const cohort_federated_client *client, int out, double alpha, int a, double beta, int b) {
  const training *own = client->implementation;
  own->clients->algebra->combine(own->clients->elements, vector_of(own, out), alpha, vector_of(own, a), beta,
                                 vector_of(own, b));
}

static cohort_federated_client view(const training *own) {
  return (cohort_federated_client){.config = own->clients->options.strategy->config,
                                   .steps = own->clients->round.steps[own->item],
                                   .learning_rate = own->learning_rate,
                                   .combine = combine_client,
                                   .implementation = own};
}

static cohort_status ask(void *argument, const cohort_ask *question, void **rows, double *losses, cohort_error *error) {
  training *own = argument;
  const cohort_clients *clients = own->clients;
  const cohort_client_source *source = &clients->options.source;
  own->point = question->point->vector->values;
  *rows = own->trainer->memory[1];
  if (!source->ask(source->argument, own->executor, clients->round.number, clients->round.client[own->item], own->step,
                   own->point, *rows, losses))
    return cohort_fail(error, COHORT_STOPPED, "stopped");
  if (clients->strategy && clients->strategy->correct) {
    const cohort_federated_client client = view(own);
    clients->strategy->correct(&client);
  }
  return COHORT_DONE;
}

static cohort_status train(void *argument, int executor, int item, void *row, double *numbers, cohort_error *error) {
  const cohort_clients *clients = argument;
  client_trainer *trainer = &clients->trainer[executor];
  const int64_t steps = clients->round.steps[item];
  training own = {.clients = clients, .trainer = trainer, .executor = executor, .item = item, .row = row};
  const cohort_oracle oracle = {.argument = &own, .objectives = 1, .ask = ask};
  double loss = 0;
  memcpy(trainer->memory[0], clients->weights, (size_t)clients->elements * clients->real);
  cohort_updater_reset(trainer->updater);
  for (own.step = 0; own.step < steps; own.step++) {
    cohort_step_report report;
    COHORT_TRY(
        cohort_updater_step_by(trainer->updater, &oracle, own.step, steps, clients->round.factor, &report, error));
    own.learning_rate = report.learning_rate;
    loss += report.losses[0];
  }
  own.point = trainer->memory[0];
  if (clients->strategy && clients->strategy->leave) {
    const cohort_federated_client client = view(&own);
    clients->strategy->leave(&client);
  }
  const double share = clients->share[item], each = 1.0 / clients->round.present;
  const cohort_algebra *algebra = clients->algebra;
  algebra->combine(clients->elements, row, 1, clients->weights, -1, trainer->memory[0]);
  algebra->combine(clients->elements, row, share, row, 0, row);
  for (int u = 1; u <= clients->uploads; u++) {
    char *upload = (char *)row + (size_t)(u * clients->elements) * clients->real;
    algebra->combine(clients->elements, upload, each, upload, 0, upload);
  }
  numbers[0] = share * loss / (double)steps;
  return COHORT_DONE;
}

/* ---- a round ---- */

/* Which clients this rank has, and what they keep. */
static void bring_rows(cohort_clients *clients) {
  const cohort_item_order *order = &clients->order;
  const int rank = clients->options.comm->rank, present = order->items;
  const int first = order->first[rank], own = order->first[rank + 1] - first;
  clients->own = own;
  clients->own_of = cohort_scratch_take(&clients->own_of_room, (size_t)present * sizeof *clients->own_of);
  for (int i = 0; i < own; i++) clients->own_of[order->item[first + i]] = i;
  if (!clients->table) return;
  clients->own_client = cohort_scratch_take(&clients->client_room, (size_t)own * sizeof *clients->own_client);
  clients->own_position = cohort_scratch_take(&clients->position_room, (size_t)own * sizeof *clients->own_position);
  void *column[COHORT_MAX_FEDERATED_VECTORS] = {NULL};
  for (int v = 0; v < clients->vectors; v++)
    if (clients->strategy->vectors[v].side == COHORT_SIDE_CLIENT)
      column[clients->place[v]] = clients->row[v] =
          cohort_scratch_take(&clients->row_room[v], (size_t)(own * clients->elements) * clients->real);
  for (int i = 0; i < own; i++) {
    clients->own_position[i] = order->item[first + i];
    clients->own_client[i] = clients->round.client[order->item[first + i]];
  }
  cohort_row_table_read(clients->table, own, clients->own_client, column, NULL);
}

cohort_status cohort_clients_run(cohort_clients *clients, const cohort_round *round, const void *weights,
                                 void **gradient, double *loss, cohort_error *error) {
  const bool uniform = clients->strategy && clients->strategy->uniform;
  double samples = 0;
  clients->round = *round;
  clients->weights = weights;
  cohort_item_order_create(round->present, round->cost, clients->options.comm->size, &clients->order);
  for (int i = 0; i < round->present; i++) samples += round->samples[i];
  clients->share = cohort_scratch_take(&clients->share_room, (size_t)round->present * sizeof *clients->share);
  for (int i = 0; i < round->present; i++)
    clients->share[i] = uniform ? 1.0 / round->present : round->samples[i] / samples;
  bring_rows(clients);
  const cohort_item_work work = {.argument = clients, .run = train, .numbers = 1};
  cohort_item_results results = {.sums = loss};
  cohort_items_run(clients->items, &clients->order, &work, &results);
  if (results.failed) {
    if (error) *error = results.error;
    return results.error.status;
  }
  clients->sum = results.sum;
  *gradient = (void *)(uintptr_t)results.sum;
  return COHORT_DONE;
}

const int *cohort_clients_own(const cohort_clients *clients, int *count) {
  *count = clients->own;
  return clients->order.item + clients->order.first[clients->options.comm->rank];
}

/* ---- what is kept ---- */

static void combine_server(const cohort_federated_server *server, int out, double alpha, int a, double beta, int b) {
  const cohort_clients *clients = server->implementation;
  const int vector[3] = {out - COHORT_CLIENT_VECTORS, a - COHORT_CLIENT_VECTORS, b - COHORT_CLIENT_VECTORS};
  void *values[3];
  for (int i = 0; i < 3; i++) {
    const size_t at = (size_t)(clients->place[vector[i]] * clients->elements) * clients->real;
    values[i] = clients->server[vector[i]] ? clients->server[vector[i]] : (void *)(uintptr_t)(clients->sum + at);
  }
  clients->algebra->combine(clients->elements, values[0], alpha, values[1], beta, values[2]);
}

void cohort_clients_commit(cohort_clients *clients) {
  if (!clients->strategy) return;
  if (clients->table) {
    const void *column[COHORT_MAX_FEDERATED_VECTORS];
    for (int v = 0; v < clients->vectors; v++)
      if (clients->strategy->vectors[v].side == COHORT_SIDE_CLIENT) column[clients->place[v]] = clients->row[v];
    cohort_row_table_write(clients->table, clients->own, clients->own_client, clients->own_position, column,
                           COHORT_ROW_LAST);
  }
  if (!clients->strategy->receive) return;
  const cohort_federated_server server = {.config = clients->options.strategy->config,
                                          .clients = clients->options.population,
                                          .present = clients->round.present,
                                          .combine = combine_server,
                                          .implementation = clients};
  clients->strategy->receive(&server);
}
