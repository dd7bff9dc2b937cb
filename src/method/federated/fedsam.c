/* FedSAM (Qu et al., 2022; Caldarola et al., 2022): clients step by the gradient at the worst point near them. It keeps
 * nothing; a local step costs two gradients. */
#include "method/federated/federated.h"

typedef struct fedsam_config {
  double learning_rate, rho;
} fedsam_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fedsam_config),
    COHORT_REAL_ATLEAST(fedsam_config, rho, "0.05", 0,
                        "radius of the ascent step, in the norm over all parameters; 0: fedavg", .sweep_low = 1e-2,
                        .sweep_high = 0.5, .sweep_log = true),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"rho=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

enum { ASCENDED = COHORT_FEDERATED_VECTORS };

static const cohort_federated_vector vectors[] = {
    {"ascended", COHORT_SIDE_ROUND, .meaning = "the worst nearby point"},
    {.name = NULL},
};

static cohort_status gradient(cohort_federated_client *client, cohort_error *error) {
  const fedsam_config *own = client->config;
  const double tiny = 1e-12; /* as in the optimizer sam: no division by a zero norm */
  COHORT_TRY(client->call->ask(client, COHORT_CLIENT_POINT, client->step, COHORT_CLIENT_GRADIENT, NULL, error));
  if (own->rho <= 0) return COHORT_DONE;
  const double norm = sqrt(client->call->dot(client, COHORT_CLIENT_GRADIENT, COHORT_CLIENT_GRADIENT));
  if (!isfinite(norm)) return COHORT_DONE; /* such a gradient tells no direction */
  client->call->combine(client, ASCENDED, 1, COHORT_CLIENT_POINT, own->rho / (norm + tiny), COHORT_CLIENT_GRADIENT);
  return client->call->ask(client, ASCENDED, client->step, COHORT_CLIENT_GRADIENT, NULL, error);
}

static const cohort_federated functions = {.vectors = vectors, .gradient = gradient};

static const cohort_method fedsam = {
    .family = "federated",
    .key = "fedsam",
    .summary = "federated averaging of clients that take sharpness-aware steps",
    .title = "Generalized Federated Learning via Sharpness Aware Minimization",
    .source = "Qu, Li, Duan, Liu, Tang and Lu, ICML 2022, Algorithm 1",
    .formula =
        "a client's steps follow the gradient at y + rho g(y) / (|g(y)| + 1e-12), of the same batch; "
        "D = sum_i n_i delta_i / sum_i n_i; w += learning_rate D",
    .config_size = sizeof(fedsam_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedsam[] = {&fedsam, NULL};
