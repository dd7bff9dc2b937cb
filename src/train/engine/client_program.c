/* One client: its program, the gradients and steps that it asks for, and what it leaves. Invariant: what a client
 * computes is a function of (round it began in, client, what it was sent, its rows); threads and ranks are not seen.
 * Costs its gradients, and a few passes over a vector. */
#include <math.h>
#include <string.h>

#include "train/engine/clients_state.h"

/* A client in training: the oracle of its local steps, and the vectors that its strategy sees. */
typedef struct training {
  cohort_federated_client client;
  const cohort_clients *clients;
  client_trainer *trainer;
  int executor;
  int64_t row;                     /* which of the rows that this rank has */
  int64_t version;                 /* the round that it draws by */
  char *left;                      /* its vectors as an item: change, uploads */
  char *change;                    /* or NULL */
  double *numbers;                 /* its numbers as an item */
  const void *start;               /* its weights before the first step */
  const void *point;               /* where a gradient is asked for */
  int64_t taken[1 + MOST_VECTORS]; /* steps, by stepper */
  cohort_federated_moves moves;
  bool asked; /* in this answer */
  double answer, loss, asks_loss;
  int64_t losses, asks;
} training;

/* ---- vectors ---- */

/* Calls each with the runs of elements of three vectors that belong together. */
void cohort_clients_combine(const cohort_clients *clients, placed_vector out, double alpha, placed_vector a,
                            double beta, placed_vector b) {
  const cohort_algebra *algebra = clients->algebra;
  if (!out.personal && !a.personal && !b.personal) {
    algebra->combine(clients->elements, out.values, alpha, a.values, beta, b.values);
    return;
  }
  for (int r = 0; r < clients->ranges; r++) {
    const personal_range *range = &clients->range[r];
    const size_t whole = (size_t)range->offset * clients->real, packed = (size_t)range->packed * clients->real;
    algebra->combine(range->elements, out.values + (out.personal ? packed : whole), alpha,
                     a.values + (a.personal ? packed : whole), beta, b.values + (b.personal ? packed : whole));
  }
}

void cohort_clients_map(const cohort_clients *clients, cohort_map map, placed_vector out, placed_vector a,
                        placed_vector b, double number) {
  const cohort_algebra *algebra = clients->algebra;
  if (!out.personal && !a.personal && !b.personal) {
    algebra->map(map, clients->elements, out.values, a.values, b.values, number);
    return;
  }
  for (int r = 0; r < clients->ranges; r++) {
    const personal_range *range = &clients->range[r];
    const size_t whole = (size_t)range->offset * clients->real, packed = (size_t)range->packed * clients->real;
    algebra->map(map, range->elements, out.values + (out.personal ? packed : whole),
                 a.values + (a.personal ? packed : whole), b.values + (b.personal ? packed : whole), number);
  }
}

double cohort_clients_dot(const cohort_clients *clients, placed_vector a, placed_vector b) {
  if (!a.personal && !b.personal) return clients->kernels->dot(a.values, b.values, clients->elements);
  double sum = 0;
  for (int r = 0; r < clients->ranges; r++) {
    const personal_range *range = &clients->range[r];
    const size_t whole = (size_t)range->offset * clients->real, packed = (size_t)range->packed * clients->real;
    sum += clients->kernels->dot(a.values + (a.personal ? packed : whole), b.values + (b.personal ? packed : whole),
                                 range->elements);
  }
  return sum;
}

void cohort_clients_blank(const cohort_clients *clients, void *vector, bool personal) {
  char *values = vector;
  int64_t at = 0;
  for (int r = 0; r <= clients->ranges; r++) {
    const bool last = r == clients->ranges;
    const int64_t begin = last ? clients->elements : clients->range[r].offset;
    const int64_t end = last ? begin : begin + clients->range[r].elements;
    if (!personal) memset(values + (size_t)at * clients->real, 0, (size_t)(begin - at) * clients->real);
    if (personal) memset(values + (size_t)begin * clients->real, 0, (size_t)(end - begin) * clients->real);
    at = end;
  }
}

/* The tensors that do not move, from one vector to another. */
static void copy_held(const training *own, void *to, const void *from) {
  const cohort_clients *clients = own->clients;
  const bool personal = own->moves == COHORT_MOVES_SHARED;
  int64_t at = 0;
  for (int r = 0; r <= clients->ranges; r++) {
    const bool last = r == clients->ranges;
    const int64_t begin = last ? clients->elements : clients->range[r].offset;
    const int64_t end = last ? begin : begin + clients->range[r].elements;
    const int64_t first = personal ? begin : at, elements = personal ? end - begin : begin - at;
    const size_t offset = (size_t)first * clients->real;
    memcpy((char *)to + offset, (const char *)from + offset, (size_t)elements * clients->real);
    at = end;
  }
}

