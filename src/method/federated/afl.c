/* Agnostic federated learning (Mohri et al., 2019): the mixture of clients that is hardest for the weights, found along
 * with them. Its cost is the loss of all samples before the first step, a number for each client of the population on
 * the server, a few passes over these, and one vector for the average that is evaluated. */
#include "method/federated/federated.h"

typedef struct afl_config {
  double learning_rate, mixture_rate;
} afl_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(afl_config),
    COHORT_REAL_ATLEAST(afl_config, mixture_rate, "0.1", 0, "step size of the mixture; 0: all clients alike",
                        .sweep_low = 1e-3, .sweep_high = 1, .sweep_log = true),
    {.name = NULL},
};

enum { LOSS = COHORT_FEDERATED_VECTORS, MIXTURE, AVERAGE, ROUNDS };

static int64_t every_client(const void *config, int64_t clients) {
  (void)config;
  return clients;
}

static double equal(const void *config, int64_t clients) {
  (void)config;
  return 1 / (double)clients;
}

static const cohort_federated_vector vectors[] = {
    {"loss", COHORT_SIDE_UPLOAD, .layout = COHORT_LIKE_NUMBERS, .meaning = "of all samples, at the round's weights"},
    {"mixture", COHORT_SIDE_SERVER, .layout = COHORT_LIKE_NUMBERS, .count = every_client, .initial = equal,
     .meaning = "lambda: the clients' weights"},
    {"average", COHORT_SIDE_SERVER, .evaluated = true, .meaning = "of all rounds' weights, which is evaluated"},
    {"rounds", COHORT_SIDE_SERVER, .layout = COHORT_LIKE_NUMBERS, .meaning = "that the average is of"},
    {.name = NULL},
};

/* lambda over those present, whose sum is 1 when all are. */
static void weigh(const cohort_federated_server *server, double *share) {
  const double *mixture = server->call->numbers(server, MIXTURE, 0);
  double sum = 0;
  for (int64_t i = 0; i < server->present; i++) sum += mixture[server->client[i]];
  for (int64_t i = 0; i < server->present; i++)
    share[i] = sum > 0 ? mixture[server->client[i]] / sum : 1 / (double)server->present;
}

static cohort_status begin(cohort_federated_client *client, cohort_error *error) {
  double *loss = client->call->numbers(client, LOSS);
  return client->call->ask(client, COHORT_CLIENT_START, COHORT_BATCH_ALL, -1, loss, error);
}

/* The nearest point with sum 1 and nothing below 0: what is below the common shift drops out until none is (Michelot
 * 1986), in one pass each time. */
static void project(double *mixture, int64_t clients) {
  int64_t left = 0, before = -1;
  double shift = -INFINITY;
  while (left != before) {
    double sum = 0;
    before = left;
    left = 0;
    for (int64_t i = 0; i < clients; i++)
      if (mixture[i] > shift) {
        sum += mixture[i];
        left++;
      }
    if (left) shift = (sum - 1) / (double)left;
  }
  for (int64_t i = 0; i < clients; i++) mixture[i] = mixture[i] > shift ? mixture[i] - shift : 0;
}

static void receive(const cohort_federated_server *server) {
  const afl_config *own = server->config;
  double *mixture = server->call->numbers(server, MIXTURE, 0);
  for (int i = 0; i < (int)server->present; i++)
    mixture[server->client[i]] += own->mixture_rate * server->call->numbers(server, LOSS, i)[0];
  project(mixture, server->clients);
  double *rounds = server->call->numbers(server, ROUNDS, 0);
  const double share = 1 / ++*rounds;
  server->call->combine(server, AVERAGE, 1 - share, AVERAGE, share, COHORT_SERVER_WEIGHTS);
}

static const cohort_federated functions = {
    .uniform = true, .asks_all = true, .vectors = vectors, .weigh = weigh, .begin = begin, .receive = receive};

static const cohort_method afl = {
    .family = "federated",
    .key = "afl",
    .summary = "federated averaging by the mixture of clients that is hardest",
    .title = "Agnostic Federated Learning",
    .source = "Mohri, Sivek and Suresh, ICML 2019, Algorithm 1, with local steps",
    .formula =
        "w += learning_rate sum_i lambda_i delta_i; lambda_i += mixture_rate F_i(w before); lambda is projected to "
        "what "
        "is at least 0 with sum 1; of some clients lambda_i / sum lambda; the mean of all w is evaluated",
    .config_size = sizeof(afl_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_afl[] = {&afl, NULL};
