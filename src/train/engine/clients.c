/* The engine of clients: what each thread trains with, what strategy and modules make of the vectors that travel and
 * stay, and their memory. The round is clients_round.c, one client client_program.c. Invariant: every client's weights,
 * rows and uploads are laid out like the space, or packed (personal tensors), whoever trains it. Costs nothing in a
 * step. */
#include "train/engine/clients.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/engine/clients_state.h"

/* ---- one executor ---- */

/* The model's tensors once more: weights and pieces of a client are its own. */
static cohort_space *copy_space(const cohort_space *space) {
  cohort_parameter_tensor *declared = cohort_allocate((size_t)(space->tensors + 1) * sizeof *declared);
  for (int t = 0; t < space->tensors; t++) declared[t] = space->tensor[t].declared;
  cohort_space *copy = cohort_space_of(space->name, space->tensors, declared);
  free(declared);
  return copy;
}

/* Whether an executor has this vector. */
static bool needs_memory(const cohort_clients *clients, int vector) {
  if (vector == CHANGE) return clients->joiner;
  if (vector == HELD) return clients->ranges && clients->strategy->local;
  return true;
}

static size_t vector_bytes(const cohort_clients *clients, int v) {
  const bool numbers = clients->vector[v].layout == COHORT_LIKE_NUMBERS;
  return (size_t)clients->size[v] * (numbers ? sizeof(double) : clients->real);
}

static cohort_status create_memory(const cohort_clients *clients, client_trainer *trainer, cohort_error *error) {
  const char *const purpose = "a client's vectors";
  for (int i = 0; i < EXECUTOR_VECTORS; i++)
    if (needs_memory(clients, i))
      COHORT_TRY(cohort_memory_create((size_t)clients->elements * clients->real, purpose, &trainer->memory[i], error));
  for (int v = 0; v < clients->vectors; v++)
    if (clients->vector[v].side == COHORT_SIDE_ROUND)
      COHORT_TRY(cohort_memory_create(vector_bytes(clients, v), purpose, &trainer->round[v], error));
  return COHORT_DONE;
}

static cohort_status create_stepper(const cohort_clients *clients, client_trainer *trainer, int vector, bool first,
                                    cohort_faults *faults, cohort_error *error) {
  const cohort_clients_options *options = &clients->options;
  client_stepper *stepper = &trainer->stepper[trainer->steppers++];
  stepper->vector = vector;
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
  COHORT_TRY(cohort_updater_create(&own, faults, &stepper->updater, error));
  if (cohort_updater_needs_of(stepper->updater).wants & ~(unsigned)COHORT_WANTS_GRADIENT)
    cohort_faults_add(faults, options->client,
                      "federated.client: it asks for more than gradients, which clients do not give; take another");
  COHORT_TRY(cohort_faults_status(faults, error));
  if (options->plan_only) return COHORT_DONE;
  return cohort_updater_connect(stepper->updater, &(cohort_updater_connection){.weights = &trainer->weights}, error);
}

static cohort_status create_trainer(const cohort_clients *clients, client_trainer *trainer, bool first,
                                    cohort_faults *faults, cohort_error *error) {
  trainer->space = copy_space(clients->options.space);
  trainer->alone = cohort_comm_alone();
  COHORT_TRY(cohort_shard_group_create(&trainer->alone, false, &trainer->members, error));
  if (!clients->options.plan_only) COHORT_TRY(create_memory(clients, trainer, error));
  trainer->space->values = trainer->memory[LOCAL];
  trainer->weights.values = trainer->memory[LOCAL];
  COHORT_TRY(create_stepper(clients, trainer, COHORT_CLIENT_LOCAL, first, faults, error));
  for (int v = 0; v < clients->vectors; v++)
    if (clients->vector[v].stepped)
      COHORT_TRY(create_stepper(clients, trainer, COHORT_FEDERATED_VECTORS + v, false, faults, error));
  return COHORT_DONE;
}

