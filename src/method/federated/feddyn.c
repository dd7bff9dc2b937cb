/* FedDyn (Acar et al., 2021): each client's loss is regularised so that its optimum comes to be that of all. Its cost
 * is four passes over the gradient a local step, and a vector for each client that ever took part. */
#include "method/federated/federated.h"

typedef struct feddyn_config {
  double learning_rate, alpha;
} feddyn_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(feddyn_config),
    COHORT_REAL_ABOVE(feddyn_config, alpha, "0.01", 0, "weight of the regulariser", .sweep_low = 1e-3, .sweep_high = 1,
                      .sweep_log = true),
    {.name = NULL},
};

enum { SLOPE = COHORT_FEDERATED_VECTORS, SERVER_SLOPE };

static const cohort_federated_vector vectors[] = {
    {"slope", COHORT_SIDE_CLIENT, .meaning = "g_i: the gradient of the client's loss where it stood last"},
    {"server_slope", COHORT_SIDE_SERVER,
     .meaning = "h: alpha times how far clients went in all, on the whole, negated"},
    {.name = NULL},
};

/* That of L_i(y) - g_i'y + alpha/2 |y - x|^2. */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const feddyn_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, -1, SLOPE);
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -1, COHORT_CLIENT_START);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, own->alpha, COHORT_CLIENT_SCRATCH);
  return COHORT_DONE;
}

static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  const feddyn_config *own = client->config;
  (void)error;
  client->call->combine(client, SLOPE, 1, SLOPE, -own->alpha, COHORT_CLIENT_CHANGE);
  return COHORT_DONE;
}

/* h' = h - alpha present / clients D; the weights become mean y - h' / alpha. */
static void serve(const cohort_federated_server *server) {
  const feddyn_config *own = server->config;
  const double share = (double)server->present / (double)server->clients;
  server->call->combine(server, COHORT_SERVER_STEP, -1 - share, COHORT_SERVER_CHANGE, 1 / own->alpha, SERVER_SLOPE);
}

static void receive(const cohort_federated_server *server) {
  const feddyn_config *own = server->config;
  const double share = (double)server->present / (double)server->clients;
  server->call->combine(server, SERVER_SLOPE, 1, SERVER_SLOPE, -own->alpha * share, COHORT_SERVER_CHANGE);
}

static const cohort_federated functions = {
    .uniform = true, .vectors = vectors, .gradient = gradient, .leave = leave, .serve = serve, .receive = receive};

static const cohort_method feddyn = {
    .family = "federated",
    .key = "feddyn",
    .summary = "clients with a regulariser that moves until their optima agree",
    .title = "Federated Learning Based on Dynamic Regularization",
    .source = "Acar, Zhao, Navarro, Mattina, Whatmough and Saligrama, ICLR 2021, Algorithm 1",
    .formula =
        "a client's steps follow gradient - g_i + alpha (y - x); g_i -= alpha (y - x) after the last; "
        "h -= alpha present / clients mean(y - x); w += learning_rate (mean(y - x) - h / alpha)",
    .config_size = sizeof(feddyn_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_feddyn[] = {&feddyn, NULL};