static void *values_of(const training *own, int vector) {
  const cohort_clients *clients = own->clients;
  switch (vector) {
    case COHORT_CLIENT_START:
      return (void *)(uintptr_t)own->start;
    case COHORT_CLIENT_LOCAL:
      return own->trainer->memory[LOCAL];
    case COHORT_CLIENT_POINT:
      return (void *)(uintptr_t)own->point;
    case COHORT_CLIENT_GRADIENT:
      return own->trainer->memory[GRADIENT];
    case COHORT_CLIENT_CHANGE:
      return own->change;
    case COHORT_CLIENT_SCRATCH:
      return own->trainer->memory[SCRATCH];
    default:
      break;
  }
  const int v = vector - COHORT_FEDERATED_VECTORS;
  if (clients->server[v]) return clients->server[v];
  if (clients->row[v]) {
    const size_t number = clients->vector[v].layout == COHORT_LIKE_NUMBERS ? sizeof(double) : clients->real;
    return clients->row[v] + (size_t)(own->row * clients->size[v]) * number;
  }
  if (own->trainer->round[v]) return own->trainer->round[v];
  if (clients->vector[v].layout == COHORT_LIKE_NUMBERS) return own->numbers + clients->place[v];
  return own->left + (size_t)(clients->place[v] * clients->elements) * clients->real;
}

static placed_vector place_of(const training *own, int vector) {
  const int v = vector - COHORT_FEDERATED_VECTORS;
  return (placed_vector){values_of(own, vector), v >= 0 && own->clients->vector[v].layout == COHORT_LIKE_PERSONAL};
}

static void combine(const cohort_federated_client *client, int out, double alpha, int a, double beta, int b) {
  const training *own = client->implementation;
  cohort_clients_combine(own->clients, place_of(own, out), alpha, place_of(own, a), beta, place_of(own, b));
}

static void map(const cohort_federated_client *client, cohort_map map, int out, int a, int b, double number) {
  const training *own = client->implementation;
  cohort_clients_map(own->clients, map, place_of(own, out), place_of(own, a), place_of(own, b), number);
}

static double dot(const cohort_federated_client *client, int a, int b) {
  const training *own = client->implementation;
  return cohort_clients_dot(own->clients, place_of(own, a), place_of(own, b));
}

static double *numbers(const cohort_federated_client *client, int vector) {
  return values_of(client->implementation, vector);
}

/* Tensor by tensor: the padding between them stays zero. */
static void fill(const cohort_federated_client *client, cohort_fill fill, int out, const char *name, double number) {
  const training *own = client->implementation;
  const cohort_clients *clients = own->clients;
  const placed_vector to = place_of(own, out);
  cohort_random_key key = cohort_random_key_derive_name(cohort_random_key_from_seed(clients->options.seed), "client");
  if (name) key = cohort_random_key_derive_name(key, name);
  key = cohort_random_key_derive(cohort_random_key_derive(key, (uint64_t)own->version), (uint64_t)client->client);
  if (name && fill != COHORT_FILL_UNIT) key = cohort_random_key_derive(key, (uint64_t)number);
  const cohort_space *space = clients->options.space;
  int64_t counted = 0;
  for (int t = 0, r = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    while (r < clients->ranges && clients->range[r].offset + clients->range[r].elements <= tensor->offset) r++;
    const bool personal = r < clients->ranges && tensor->offset >= clients->range[r].offset;
    const int64_t shift = to.personal && personal ? clients->range[r].packed - clients->range[r].offset : 0;
    const double here = fill == COHORT_FILL_UNIT ? number - (double)counted + (double)tensor->offset : number;
    if (!to.personal || personal)
      clients->algebra->fill(fill, tensor->offset, tensor->elements,
                             to.values + (size_t)(tensor->offset + shift) * clients->real, key, here);
    counted += tensor->elements;
  }
}

/* ---- gradients and steps ---- */

