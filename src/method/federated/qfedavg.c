/* q-FedAvg (Li et al., 2020): clients with a large loss weigh more, the more the larger q is. It keeps nothing; it
 * costs the loss of all samples before the first step. */
#include "method/federated/federated.h"

typedef struct qfedavg_config {
  double learning_rate, q;
} qfedavg_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(qfedavg_config),
    COHORT_REAL_ATLEAST(qfedavg_config, q, "0.2", 0, "power of the losses; 0: all clients alike", .sweep_low = 1e-2,
                        .sweep_high = 10, .sweep_log = true),
    {.name = NULL},
};

enum { LOSS = COHORT_FEDERATED_VECTORS, CURVATURE };

static const cohort_federated_vector vectors[] = {
    {"loss", COHORT_SIDE_ROUND, .layout = COHORT_LIKE_NUMBERS,
     .meaning = "F_i: of all samples, at the round's weights"},
    {"curvature", COHORT_SIDE_UPLOAD, .layout = COHORT_LIKE_NUMBERS, .meaning = "h_i"},
    {.name = NULL},
};

static cohort_status begin(cohort_federated_client *client, cohort_error *error) {
  double *loss = client->call->numbers(client, LOSS);
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_START, COHORT_BATCH_ALL, -1, loss, error));
  *loss = fmax(*loss, 0) + 1e-10; /* of the authors' code: no power of 0; losses below 0 have none */
  return COHORT_DONE;
}

/* In place of the change F^q L times it, L = 1 / the client's learning rate. Where the schedule has that at 0, nothing
 * has changed. */
static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  const qfedavg_config *own = client->config;
  const double loss = client->call->numbers(client, LOSS)[0], rate = client->learning_rate;
  (void)error;
  if (rate <= 0) return COHORT_DONE;
  const double square = client->call->dot(client, COHORT_CLIENT_CHANGE, COHORT_CLIENT_CHANGE) / (rate * rate);
  client->call->numbers(client, CURVATURE)[0] = own->q * pow(loss, own->q - 1) * square + pow(loss, own->q) / rate;
  client->call->combine(client, COHORT_CLIENT_CHANGE, pow(loss, own->q) / rate, COHORT_CLIENT_CHANGE, 0,
                        COHORT_CLIENT_CHANGE);
  return COHORT_DONE;
}

static void serve(const cohort_federated_server *server) {
  double sum = 0;
  for (int i = 0; i < (int)server->present; i++) sum += server->call->numbers(server, CURVATURE, i)[0];
  const double share = sum > 0 ? (double)server->present / sum : 0;
  server->call->combine(server, COHORT_SERVER_STEP, -share, COHORT_SERVER_CHANGE, 0, COHORT_SERVER_CHANGE);
}

static const cohort_federated functions = {
    .uniform = true, .asks_all = true, .vectors = vectors, .begin = begin, .leave = leave, .serve = serve};

static const cohort_method qfedavg = {
    .family = "federated",
    .key = "qfedavg",
    .summary = "federated averaging that evens out the clients' losses",
    .title = "Fair Resource Allocation in Federated Learning",
    .source =
        "Li, Sanjabi, Beirami and Smith, ICLR 2020, Algorithm 2, with 1e-10 added to losses as in the authors' code",
    .formula =
        "F_i = loss of client i at w, of all its samples, + 1e-10; L = 1 / the clients' learning rate; d_i = L "
        "delta_i; "
        "h_i = q F_i^(q - 1) |d_i|^2 + L F_i^q; w += learning_rate sum_i F_i^q d_i / sum_i h_i",
    .config_size = sizeof(qfedavg_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_qfedavg[] = {&qfedavg, NULL};
