/* SCAFFOLD (Karimireddy et al., 2020) with option II: a client's steps are corrected by how its gradients differ from
 * all clients', as control variates of its last rounds tell. Its cost is two passes over the gradient a local step, and
 * a vector for each client that ever took part. */
#include "method/federated/federated.h"

typedef struct scaffold_config {
  double learning_rate;
} scaffold_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(scaffold_config),
    {.name = NULL},
};

enum { CONTROL = COHORT_FEDERATED_VECTORS, SERVER_CONTROL, CONTROL_CHANGE };

static const cohort_federated_vector vectors[] = {
    {"control", COHORT_SIDE_CLIENT, .meaning = "c_i: the client's mean gradient in its last round"},
    {"server_control", COHORT_SIDE_SERVER, .meaning = "c: the mean of all clients' controls"},
    {"control_change", COHORT_SIDE_UPLOAD, .meaning = "new c_i minus old c_i"},
    {.name = NULL},
};

static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, -1, CONTROL);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, 1, SERVER_CONTROL);
  return COHORT_DONE;
}

/* c_i' - c_i = (x - y) / (K e) - c. Where the schedule has the rate at 0, the steps tell nothing: c_i stays. */
static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  const double way = (double)client->steps * client->learning_rate;
  client->call->combine(client, CONTROL_CHANGE, 0, SERVER_CONTROL, 0, SERVER_CONTROL);
  if (way <= 0) return COHORT_DONE;
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_START, -1, COHORT_CLIENT_LOCAL);
  client->call->combine(client, CONTROL_CHANGE, 1 / way, COHORT_CLIENT_SCRATCH, -1, SERVER_CONTROL);
  client->call->combine(client, CONTROL, 1, CONTROL, 1, CONTROL_CHANGE);
  return COHORT_DONE;
}

static void receive(const cohort_federated_server *server) {
  const double share = (double)server->present / (double)server->clients;
  server->call->combine(server, SERVER_CONTROL, 1, SERVER_CONTROL, share, CONTROL_CHANGE);
}

static const cohort_federated functions = {.uniform = true,
                                           .steps = COHORT_STEPS_PLAIN,
                                           .vectors = vectors,
                                           .gradient = gradient,
                                           .leave = leave,
                                           .receive = receive};

static const cohort_method scaffold = {
    .family = "federated",
    .key = "scaffold",
    .summary = "federated averaging with control variates against the drift of clients",
    .title = "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning",
    .source = "Karimireddy, Kale, Mohri, Reddi, Stich and Suresh, ICML 2020, Algorithm 1, option II",
    .formula =
        "a client's steps follow gradient - c_i + c; after K of rate e: c_i' = c_i - c + (x - y) / (K e); "
        "w += learning_rate mean(y - x); c += present / clients mean(c_i' - c_i)",
    .config_size = sizeof(scaffold_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_scaffold[] = {&scaffold, NULL};