static cohort_status ask(cohort_federated_client *client, int point, int64_t batch, int gradient, double *loss,
                         cohort_error *error) {
  training *own = client->implementation;
  const cohort_clients *clients = own->clients;
  const cohort_client_source *source = &clients->options.source;
  const int points = clients->strategy ? clients->strategy->feature_points : 0;
  const void *other[COHORT_MAX_FEATURE_POINTS];
  double value;
  if ((batch == COHORT_BATCH_ALL || gradient < 0) && !clients->strategy->asks_all)
    return cohort_fail(error, COHORT_BUG, "federated %s: asks about all samples and has not declared it; report this",
                       clients->options.strategy->method->key);
  for (int k = 0; k < points; k++) other[k] = values_of(own, clients->strategy->feature_point[k]);
  const cohort_client_question question = {.executor = own->executor,
                                           .round = own->version,
                                           .client = client->client,
                                           .batch = batch,
                                           .point = values_of(own, point),
                                           .gradient = gradient < 0 ? NULL : values_of(own, gradient),
                                           .other = other};
  if (!source->ask(source->argument, &question, &value)) return cohort_fail(error, COHORT_STOPPED, "stopped");
  if (!own->asked) own->answer = value;
  own->asked = true;
  own->asks_loss += value;
  own->asks++;
  if (loss) *loss = value;
  return COHORT_DONE;
}

