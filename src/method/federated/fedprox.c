/* FedProx (Li et al., 2020): a client stays near the round's weights, by a proximal term in its objective. Its cost is
 * one pass over the gradient a local step. */
#include "method/federated/federated.h"

typedef struct fedprox_config {
  double learning_rate, mu;
} fedprox_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fedprox_config),
    COHORT_REAL_ATLEAST(fedprox_config, mu, "0.01", 0, "weight of the proximal term; 0: fedavg", .sweep_low = 1e-3,
                        .sweep_high = 1, .sweep_log = true),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"mu=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* The gradient of mu/2 |y - x|^2 joins the loss's. */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const fedprox_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (own->mu <= 0) return COHORT_DONE;
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -1, COHORT_CLIENT_START);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, own->mu, COHORT_CLIENT_SCRATCH);
  return COHORT_DONE;
}

static const cohort_federated functions = {.gradient = gradient};

static const cohort_method fedprox = {
    .family = "federated",
    .key = "fedprox",
    .summary = "federated averaging of clients that stay near the round's weights",
    .title = "Federated Optimization in Heterogeneous Networks",
    .source = "Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith, MLSys 2020, Algorithm 2",
    .formula =
        "a client's steps follow gradient + mu (y - x), x the round's weights; "
        "D = sum_i n_i delta_i / sum_i n_i; w += learning_rate D",
    .config_size = sizeof(fedprox_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedprox[] = {&fedprox, NULL};