static void destroy_trainer(client_trainer *trainer) {
  for (int s = 0; s < trainer->steppers; s++) cohort_updater_destroy(trainer->stepper[s].updater);
  cohort_shard_group_destroy(trainer->members);
  for (int i = 0; i < EXECUTOR_VECTORS; i++) cohort_memory_release(trainer->memory[i]);
  for (int v = 0; v < MOST_VECTORS; v++) cohort_memory_release(trainer->round[v]);
  cohort_space_destroy(trainer->space);
}

/* ---- what the strategy wants ---- */

/* The clients' optimizer, where it is known already: faults of it are told by who builds it. */
static void read_client(cohort_clients *clients) {
  const cohort_clients_options *options = &clients->options;
  cohort_faults ignored = {NULL, 0};
  if (options->made)
    clients->client = cohort_choice_copy(options->made);
  else
    cohort_choice_read(options->variant, "optimizer", options->client, "client", &clients->client, NULL, &ignored);
  cohort_faults_release(&ignored);
}

/* Steps whose sum a strategy knows how to read. */
static void check_steps(const cohort_clients *clients, cohort_faults *faults) {
  const cohort_clients_options *options = &clients->options;
  const cohort_choice *client = &clients->client;
  if (!clients->strategy || clients->strategy->steps == COHORT_STEPS_ANY || !client->method) return;
  const bool any_momentum = clients->strategy->steps == COHORT_STEPS_SGD;
  const bool sgd = strcmp(client->method->key, "sgd") == 0 && cohort_document_is_null(options->client_groups) &&
                   options->client_clip <= 0;
  if (sgd && (any_momentum || cohort_choice_real(client, "momentum", 1) <= 0)) return;
  cohort_faults_add(
      faults, options->place,
      any_momentum ? "federated.client: %s needs local steps of sgd; take that, and no client_groups or client_clip"
                   : "federated.client: %s needs local steps that are learning_rate times the gradient; take sgd "
                     "without momentum, and no client_groups or client_clip",
      options->strategy->method->key);
}

/* Where the tensors lie that stay with their client; with the padding behind them, so that vectors add up. */
static void list_personal(cohort_clients *clients) {
  const cohort_space *space = clients->options.space;
  if (!clients->strategy || !clients->strategy->personal) return;
  clients->range = cohort_allocate((size_t)(space->tensors + 1) * sizeof *clients->range);
  for (int t = 0; t < space->tensors; t++) {
    if (!clients->strategy->personal(clients->config, &space->tensor[t].declared, t, space->tensors)) continue;
    const int64_t begin = space->tensor[t].offset;
    const int64_t end = t + 1 < space->tensors ? space->tensor[t + 1].offset : space->elements;
    personal_range *last = clients->ranges ? &clients->range[clients->ranges - 1] : NULL;
    if (last && last->offset + last->elements == begin)
      last->elements += end - begin;
    else
      clients->range[clients->ranges++] = (personal_range){begin, clients->personal, end - begin};
    clients->personal += end - begin;
  }
}

/* None must have been asked for: names that no tensor has are no wish. */
static void check_personal(const cohort_clients *clients, cohort_faults *faults) {
  if (!clients->strategy || !clients->strategy->personal) return;
  if (!clients->personal && cohort_choice_integer(clients->options.strategy, "tensors", 1) == 0) return;
  if (clients->personal > 0 && clients->personal < clients->elements) return;
  cohort_faults_add(faults, clients->options.place,
                    "federated.strategy: %s keeps %s tensors of this model with the clients; choose others",
                    clients->options.strategy->method->key, clients->personal ? "all" : "no");
}

