/* DIFF2 (Murata and Suzuki, 2023) with gradient descent: the server keeps a private estimate of the gradient, and
 * between restarts clients send by how much theirs has changed since the last round, clipped in proportion to how far
 * the weights went, so that the noise shrinks with the steps. A client asks twice about all its samples; the server
 * keeps three vectors. The paper's second subroutine, local steps with reduced variance, is not here. */
#include "method/federated/federated.h"

typedef struct diff2_config {
  double learning_rate, restart_clip, clip, restart_noise, noise;
  int64_t restart;
} diff2_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(diff2_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0,
     .maximum = INFINITY, .maximum_open = true, .meaning = "the server's step size", .sweep_low = 1e-3, .sweep_high = 1,
     .sweep_log = true},
    COHORT_INTEGER_RANGE(diff2_config, restart, "10", 1, INFINITY,
                         "rounds from one whole gradient to the next; 1: private gradient descent"),
    COHORT_REAL_ATLEAST(diff2_config, restart_clip, "1", 0, "largest norm of a client's gradient in a restart; 0: any"),
    COHORT_REAL_ATLEAST(diff2_config, clip, "1", 0,
                        "largest norm of the change of a client's gradient, times how far the weights went; 0: any"),
    COHORT_REAL_ATLEAST(diff2_config, restart_noise, "0", 0,
                        "standard deviation of a restart's noise on the clients' sum, in units of restart_clip"),
    COHORT_REAL_ATLEAST(diff2_config, noise, "0", 0,
                        "that of the other rounds' noise, in units of what clip allows in the round"),
    {.name = NULL},
};

enum { ESTIMATE = COHORT_FEDERATED_VECTORS, NOW, BEFORE, DIFFERENCE, OLD };

static const cohort_federated_vector vectors[] = {
    {"estimate", COHORT_SIDE_SERVER, .meaning = "v: of the gradient, as the last round left it"},
    {"now", COHORT_SIDE_SERVER, .meaning = "the weights as the last round left them", .from_weights = true},
    {"before", COHORT_SIDE_SERVER, .meaning = "and as it found them", .from_weights = true},
    {"difference", COHORT_SIDE_ROUND, .meaning = "what a client sends, before its clip"},
    {"old", COHORT_SIDE_ROUND, .meaning = "its gradient at the last round's weights"},
    {.name = NULL},
};

static bool restarts(const diff2_config *own, int64_t round) { return round % own->restart == 0; }

/* A client sends its gradient, or by how much that differs from the one at the last round's weights. It takes no step
 * of its own. */
static cohort_status local(cohort_federated_client *client, cohort_error *error) {
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_START, COHORT_BATCH_ALL, DIFFERENCE, NULL, error));
  if (restarts(client->config, client->round)) return COHORT_DONE;
  COHORT_TRY(client->call->ask(client, BEFORE, COHORT_BATCH_ALL, OLD, NULL, error));
  client->call->combine(client, DIFFERENCE, 1, DIFFERENCE, -1, OLD);
  return COHORT_DONE;
}

/* Minus it, clipped. Where the weights have not moved nothing has changed. */
static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  const diff2_config *own = client->config;
  const bool whole = restarts(own, client->round);
  (void)error;
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_START, -1, BEFORE);
  const double way = sqrt(client->call->dot(client, COHORT_CLIENT_SCRATCH, COHORT_CLIENT_SCRATCH));
  const double norm = sqrt(client->call->dot(client, DIFFERENCE, DIFFERENCE));
  const double clip = whole ? own->restart_clip : own->clip, bound = whole ? clip : clip * way;
  const double factor = clip > 0 && norm > bound ? bound / norm : 1;
  client->call->combine(client, COHORT_CLIENT_CHANGE, -factor, DIFFERENCE, 0, DIFFERENCE);
  return COHORT_DONE;
}

/* The next estimate of the gradient. */
static void estimate(const cohort_federated_server *server, int out) {
  const diff2_config *own = server->config;
  double deviation = own->restart_noise * own->restart_clip;
  if (restarts(own, server->round)) {
    server->call->combine(server, out, -1, COHORT_SERVER_CHANGE, 0, COHORT_SERVER_CHANGE);
  } else {
    server->call->combine(server, COHORT_SERVER_SCRATCH, 1, NOW, -1, BEFORE);
    deviation = own->noise * own->clip * sqrt(server->call->dot(server, COHORT_SERVER_SCRATCH, COHORT_SERVER_SCRATCH));
    server->call->combine(server, out, 1, ESTIMATE, -1, COHORT_SERVER_CHANGE);
  }
  if (deviation <= 0 || server->present == 0) return;
  server->call->fill(server, COHORT_FILL_NORMAL, COHORT_SERVER_SCRATCH, "diff2", 0);
  server->call->combine(server, out, 1, out, deviation / (double)server->present, COHORT_SERVER_SCRATCH);
}

static void serve(const cohort_federated_server *server) { estimate(server, COHORT_SERVER_STEP); }

static void receive(const cohort_federated_server *server) {
  estimate(server, ESTIMATE);
  server->call->combine(server, BEFORE, 1, NOW, 0, NOW);
  server->call->combine(server, NOW, 1, COHORT_SERVER_WEIGHTS, 0, COHORT_SERVER_WEIGHTS);
}

static const cohort_federated functions = {.uniform = true,
                                           .asks_all = true,
                                           .vectors = vectors,
                                           .local = local,
                                           .leave = leave,
                                           .serve = serve,
                                           .receive = receive};

/* Noise is measured by what the clip allows. */
static cohort_status check(const void *config, cohort_error *error) {
  const diff2_config *own = config;
  if ((own->restart_noise > 0 && own->restart_clip <= 0) || (own->noise > 0 && own->clip <= 0))
    return cohort_fail(error, COHORT_BAD_CONFIG, "noise is in units of a clip that is 0; set clip, or no noise");
  return COHORT_DONE;
}

static const cohort_method diff2 = {
    .family = "federated",
    .key = "diff2",
    .summary = "private gradient descent by differences of gradients, whose noise shrinks with the steps",
    .title = "DIFF2: Differential Private Optimization via Gradient Differences for Nonconvex Distributed Learning",
    .source = "Murata and Suzuki, ICML 2023, with the subroutine of gradient descent",
    .formula =
        "in every restart-th round, from the first: v = mean_i clip(g_i(w), restart_clip) + restart_noise restart_clip "
        "z / present; in the others v += mean_i clip(g_i(w) - g_i(w'), clip |w - w'|) + noise clip |w - w'| z / "
        "present, w' the last round's weights, z standard normal; w -= learning_rate v",
    .config_size = sizeof(diff2_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_federated_diff2[] = {&diff2, NULL};
