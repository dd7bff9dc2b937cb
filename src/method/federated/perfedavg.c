/* Per-FedAvg (Fallah, Mokhtari and Ozdaglar, 2020): the shared model is to be good after a step of each client's own.
 * Of the gradient of that, first_order leaves the Hessian out; hessian_free takes its product as a difference of
 * gradients. Their cost is two and four gradients a local step. */
#include "method/federated/federated.h"

enum { FIRST_ORDER, HESSIAN_FREE };
static const char *const variants[] = {"first_order", "hessian_free", NULL};

typedef struct perfedavg_config {
  double learning_rate, alpha, difference;
  int variant;
} perfedavg_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(perfedavg_config),
    COHORT_REAL_ATLEAST(perfedavg_config, alpha, "0.01", 0,
                        "step size of the one step that makes the client's own model; 0: fedavg", .sweep_low = 1e-3,
                        .sweep_high = 0.3, .sweep_log = true),
    COHORT_CHOICE(perfedavg_config, variant, "first_order", variants,
                  "first_order: the Hessian is left out; hessian_free: its product is a difference of gradients"),
    COHORT_REAL_ABOVE(perfedavg_config, difference, "1e-3", 0,
                      "hessian_free: delta, the length of the way between the two gradients, in gradients",
                      .sweep_low = 1e-4, .sweep_high = 1e-1, .sweep_log = true),
    {.name = NULL},
};

enum { AHEAD = COHORT_FEDERATED_VECTORS, BEHIND };

static const cohort_federated_vector vectors[] = {
    {"ahead", COHORT_SIDE_ROUND, .meaning = "gradient a little along the meta-gradient"},
    {"behind", COHORT_SIDE_ROUND, .meaning = "gradient a little against it"},
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"alpha=0 variant=first_order", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* GRADIENT -= alpha (gradient(w + delta GRADIENT) - gradient(w - delta GRADIENT)) / (2 delta) */
static cohort_status take_curvature(cohort_federated_client *client, int64_t batch, cohort_error *error) {
  const perfedavg_config *own = client->config;
  const double delta = own->difference, share = own->alpha / (2 * delta);
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, delta, COHORT_CLIENT_GRADIENT);
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_SCRATCH, batch, AHEAD, NULL, error));
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -delta, COHORT_CLIENT_GRADIENT);
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_SCRATCH, batch, BEHIND, NULL, error));
  client->call->combine(client, AHEAD, share, AHEAD, -share, BEHIND);
  client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, -1, AHEAD);
  return COHORT_DONE;
}

/* Three batches, each of samples of its own: D for the step, D' and D'' for the gradient after it. */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const perfedavg_config *own = client->config;
  const int64_t further = client->steps + 2 * client->step;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (own->alpha <= 0) return COHORT_DONE;
  client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, COHORT_CLIENT_POINT, -own->alpha, COHORT_CLIENT_GRADIENT);
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_SCRATCH, further, COHORT_CLIENT_GRADIENT, NULL, error));
  return own->variant == HESSIAN_FREE ? take_curvature(client, further + 1, error) : COHORT_DONE;
}

/* The step, on all of the client's samples. */
static cohort_status personal_model(cohort_federated_client *client, cohort_error *error) {
  const perfedavg_config *own = client->config;
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_START, COHORT_BATCH_ALL, COHORT_CLIENT_SCRATCH, NULL, error));
  client->call->combine(client, COHORT_CLIENT_LOCAL, 1, COHORT_CLIENT_START, -own->alpha, COHORT_CLIENT_SCRATCH);
  return COHORT_DONE;
}

static const cohort_federated functions = {
    .asks_all = true, .vectors = vectors, .gradient = gradient, .personal_model = personal_model};

static const cohort_method perfedavg = {
    .family = "federated",
    .key = "perfedavg",
    .summary = "federated averaging towards a model that is good after one step of each client's own",
    .title = "Personalized Federated Learning with Theoretical Guarantees: A Model-Agnostic Meta-Learning Approach",
    .source = "Fallah, Mokhtari and Ozdaglar, NeurIPS 2020, Algorithm 1 and section 5 (FO, HF)",
    .formula =
        "a client's steps follow g' = gradient(w - alpha gradient(w; D); D'); hessian_free: g' - alpha (gradient(w + "
        "delta g'; D'') - gradient(w - delta g'; D'')) / (2 delta); w += learning_rate sum_i n_i change_i / sum_i n_i "
        "(the paper: equal clients); the client's own model: w - alpha gradient(w)",
    .config_size = sizeof(perfedavg_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_perfedavg[] = {&perfedavg, NULL};