/* Sizes of the strategy's vectors, and where each lies among its like. */
static void list_vectors(cohort_clients *clients) {
  const cohort_federated_vector *declared = clients->strategy ? clients->strategy->vectors : NULL;
  while (declared && declared[clients->vectors].name) clients->vectors++;
  clients->vector = cohort_allocate((size_t)(clients->vectors + 1) * sizeof *clients->vector);
  clients->numbers = ITEM_NUMBERS + clients->filters;
  for (int v = 0; v < clients->vectors; v++) {
    const cohort_federated_vector *vector = &declared[v];
    const bool numbers = vector->layout == COHORT_LIKE_NUMBERS;
    clients->vector[v] = *vector;
    clients->size[v] = vector->layout == COHORT_LIKE_PERSONAL ? clients->personal : clients->elements;
    if (!clients->size[v]) clients->size[v] = 1; /* a row has something in it */
    if (numbers) clients->size[v] = vector->count ? vector->count(clients->config, clients->options.population) : 1;
    if (vector->side == COHORT_SIDE_CLIENT) clients->place[v] = clients->rows++;
    if (vector->side != COHORT_SIDE_UPLOAD) continue;
    clients->place[v] = numbers ? clients->numbers : clients->joins + clients->uploads;
    clients->numbers += numbers ? (int)clients->size[v] : 0;
    clients->uploads += !numbers;
  }
}

static void fill_numbers(const cohort_clients *clients, int v, double *values) {
  const cohort_federated_vector *vector = &clients->vector[v];
  for (int64_t i = 0; i < clients->size[v]; i++)
    values[i] = vector->initial ? vector->initial(clients->config, clients->options.population) : 0;
}

static cohort_status make_vectors(cohort_clients *clients, cohort_error *error) {
  cohort_row_column column[MOST_VECTORS];
  for (int v = 0; v < clients->vectors; v++) {
    const cohort_federated_vector *vector = &clients->vector[v];
    const bool numbers = vector->layout == COHORT_LIKE_NUMBERS;
    if (vector->side == COHORT_SIDE_SERVER && !clients->options.plan_only) {
      COHORT_TRY(cohort_memory_create(vector_bytes(clients, v), "the server's vectors", &clients->server[v], error));
      if (numbers) fill_numbers(clients, v, clients->server[v]);
    }
    if (vector->side != COHORT_SIDE_CLIENT) continue;
    const bool wide = numbers || clients->real == sizeof(double);
    column[clients->place[v]] =
        (cohort_row_column){vector->name, wide ? COHORT_STORED_FLOAT64 : COHORT_STORED_FLOAT32, clients->size[v]};
  }
  if (clients->rows) clients->table = cohort_row_table_create(clients->options.comm, "clients", clients->rows, column);
  if (clients->options.plan_only) return COHORT_DONE;
  const size_t bytes = (size_t)clients->elements * clients->real;
  COHORT_TRY(cohort_memory_create(bytes, "the server's step", &clients->step, error));
  if (!clients->strategy || (!clients->strategy->serve && !clients->strategy->receive)) return COHORT_DONE;
  return cohort_memory_create(bytes, "the server's step", &clients->scratch, error);
}

/* ---- making ---- */

static void take_modules(cohort_clients *clients, cohort_faults *faults) {
  clients->modules = clients->options.modules;
  clients->joins = 1;
  for (int m = 0; m < clients->modules; m++) {
    clients->module[m] = clients->options.module[m];
    clients->filters += clients->module[m].apply != NULL;
    if (!clients->module[m].joiner) continue;
    if (clients->joiner)
      cohort_faults_add(faults, clients->options.place,
                        "federated: %s joins changes in a way of its own, and another "
                        "part does too; remove one of them",
                        clients->module[m].name);
    clients->joiner = clients->module[m].joiner;
    clients->joins = 0;
  }
}

