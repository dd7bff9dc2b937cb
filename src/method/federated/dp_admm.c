/* Private ADMM (Cyffers, Bellet and Basu, 2023), as a noisy fixed-point iteration: each client has a dual vector, which
 * its step from the server's weights to a proximal point moves, clipped and with noise; the server takes the proximal
 * point of the regulariser at the duals' mean. All clients in a round is the centralised form, some the federated one,
 * one the decentralised one (a token that walks over a complete graph). A client's proximal point is where its local
 * steps arrive: enough of them make it exact. It costs a pass over the gradient a local step, and a vector for each
 * client that ever took part. */
#include "method/federated/federated.h"

typedef struct dp_admm_config {
  double step, relaxation, l1, clip, noise;
} dp_admm_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(dp_admm_config, step, "1", 0, "gamma: how far a proximal point may be", .sweep_low = 0.1,
                      .sweep_high = 10, .sweep_log = true),
    COHORT_REAL_RANGE(dp_admm_config, relaxation, "0.5", 0, true, 1, false,
                      "lambda: share of the way to the reflected point that the dual goes; 0.5: the plain method"),
    COHORT_REAL_ATLEAST(dp_admm_config, l1, "0", 0, "weight of the sum of the weights' magnitudes beside the mean loss",
                        .sweep_low = 1e-4, .sweep_high = 1, .sweep_log = true),
    COHORT_REAL_ATLEAST(dp_admm_config, clip, "0", 0, "largest norm of a client's way to its proximal point; 0: any"),
    COHORT_REAL_ATLEAST(dp_admm_config, noise, "0", 0,
                        "standard deviation of the noise that a client adds, before relaxation multiplies it"),
    {.name = NULL},
};

enum { ORIGIN = COHORT_FEDERATED_VECTORS, MEAN, DUAL, CENTRE };

/* Duals are kept as what they differ by from the first weights, so that all begin alike. */
static const cohort_federated_vector vectors[] = {
    {"origin", COHORT_SIDE_SERVER, .meaning = "the weights before the first round, where every dual begins",
     .from_weights = true},
    {"mean", COHORT_SIDE_SERVER, .meaning = "mean of all clients' duals, minus the origin"},
    {"dual", COHORT_SIDE_CLIENT, .meaning = "u_i minus the origin"},
    {"centre", COHORT_SIDE_ROUND, .meaning = "2 z - u_i, whose proximal point is wanted"},
    {.name = NULL},
};

static int settings(const void *config, cohort_choice_number *out) {
  (void)config;
  out[0] = (cohort_choice_number){"learning_rate", 1};
  return 1;
}

static cohort_status begin(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, CENTRE, 2, COHORT_CLIENT_START, -1, ORIGIN);
  client->call->combine(client, CENTRE, 1, CENTRE, -1, DUAL);
  return COHORT_DONE;
}

/* That of f_i(y) + |y - centre|^2 / (2 step). */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const dp_admm_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -1, CENTRE);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, 1 / own->step,
                        COHORT_CLIENT_SCRATCH);
  return COHORT_DONE;
}

/* The dual's change, which is what the server gets. */
static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  const dp_admm_config *own = client->config;
  (void)error;
  const double norm = sqrt(client->call->dot(client, COHORT_CLIENT_CHANGE, COHORT_CLIENT_CHANGE));
  const double factor = own->clip > 0 && norm > own->clip ? own->clip / norm : 1;
  client->call->combine(client, COHORT_CLIENT_CHANGE, 2 * own->relaxation * factor, COHORT_CLIENT_CHANGE, 0,
                        COHORT_CLIENT_CHANGE);
  if (own->noise > 0) {
    client->call->fill(client, COHORT_FILL_NORMAL, COHORT_CLIENT_SCRATCH, "noise", 0);
    client->call->combine(client, COHORT_CLIENT_CHANGE, 1, COHORT_CLIENT_CHANGE, own->relaxation * own->noise,
                          COHORT_CLIENT_SCRATCH);
  }
  client->call->combine(client, DUAL, 1, DUAL, 1, COHORT_CLIENT_CHANGE);
  return COHORT_DONE;
}

/* The mean of all duals, of which those of the clients present have changed. */
static void average(const cohort_federated_server *server, int out) {
  const double share = (double)server->present / (double)server->clients;
  server->call->combine(server, out, 1, MEAN, share, COHORT_SERVER_CHANGE);
}

/* The weights become u - clamp(u, step l1), u the mean dual. */
static void serve(const cohort_federated_server *server) {
  const dp_admm_config *own = server->config;
  average(server, COHORT_SERVER_STEP);
  server->call->combine(server, COHORT_SERVER_STEP, 1, ORIGIN, 1, COHORT_SERVER_STEP);
  server->call->map(server, COHORT_MAP_CLAMP, COHORT_SERVER_SCRATCH, COHORT_SERVER_STEP, COHORT_SERVER_STEP,
                    own->step * own->l1);
  server->call->combine(server, COHORT_SERVER_STEP, 1, COHORT_SERVER_STEP, -1, COHORT_SERVER_SCRATCH);
  server->call->combine(server, COHORT_SERVER_STEP, 1, COHORT_SERVER_WEIGHTS, -1, COHORT_SERVER_STEP);
}

static void receive(const cohort_federated_server *server) { average(server, MEAN); }

static const cohort_federated functions = {.server = "sgd",
                                           .settings = settings,
                                           .uniform = true,
                                           .vectors = vectors,
                                           .begin = begin,
                                           .gradient = gradient,
                                           .leave = leave,
                                           .serve = serve,
                                           .receive = receive};

static const cohort_method dp_admm = {
    .family = "federated",
    .key = "dp_admm",
    .summary = "private ADMM: clients' duals move by clipped, noisy steps, the server thresholds their mean",
    .title = "From Noisy Fixed-Point Iterations to Private ADMM for Centralized and Federated Learning",
    .source = "Cyffers, Bellet and Basu, ICML 2023, and the authors' code (totilas/padadmm)",
    .formula =
        "a client's steps follow gradient + (y - c) / step, c = 2 w - u_i; then u_i += 2 relaxation clip(y - w) + "
        "relaxation noise z, z standard normal; w = u - clamp(u, step l1), u the mean of all u_i, which begin as the "
        "first w",
    .config_size = sizeof(dp_admm_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_dp_admm[] = {&dp_admm, NULL};
