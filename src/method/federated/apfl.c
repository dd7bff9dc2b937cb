/* APFL (Deng, Kamani and Mahdavi, 2020): each client trains a mixture of the shared model and one of its own, in a
 * share alpha that it may adapt. Its cost is two gradients a local step, and a vector for each client that ever took
 * part. */
#include "method/federated/federated.h"

typedef struct apfl_config {
  double learning_rate, alpha;
  bool adaptive;
} apfl_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(apfl_config),
    COHORT_REAL_RANGE(apfl_config, alpha, "0.5", 0, false, 1, false,
                      "share of the client's own model in the mixture, or where it begins", .sweep_low = 0.1,
                      .sweep_high = 0.9),
    COHORT_BOOLEAN(apfl_config, adaptive, "true",
                   "alpha follows its gradient, a step of the clients' learning rate in every round, within 0 and 1"),
    {.name = NULL},
};

enum { PERSONAL = COHORT_FEDERATED_VECTORS, ALPHA, MIXED, MOVED };

static double initial_alpha(const void *config, int64_t clients) {
  (void)clients;
  return ((const apfl_config *)config)->alpha;
}

static const cohort_federated_vector vectors[] = {
    {"personal", COHORT_SIDE_CLIENT, .from_weights = true, .stepped = true, .meaning = "v_i: the client's own part"},
    {"alpha", COHORT_SIDE_CLIENT, .layout = COHORT_LIKE_NUMBERS, .initial = initial_alpha,
     .meaning = "alpha_i: share of the client's own part"},
    {"mixed", COHORT_SIDE_ROUND, .meaning = "alpha v_i + (1 - alpha) w_i"},
    {"moved", COHORT_SIDE_ROUND, .layout = COHORT_LIKE_NUMBERS, .meaning = "1: alpha has moved in this round"},
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"alpha=0 adaptive=false", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* alpha -= rate <v - w, gradient at the mixture>; GRADIENT holds the latter. */
static void move_alpha(cohort_federated_client *client, double *alpha) {
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -1, COHORT_CLIENT_LOCAL);
  const double slope = client->call->dot(client, COHORT_CLIENT_SCRATCH, COHORT_CLIENT_GRADIENT);
  const double next = *alpha - client->learning_rate * slope;
  *alpha = next < 0 ? 0 : next > 1 ? 1 : next;
  client->call->numbers(client, MOVED)[0] = 1;
}

/* Of the own part alpha times the gradient at the mixture. */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const apfl_config *own = client->config;
  if (client->stepped != PERSONAL)
    return client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error);
  double *share = client->call->numbers(client, ALPHA);
  const double alpha = *share;
  client->call->combine(client, MIXED, alpha, COHORT_CLIENT_POINT, 1 - alpha, COHORT_CLIENT_LOCAL);
  COHORT_TRY(client->call->ask(client, MIXED, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (own->adaptive && client->call->numbers(client, MOVED)[0] <= 0) move_alpha(client, share);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, alpha, COHORT_CLIENT_GRADIENT, 0, COHORT_CLIENT_GRADIENT);
  return COHORT_DONE;
}

/* Both parts step from where both stood. */
static cohort_status local(cohort_federated_client *client, cohort_error *error) {
  for (client->step = 0; client->step < client->steps; client->step++) {
    COHORT_TRY(client->call->step(client, PERSONAL, COHORT_MOVES_ALL, error));
    COHORT_TRY(client->call->step(client, COHORT_CLIENT_LOCAL, COHORT_MOVES_ALL, error));
  }
  return COHORT_DONE;
}

static cohort_status personal_model(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  const double alpha = *client->call->numbers(client, ALPHA);
  client->call->combine(client, COHORT_CLIENT_LOCAL, alpha, PERSONAL, 1 - alpha, COHORT_CLIENT_START);
  return COHORT_DONE;
}

static const cohort_federated functions = {
    .vectors = vectors, .gradient = gradient, .local = local, .personal_model = personal_model};

static const cohort_method apfl = {
    .family = "federated",
    .key = "apfl",
    .summary = "federated averaging, and of each client a mixture of the shared model and its own",
    .title = "Adaptive Personalized Federated Learning",
    .source = "Deng, Kamani and Mahdavi, 2020, Algorithm 1 and the update of alpha_i",
    .formula =
        "m_i = alpha_i v_i + (1 - alpha_i) w_i; a local step of rate e: w_i -= e gradient(w_i), v_i -= e alpha_i "
        "gradient(m_i); once a round alpha_i -= e <v_i - w_i, gradient(m_i)>, within 0 and 1; "
        "w += learning_rate sum_i n_i (w_i - w) / sum_i n_i (the paper: equal clients)",
    .config_size = sizeof(apfl_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_apfl[] = {&apfl, NULL};
