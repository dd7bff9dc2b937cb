/* MimeLite (Karimireddy et al., 2021): clients step with the server's momentum, which they do not change; it follows
 * the gradients of all their samples at the round's weights. Its cost is a pass over the gradient a local step, and one
 * gradient of all samples. */
#include "method/federated/federated.h"

typedef struct mimelite_config {
  double learning_rate, beta;
} mimelite_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(mimelite_config),
    COHORT_REAL_UNIT(mimelite_config, beta, "0.9", "share of the momentum in a step, and of it that is kept"),
    {.name = NULL},
};

enum { MOMENTUM = COHORT_FEDERATED_VECTORS, WHOLE };

static const cohort_federated_vector vectors[] = {
    {"momentum", COHORT_SIDE_SERVER, .meaning = "m: decayed average of clients' gradients at the rounds' weights"},
    {"whole", COHORT_SIDE_UPLOAD, .meaning = "the gradient of all the client's samples at the round's weights"},
    {.name = NULL},
};

static cohort_status begin(cohort_federated_client *client, cohort_error *error) {
  return client->call->ask(client, COHORT_CLIENT_START, COHORT_BATCH_ALL, WHOLE, NULL, error);
}

static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const mimelite_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1 - own->beta, COHORT_CLIENT_GRADIENT, own->beta, MOMENTUM);
  return COHORT_DONE;
}

static void receive(const cohort_federated_server *server) {
  const mimelite_config *own = server->config;
  server->call->combine(server, MOMENTUM, own->beta, MOMENTUM, 1 - own->beta, WHOLE);
}

static const cohort_federated functions = {.uniform = true,
                                           .asks_all = true,
                                           .steps = COHORT_STEPS_PLAIN,
                                           .vectors = vectors,
                                           .begin = begin,
                                           .gradient = gradient,
                                           .receive = receive};

static const cohort_method mimelite = {
    .family = "federated",
    .key = "mimelite",
    .summary = "clients that step with the server's momentum",
    .title = "Breaking the centralized barrier for cross-device federated learning",
    .source =
        "Karimireddy, Jaggi, Kale, Mohri, Reddi, Stich and Suresh, NeurIPS 2021, Algorithm 1, MimeLite, with SGDm",
    .formula =
        "a client's steps follow (1 - beta) gradient + beta m; w += learning_rate mean(y - x); "
        "m = beta m + (1 - beta) mean of the clients' whole gradients at x",
    .config_size = sizeof(mimelite_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_mimelite[] = {&mimelite, NULL};
