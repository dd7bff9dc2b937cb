/* FedExP (Jhunjhunwala et al., 2023): the server goes further than the clients' mean the less they agree. Its cost is
 * an inner product a client, and two vectors of the server, for the average that is evaluated. */
#include "method/federated/federated.h"

typedef struct fedexp_config {
  double learning_rate, epsilon;
} fedexp_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fedexp_config),
    COHORT_REAL_ATLEAST(fedexp_config, epsilon, "1e-3", 0, "added to the square of the mean change's norm",
                        .sweep_low = 1e-5, .sweep_high = 1, .sweep_log = true),
    {.name = NULL},
};

enum { SQUARE = COHORT_FEDERATED_VECTORS, BEFORE, AVERAGE };

static const cohort_federated_vector vectors[] = {
    {"square", COHORT_SIDE_UPLOAD, .layout = COHORT_LIKE_NUMBERS, .meaning = "|delta_i|^2"},
    {"before", COHORT_SIDE_SERVER, .from_weights = true, .meaning = "the weights"},
    {"average", COHORT_SIDE_SERVER, .from_weights = true, .evaluated = true,
     .meaning = "of the last two rounds' weights, which is evaluated"},
    {.name = NULL},
};

static cohort_status leave(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->numbers(client, SQUARE)[0] = client->call->dot(client, COHORT_CLIENT_CHANGE, COHORT_CLIENT_CHANGE);
  return COHORT_DONE;
}

static void serve(const cohort_federated_server *server) {
  const fedexp_config *own = server->config;
  const double square = server->call->dot(server, COHORT_SERVER_CHANGE, COHORT_SERVER_CHANGE) + own->epsilon;
  double sum = 0;
  for (int i = 0; i < (int)server->present; i++) sum += server->call->numbers(server, SQUARE, i)[0];
  const double rate = square > 0 ? fmax(1, sum / (2 * (double)server->present * square)) : 1;
  server->call->combine(server, COHORT_SERVER_STEP, -rate, COHORT_SERVER_CHANGE, 0, COHORT_SERVER_CHANGE);
}

static void receive(const cohort_federated_server *server) {
  server->call->combine(server, AVERAGE, 0.5, BEFORE, 0.5, COHORT_SERVER_WEIGHTS);
  server->call->combine(server, BEFORE, 1, COHORT_SERVER_WEIGHTS, 0, COHORT_SERVER_WEIGHTS);
}

static const cohort_federated functions = {
    .uniform = true, .vectors = vectors, .leave = leave, .serve = serve, .receive = receive};

static const cohort_method fedexp = {
    .family = "federated",
    .key = "fedexp",
    .summary = "federated averaging that extrapolates where clients go different ways",
    .title = "FedExP: Speeding Up Federated Averaging via Extrapolation",
    .source = "Jhunjhunwala, Wang and Joshi, ICLR 2023, Algorithm 1, equation 7",
    .formula =
        "D = mean delta_i over M clients; eta = max(1, sum_i |delta_i|^2 / (2 M (|D|^2 + epsilon))); "
        "w += learning_rate eta D; the average of the last two w is evaluated",
    .config_size = sizeof(fedexp_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedexp[] = {&fedexp, NULL};