static cohort_status build(cohort_clients *clients, cohort_faults *faults, cohort_error *error) {
  const cohort_clients_options *options = &clients->options;
  take_modules(clients, faults);
  read_client(clients);
  check_steps(clients, faults);
  list_personal(clients);
  check_personal(clients, faults);
  COHORT_TRY(cohort_faults_status(faults, error));
  list_vectors(clients);
  COHORT_TRY(make_vectors(clients, error));
  clients->trainer = cohort_allocate((size_t)options->threads * sizeof *clients->trainer);
  for (int e = 0; e < (options->plan_only ? 1 : options->threads); e++)
    COHORT_TRY(create_trainer(clients, &clients->trainer[e], e == 0, faults, error));
  clients->items = cohort_items_create(options->comm, options->threads, clients->real,
                                       (clients->joins + clients->uploads) * clients->elements);
  return COHORT_DONE;
}

cohort_status cohort_clients_create(const cohort_clients_options *options, cohort_faults *faults, cohort_clients **out,
                                    cohort_error *error) {
  cohort_clients *clients = cohort_allocate(sizeof *clients);
  clients->options = *options;
  if (options->strategy) {
    clients->strategy = options->strategy->method->functions;
    clients->config = options->strategy->config;
  }
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
  for (int v = 0; v < MOST_VECTORS; v++) {
    cohort_memory_release(clients->server[v]);
    cohort_scratch_release(&clients->row_room[v]);
  }
  cohort_memory_release(clients->step);
  cohort_memory_release(clients->scratch);
  free(clients->trainer);
  free(clients->vector);
  free(clients->range);
  cohort_items_destroy(clients->items);
  cohort_row_table_destroy(clients->table);
  cohort_item_order_release(&clients->order);
  cohort_choice_release(&clients->client);
  cohort_scratch *const room[] = {&clients->weight_room,   &clients->share_room,  &clients->own_of_room,
                                  &clients->client_room,   &clients->found_room,  &clients->number_room,
                                  &clients->position_room, &clients->losses_room, &clients->applied_room,
                                  &clients->sums_room,     &clients->joined_room};
  for (size_t i = 0; i < sizeof room / sizeof *room; i++) cohort_scratch_release(room[i]);
  free(clients);
}

/* ---- what is kept ---- */

/* A row that was never kept. */
static void begin_row(const cohort_clients *clients, int v, int64_t i, const void *start) {
  char *row = clients->row[v] + (size_t)i * vector_bytes(clients, v);
  const cohort_federated_vector *vector = &clients->vector[v];
  if (vector->layout == COHORT_LIKE_NUMBERS) fill_numbers(clients, v, (double *)(void *)row);
  if (!vector->from_weights) return;
  if (vector->layout == COHORT_LIKE_WEIGHTS) memcpy(row, start, vector_bytes(clients, v));
  for (int r = 0; vector->layout == COHORT_LIKE_PERSONAL && r < clients->ranges; r++)
    memcpy(row + (size_t)clients->range[r].packed * clients->real,
           (const char *)start + (size_t)clients->range[r].offset * clients->real,
           (size_t)clients->range[r].elements * clients->real);
}

/* Where a client of the round begins. */
static const void *start_of(const cohort_clients *clients, int64_t i) {
  const cohort_round *round = &clients->round;
  return round->start ? round->start[clients->own_position[i]] : clients->weights;
}

void cohort_clients_bring_rows(cohort_clients *clients, const void *start) {
  void *column[MOST_VECTORS] = {NULL};
  const size_t own = (size_t)clients->own;
  clients->found = cohort_scratch_take(&clients->found_room, own * sizeof *clients->found);
  for (int v = 0; v < clients->vectors; v++) {
    if (clients->vector[v].side != COHORT_SIDE_CLIENT) continue;
    char *memory = cohort_scratch_take(&clients->row_room[v], own * vector_bytes(clients, v) + COHORT_ALIGNMENT);
    clients->row[v] = memory + (COHORT_ALIGNMENT - (uintptr_t)memory % COHORT_ALIGNMENT) % COHORT_ALIGNMENT;
    column[clients->place[v]] = clients->row[v];
  }
  cohort_row_table_read(clients->table, clients->own, clients->own_client, column, clients->found);
  for (int64_t i = 0; i < clients->own; i++)
    for (int v = 0; v < clients->vectors && !clients->found[i]; v++)
      if (clients->row[v]) begin_row(clients, v, i, start ? start : start_of(clients, i));
}