/* What the optimizer of a step asks. */
static cohort_status answer(void *argument, const cohort_ask *question, void **rows, double *losses,
                            cohort_error *error) {
  training *own = argument;
  const cohort_federated *strategy = own->clients->strategy;
  own->point = question->point->vector->values;
  own->asked = false;
  *rows = own->trainer->memory[GRADIENT];
  if (strategy && strategy->gradient)
    COHORT_TRY(strategy->gradient(&own->client, error));
  else
    COHORT_TRY(ask(&own->client, COHORT_CLIENT_POINT, own->client.step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (own->moves != COHORT_MOVES_ALL) cohort_clients_blank(own->clients, *rows, own->moves == COHORT_MOVES_SHARED);
  losses[0] = own->answer;
  return COHORT_DONE;
}

static cohort_status step(cohort_federated_client *client, int vector, cohort_federated_moves moves,
                          cohort_error *error) {
  training *own = client->implementation;
  client_trainer *trainer = own->trainer;
  int s = 0;
  while (s < trainer->steppers && trainer->stepper[s].vector != vector) s++;
  if (s == trainer->steppers)
    return cohort_fail(error, COHORT_BUG, "federated %s: steps a vector that is not stepped; report this",
                       own->clients->options.strategy->method->key);
  const cohort_oracle oracle = {.argument = own, .objectives = 1, .ask = answer};
  cohort_step_report report;
  trainer->space->values = values_of(own, vector);
  trainer->weights.values = trainer->space->values;
  own->moves = own->clients->ranges ? moves : COHORT_MOVES_ALL;
  client->stepped = vector;
  if (own->moves != COHORT_MOVES_ALL) copy_held(own, trainer->memory[HELD], trainer->space->values);
  COHORT_TRY(cohort_updater_step_by(trainer->stepper[s].updater, &oracle, own->taken[s]++, client->steps,
                                    own->clients->round.factor, &report, error));
  if (own->moves != COHORT_MOVES_ALL) copy_held(own, trainer->space->values, trainer->memory[HELD]);
  if (s > 0) return COHORT_DONE;
  own->loss += report.losses[0];
  own->losses++;
  return COHORT_DONE;
}

static const cohort_federated_client_functions functions = {ask, step, combine, map, fill, dot, numbers};

/* ---- the program ---- */

/* The client before its first step. */
static void open(training *own, int64_t client, int64_t steps, double samples, double share) {
  const cohort_clients *clients = own->clients;
  client_trainer *trainer = own->trainer;
  own->client = (cohort_federated_client){
      .config = clients->config,
      .client = client,
      .round = clients->round.number,
      .clients = clients->options.population,
      .present = clients->round.present,
      .steps = steps,
      .learning_rate = cohort_updater_rate(trainer->stepper[0].updater) * clients->round.factor,
      .samples = samples,
      .share = share,
      .call = &functions,
      .implementation = own};
  memcpy(trainer->memory[LOCAL], own->start, (size_t)clients->elements * clients->real);
  for (int s = 0; s < trainer->steppers; s++) cohort_updater_reset(trainer->stepper[s].updater);
  for (int v = 0; v < clients->vectors; v++)
    if (trainer->round[v])
      memset(trainer->round[v], 0,
             (size_t)clients->size[v] *
                 (clients->vector[v].layout == COHORT_LIKE_NUMBERS ? sizeof(double) : clients->real));
}

static cohort_status run_program(training *own, cohort_error *error) {
  const cohort_federated *strategy = own->clients->strategy;
  cohort_federated_client *client = &own->client;
  if (strategy && strategy->begin) COHORT_TRY(strategy->begin(client, error));
  if (strategy && strategy->local) return strategy->local(client, error);
  for (client->step = 0; client->step < client->steps; client->step++)
    COHORT_TRY(step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_ALL, error));
  return COHORT_DONE;
}

/* Uploads as they are joined. */
static void weigh_uploads(const training *own) {
  const cohort_clients *clients = own->clients;
  for (int v = 0; v < clients->vectors; v++) {
    const cohort_federated_vector *vector = &clients->vector[v];
    if (vector->side != COHORT_SIDE_UPLOAD || vector->layout == COHORT_LIKE_NUMBERS) continue;
    char *upload = values_of(own, COHORT_FEDERATED_VECTORS + v);
    clients->algebra->combine(clients->elements, upload,
                              vector->weighted ? own->client.share : 1.0 / clients->round.present, upload, 0, upload);
  }
}

static cohort_status leave(training *own, int item, double *numbers, cohort_error *error) {
  const cohort_clients *clients = own->clients;
  const cohort_algebra *algebra = clients->algebra;
  algebra->combine(clients->elements, own->change, 1, own->trainer->memory[LOCAL], -1, own->start);
  if (clients->ranges) cohort_clients_blank(clients, own->change, true);
  if (clients->strategy && clients->strategy->leave) COHORT_TRY(clients->strategy->leave(&own->client, error));
  /* Of the steps of LOCAL, or of a program without them. */
  const double loss = own->losses ? own->loss : own->asks_loss, count = (double)(own->losses ? own->losses : own->asks);
  if (count <= 0)
    return cohort_fail(error, COHORT_BUG,
                       "federated %s: its clients ask for nothing, so they have no loss; report this",
                       clients->options.strategy->method->key);
  numbers[ITEM_LOSS_JOINED] = clients->weight[item] * loss / count;
  numbers[ITEM_LOSS] = loss / count;
  for (int m = 0, f = 0; m < clients->modules; m++)
    if (clients->module[m].apply)
      numbers[ITEM_NUMBERS + f++] = clients->module[m].apply(clients->module[m].argument, own->executor, own->version,
                                                             own->client.client, own->change);
  weigh_uploads(own);
  if (clients->joiner)
    clients->joiner->take(clients->joiner->argument, own->executor, item, own->change);
  else
    algebra->combine(clients->elements, own->change, own->client.share, own->change, 0, own->change);
  return COHORT_DONE;
}

cohort_status cohort_clients_train(void *argument, int executor, int item, void *row, double *numbers,
                                   cohort_error *error) {
  const cohort_clients *clients = argument;
  const cohort_round *round = &clients->round;
  const size_t bytes = (size_t)clients->elements * clients->real;
  training own = {.clients = clients, .trainer = &clients->trainer[executor], .executor = executor, .left = row};
  own.row = clients->own_of[item];
  own.version = round->version ? round->version[item] : round->number;
  own.start = round->start ? round->start[item] : clients->weights;
  own.change = clients->joiner ? own.trainer->memory[CHANGE] : row;
  own.numbers = numbers;
  memset(numbers, 0, (size_t)clients->numbers * sizeof *numbers);
  if (clients->uploads) memset((char *)row + (size_t)clients->joins * bytes, 0, (size_t)clients->uploads * bytes);
  open(&own, round->client[item], round->steps[item], round->samples[item], clients->share[item]);
  COHORT_TRY(run_program(&own, error));
  return leave(&own, item, numbers, error);
}

cohort_status cohort_clients_model(cohort_clients *clients, int executor, int64_t i, int64_t round, const void *weights,
                                   const void **model, cohort_error *error) {
  *model = weights;
  if (!cohort_federated_has_models(clients->strategy)) return COHORT_DONE;
  training own = {.clients = clients,
                  .trainer = &clients->trainer[executor],
                  .executor = executor,
                  .row = i,
                  .version = round,
                  .start = weights};
  open(&own, clients->own_client[i], 0, 0, 0);
  own.client.round = round;
  *model = own.trainer->memory[LOCAL];
  const int kept = cohort_federated_evaluated(clients->strategy, COHORT_SIDE_CLIENT);
  if (kept >= 0)
    combine(&own.client, COHORT_CLIENT_LOCAL, 1, COHORT_FEDERATED_VECTORS + kept, 0, COHORT_FEDERATED_VECTORS + kept);
  return clients->strategy->personal_model ? clients->strategy->personal_model(&own.client, error) : COHORT_DONE;
}
