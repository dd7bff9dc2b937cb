/* A complete strategy to start from: copy this file to src/method/federated/NAME.c, build, and NAME is a method like
 * any other: in `cohort methods federated`, in `cohort probe federated NAME`, in configs, and under the contract tests.
 * As it stands clients are pulled back to the round's weights, and the server steps by their weighted mean change, with
 * decay. */
#include "method/federated/federated.h"

typedef struct own_config {
  double learning_rate, weight_decay, pull;
} own_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(own_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true, .meaning = "the server's step size", .sweep_low = 1e-2, .sweep_high = 1, .sweep_log = true},
    COHORT_REAL_ATLEAST(own_config, weight_decay, "0", 0, "decay of the server's weights, times the step size"),
    COHORT_REAL_ATLEAST(own_config, pull, "0.1", 0, "how strongly a client is pulled back to the round's weights"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"weight_decay=0 pull=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* The server is any optimizer, set up by numbers; its gradient is minus the weighted mean of what the clients changed.
 */
static int settings(const void *config, cohort_choice_number *out) {
  const own_config *own = config;
  out[0] = (cohort_choice_number){"learning_rate", own->learning_rate};
  out[1] = (cohort_choice_number){"weight_decay", own->weight_decay};
  return 2;
}

/* The client's side, for each of its gradients: that of its step's batch, plus pull (point - start). A strategy that
 * keeps vectors (of each client, of the server) or uploads more than the change declares them; scaffold.c does. */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const own_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (own->pull <= 0) return COHORT_DONE;
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -1, COHORT_CLIENT_START);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, own->pull, COHORT_CLIENT_SCRATCH);
  return COHORT_DONE;
}

static const cohort_federated functions = {.server = "sgd", .settings = settings, .gradient = gradient};

static const cohort_method method = {
    .family = "federated",
    .key = COHORT_FILE_KEY,
    .summary = "federated averaging with clients that are pulled back, and decay at the server (a template)",
    .source = "the template of the family federated",
    .formula =
        "a client's steps follow gradient + pull (y - x); "
        "D = sum_i n_i delta_i / sum_i n_i; w = (1 - learning_rate weight_decay) w + learning_rate D",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

COHORT_METHOD_FILE(federated, COHORT_FILE) = {&method, NULL};