cohort_row_table *cohort_clients_table(const cohort_clients *clients) { return clients->table; }

bool cohort_clients_keep(const cohort_clients *clients, int index, cohort_clients_kept *out) {
  for (int v = 0; v < clients->vectors; v++) {
    const cohort_federated_vector *vector = &clients->vector[v];
    if (vector->side != COHORT_SIDE_SERVER || index-- > 0) continue;
    *out = (cohort_clients_kept){vector->name, vector->layout != COHORT_LIKE_NUMBERS, clients->size[v],
                                 clients->server[v]};
    return true;
  }
  return false;
}

const void *cohort_clients_evaluated(const cohort_clients *clients, const char **name) {
  const int v = cohort_federated_evaluated(clients->strategy, COHORT_SIDE_SERVER);
  if (v < 0) return NULL;
  *name = clients->vector[v].name;
  return clients->server[v];
}

/* ---- sizes ---- */

int cohort_clients_uploads(const cohort_clients *clients) { return clients->joins + clients->uploads; }

/* Bytes that a client, or the server, keeps. */
static double kept_bytes(const cohort_clients *clients, cohort_federated_side side) {
  double bytes = 0;
  for (int v = 0; v < clients->vectors; v++)
    if (clients->vector[v].side == side) bytes += (double)vector_bytes(clients, v);
  return bytes;
}

/* Clients that ever took part, at most. */
static double ever(const cohort_clients *clients, double rounds, double present) {
  return fmin((double)clients->options.population, rounds * present);
}

double cohort_clients_kept_bytes(const cohort_clients *clients, double rounds, double present, int ranks) {
  return kept_bytes(clients, COHORT_SIDE_SERVER) +
         kept_bytes(clients, COHORT_SIDE_CLIENT) * (ever(clients, rounds, present) + present) / ranks;
}

double cohort_clients_message_bytes(const cohort_clients *clients, double present, int ranks) {
  return (ranks > 1 ? 2 : 1) * present / ranks * kept_bytes(clients, COHORT_SIDE_CLIENT);
}

double cohort_clients_saving_bytes(const cohort_clients *clients, double rounds, double present, int ranks) {
  return kept_bytes(clients, COHORT_SIDE_CLIENT) * ever(clients, rounds, present) / ranks * (1 + 2 * (1 - 1.0 / ranks));
}

double cohort_clients_bytes(const cohort_clients *clients) {
  const client_trainer *trainer = &clients->trainer[0];
  double vectors = 0, bytes = kept_bytes(clients, COHORT_SIDE_ROUND);
  for (int i = 0; i < EXECUTOR_VECTORS; i++) vectors += needs_memory(clients, i);
  for (int s = 0; s < trainer->steppers; s++) {
    vectors += cohort_updater_needs_of(trainer->stepper[s].updater).vectors;
    bytes += cohort_updater_state_bytes(trainer->stepper[s].updater);
  }
  return vectors * (double)clients->elements * (double)clients->real + bytes;
}

double cohort_clients_step_bytes(const cohort_clients *clients) {
  const bool scratch = clients->strategy && (clients->strategy->serve || clients->strategy->receive);
  return (1 + scratch + (clients->joiner != NULL)) * (double)clients->elements * (double)clients->real;
}

void cohort_clients_record(cohort_clients *clients, cohort_recorder *const *recorder) {
  cohort_items_record(clients->items, recorder);
  for (int e = 0; e < clients->options.threads; e++)
    for (int s = 0; s < clients->trainer[e].steppers; s++)
      cohort_updater_record(clients->trainer[e].stepper[s].updater, recorder ? recorder[e] : NULL);
}

double cohort_clients_busy_seconds(cohort_clients *clients) { return cohort_items_busy_seconds(clients->items); }
