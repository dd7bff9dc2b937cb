/* SCAFFOLD (Karimireddy et al., 2020) with option II: a client's steps are corrected by how its gradients differ from
 * all clients', as control variates of its last rounds tell. Its cost is two passes over the gradient a local step, and
 * a vector for each client that ever took part. */
#include "method/federated/federated.h"

typedef struct scaffold_config {
  double learning_rate;
} scaffold_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(scaffold_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0,
     .maximum = INFINITY, .maximum_open = true, .meaning = "the server's step size; 1 takes the clients' average",
     .sweep_low = 0.1, .sweep_high = 3, .sweep_log = true},
    {.name = NULL},
};

enum { CONTROL = COHORT_CLIENT_VECTORS, SERVER_CONTROL, CONTROL_CHANGE };

static const cohort_federated_vector vectors[] = {
    {"control", COHORT_SIDE_CLIENT, "c_i: the client's mean gradient in its last round"},
    {"server_control", COHORT_SIDE_SERVER, "c: the mean of all clients' controls"},
    {"control_change", COHORT_SIDE_UPLOAD, "new c_i minus old c_i"},
    {.name = NULL},
};

static int settings(const void *config, cohort_choice_number *out) {
  const scaffold_config *own = config;
  out[0] = (cohort_choice_number){"learning_rate", own->learning_rate};
  return 1;
}

static void correct(const cohort_federated_client *client) {
  client->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, -1, CONTROL);
  client->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, 1, SERVER_CONTROL);
}

/* c_i' - c_i = (x - y) / (K e) - c. Where the schedule has the rate at 0, the steps tell nothing: c_i stays. */
static void leave(const cohort_federated_client *client) {
  const double way = (double)client->steps * client->learning_rate;
  client->combine(client, CONTROL_CHANGE, 0, SERVER_CONTROL, 0, SERVER_CONTROL);
  if (way <= 0) return;
  client->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_START, -1, COHORT_CLIENT_LOCAL);
  client->combine(client, CONTROL_CHANGE, 1 / way, COHORT_CLIENT_SCRATCH, -1, SERVER_CONTROL);
  client->combine(client, CONTROL, 1, CONTROL, 1, CONTROL_CHANGE);
}

static void receive(const cohort_federated_server *server) {
  const double share = (double)server->present / (double)server->clients;
  server->combine(server, SERVER_CONTROL, 1, SERVER_CONTROL, share, CONTROL_CHANGE);
}

static const cohort_federated functions = {.server = "sgd",
                                           .settings = settings,
                                           .uniform = true,
                                           .plain = true,
                                           .vectors = vectors,
                                           .correct = correct,
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
