/* Ditto (Li et al., 2021): beside its part in the shared model each client trains one of its own, which is pulled to
 * the round's weights. Its cost is the personal steps beside those of fedavg, and a vector for each client that ever
 * took part. */
#include "method/federated/federated.h"

typedef struct ditto_config {
  double learning_rate, pull;
  int64_t personal_steps;
} ditto_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(ditto_config),
    COHORT_REAL_ATLEAST(ditto_config, pull, "1", 0,
                        "lambda: how strongly a client's own model is pulled to the shared one; 0: clients learn alone",
                        .sweep_low = 1e-2, .sweep_high = 10, .sweep_log = true),
    COHORT_INTEGER_RANGE(ditto_config, personal_steps, "0", 0, 1e6,
                         "steps of the client's own model in a round; 0: as many as the round's local steps",
                         .unit = "steps"),
    {.name = NULL},
};

enum { PERSONAL = COHORT_FEDERATED_VECTORS };

static const cohort_federated_vector vectors[] = {
    {"personal", COHORT_SIDE_CLIENT, .from_weights = true, .evaluated = true, .stepped = true,
     .meaning = "v_i: the client's own model"},
    {.name = NULL},
};

static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const ditto_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (client->stepped != PERSONAL) return COHORT_DONE;
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -1, COHORT_CLIENT_START);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, own->pull, COHORT_CLIENT_SCRATCH);
  return COHORT_DONE;
}

static cohort_status local(cohort_federated_client *client, cohort_error *error) {
  const ditto_config *own = client->config;
  const int64_t personal = own->personal_steps ? own->personal_steps : client->steps;
  for (client->step = 0; client->step < client->steps; client->step++)
    COHORT_TRY(client->call->step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_ALL, error));
  for (client->step = 0; client->step < personal; client->step++)
    COHORT_TRY(client->call->step(client, PERSONAL, COHORT_MOVES_ALL, error));
  return COHORT_DONE;
}

static const cohort_federated functions = {.vectors = vectors, .gradient = gradient, .local = local};

static const cohort_method ditto = {
    .family = "federated",
    .key = "ditto",
    .summary = "federated averaging, and beside it a model of each client's own, pulled to the shared one",
    .title = "Ditto: Fair and Robust Federated Learning Through Personalization",
    .source = "Li, Hu, Beirami and Smith, ICML 2021, Algorithm 1",
    .formula =
        "as fedavg; client i then takes personal_steps of v_i along gradient(v_i) + pull (v_i - x), x the round's "
        "weights",
    .config_size = sizeof(ditto_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_ditto[] = {&ditto, NULL};
