/* pFedMe (Dinh, Tran and Nguyen, 2020): clients descend the Moreau envelopes of their losses, whose gradient needs a
 * model of the client's own near the shared one. Its cost is personal_steps gradients a local step, and a vector for
 * each client that ever took part. */
#include "method/federated/federated.h"

typedef struct pfedme_config {
  double learning_rate, pull, personal_learning_rate;
  int64_t personal_steps;
} pfedme_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(pfedme_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0,
     .maximum = INFINITY, .maximum_open = true, .meaning = "beta, the server's step size; 1 takes the clients' average",
     .sweep_low = 0.1, .sweep_high = 4, .sweep_log = true},
    COHORT_REAL_ABOVE(pfedme_config, pull, "15", 0,
                      "lambda: how strongly a client's own model is pulled to where the client stands", .sweep_low = 1,
                      .sweep_high = 50, .sweep_log = true),
    COHORT_INTEGER_RANGE(pfedme_config, personal_steps, "5", 1, 1e6,
                         "K: steps of the client's own model for each of its local steps", .unit = "steps"),
    COHORT_REAL_ATLEAST(pfedme_config, personal_learning_rate, "0.1", 0, "step size of the client's own model",
                        .sweep_low = 1e-3, .sweep_high = 0.3, .sweep_log = true),
    {.name = NULL},
};

enum { PERSONAL = COHORT_FEDERATED_VECTORS };

static const cohort_federated_vector vectors[] = {
    {"personal", COHORT_SIDE_CLIENT, .from_weights = true, .evaluated = true,
     .meaning = "theta_i: the client's own model"},
    {.name = NULL},
};

static cohort_status begin(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, PERSONAL, 1, COHORT_CLIENT_START, 0, COHORT_CLIENT_START);
  return COHORT_DONE;
}

/* Of the envelope: pull (w - theta(w)), with theta nearer to its minimum by some steps on one batch. */
static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const pfedme_config *own = client->config;
  for (int64_t k = 0; k < own->personal_steps; k++) {
    COHORT_TRY(client->call->ask(client, PERSONAL, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
    client->call->combine(client, COHORT_CLIENT_SCRATCH, 1, PERSONAL, -1, COHORT_CLIENT_POINT);
    client->call->combine(client, COHORT_CLIENT_GRADIENT, 1, COHORT_CLIENT_GRADIENT, own->pull, COHORT_CLIENT_SCRATCH);
    client->call->combine(client, PERSONAL, 1, PERSONAL, -own->personal_learning_rate, COHORT_CLIENT_GRADIENT);
  }
  client->call->combine(client, COHORT_CLIENT_GRADIENT, own->pull, COHORT_CLIENT_POINT, -own->pull, PERSONAL);
  return COHORT_DONE;
}

static const cohort_federated functions = {.vectors = vectors, .begin = begin, .gradient = gradient};

static const cohort_method pfedme = {
    .family = "federated",
    .key = "pfedme",
    .summary = "federated averaging of clients that descend the Moreau envelopes of their losses",
    .title = "Personalized Federated Learning with Moreau Envelopes",
    .source =
        "Dinh, Tran and Nguyen, NeurIPS 2020, Algorithm 1; theta_i by steps of gradient descent that go on from "
        "those before, as in the authors' code",
    .formula =
        "theta_i begins at the round's w; a local step of rate e at w_i: personal_steps of theta_i -= "
        "personal_learning_rate (gradient(theta_i) + pull (theta_i - w_i)), then w_i -= e pull (w_i - theta_i); "
        "w += learning_rate sum_i n_i (w_i - w) / sum_i n_i (the paper: equal clients)",
    .config_size = sizeof(pfedme_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_pfedme[] = {&pfedme, NULL};
