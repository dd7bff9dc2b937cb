/* The server's side of a strategy, on whole vectors that every rank has alike: no exchange, and the same bits
 * everywhere. Costs a pass over a vector for each thing a strategy does. */
#include "train/engine/clients_state.h"

static placed_vector place_of(const cohort_federated_server *server, int vector) {
  const cohort_clients *clients = server->implementation;
  void *values = clients->scratch;
  const int v = vector - COHORT_FEDERATED_VECTORS;
  if (vector == COHORT_SERVER_WEIGHTS) values = (void *)(uintptr_t)clients->weights;
  if (vector == COHORT_SERVER_CHANGE) values = clients->change;
  if (vector == COHORT_SERVER_STEP) values = clients->step;
  if (v >= 0 && clients->server[v]) values = clients->server[v];
  if (v >= 0 && !clients->server[v])
    values = (void *)(uintptr_t)(clients->sum + (size_t)(clients->place[v] * clients->elements) * clients->real);
  return (placed_vector){values, false};
}

static void combine(const cohort_federated_server *server, int out, double alpha, int a, double beta, int b) {
  cohort_clients_combine(server->implementation, place_of(server, out), alpha, place_of(server, a), beta,
                         place_of(server, b));
}

static void map(const cohort_federated_server *server, cohort_map map, int out, int a, int b, double number) {
  cohort_clients_map(server->implementation, map, place_of(server, out), place_of(server, a), place_of(server, b),
                     number);
}

/* Tensor by tensor: the padding between them stays zero. */
static void fill(const cohort_federated_server *server, cohort_fill fill, int out, const char *name, double number) {
  const cohort_clients *clients = server->implementation;
  const cohort_space *space = clients->options.space;
  cohort_random_key key = cohort_random_key_derive_name(cohort_random_key_from_seed(clients->options.seed), "server");
  if (name) key = cohort_random_key_derive_name(key, name);
  key = cohort_random_key_derive(key, (uint64_t)clients->round.number);
  if (name && fill != COHORT_FILL_UNIT) key = cohort_random_key_derive(key, (uint64_t)number);
  char *const values = place_of(server, out).values;
  int64_t counted = 0;
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    const double here = fill == COHORT_FILL_UNIT ? number - (double)counted + (double)tensor->offset : number;
    clients->algebra->fill(fill, tensor->offset, tensor->elements, values + (size_t)tensor->offset * clients->real, key,
                           here);
    counted += tensor->elements;
  }
}

static double dot(const cohort_federated_server *server, int a, int b) {
  return cohort_clients_dot(server->implementation, place_of(server, a), place_of(server, b));
}

static double *numbers(const cohort_federated_server *server, int vector, int i) {
  const cohort_clients *clients = server->implementation;
  const int v = vector - COHORT_FEDERATED_VECTORS;
  return clients->server[v] ? clients->server[v]
                            : clients->number + (size_t)i * (size_t)clients->numbers + clients->place[v];
}

static double client_real(const cohort_federated_server *server, const char *name, double otherwise) {
  const cohort_clients *clients = server->implementation;
  return clients->client.method ? cohort_choice_real(&clients->client, name, otherwise) : otherwise;
}

static const cohort_federated_server_functions functions = {combine, map, dot, numbers, fill, client_real};

static cohort_federated_server view(const cohort_clients *clients) {
  const cohort_round *round = &clients->round;
  return (cohort_federated_server){.config = clients->config,
                                   .round = round->number,
                                   .clients = clients->options.population,
                                   .present = round->present,
                                   .client = round->client,
                                   .steps = round->steps,
                                   .samples = round->samples,
                                   .share = clients->share,
                                   .version = round->version,
                                   .call = &functions,
                                   .implementation = clients};
}

void cohort_clients_weigh(const cohort_clients *clients, double *share) {
  if (!clients->strategy || !clients->strategy->weigh) return;
  const cohort_federated_server server = view(clients);
  clients->strategy->weigh(&server, share);
}

void cohort_clients_serve(const cohort_clients *clients) {
  if (!clients->strategy || !clients->strategy->serve) return;
  const cohort_federated_server server = view(clients);
  clients->strategy->serve(&server);
}

void cohort_clients_receive(const cohort_clients *clients) {
  if (!clients->strategy || !clients->strategy->receive) return;
  const cohort_federated_server server = view(clients);
  clients->strategy->receive(&server);
}
