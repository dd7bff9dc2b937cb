/* FedNova (Wang et al., 2020): changes are divided by how far a client's steps reach, so that those who take more do
 * not pull the average to their own optimum. It keeps nothing beside the server's momentum and costs what fedavg costs.
 */
#include "method/federated/federated.h"

typedef struct fednova_config {
  double learning_rate, momentum;
} fednova_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fednova_config),
    COHORT_REAL_UNIT(fednova_config, momentum, "0", "of the server, over rounds", .sweep_low = 0, .sweep_high = 0.99),
    {.name = NULL},
};

static int settings(const void *config, cohort_choice_number *out) {
  const fednova_config *own = config;
  out[0] = (cohort_choice_number){"learning_rate", own->learning_rate};
  out[1] = (cohort_choice_number){"momentum", own->momentum};
  return 2;
}

/* Sum of the weights that `steps` gradients have in a client's change, in units of its learning rate: with momentum m,
 * 1, 1 + m, 1 + m + m^2, ... added up. */
static double reach(int64_t steps, double momentum) {
  double weight = 0, sum = 0;
  for (int64_t s = 0; s < steps; s++) {
    weight = momentum * weight + 1;
    sum += weight;
  }
  return sum;
}

/* share_i becomes p_i (sum_j p_j a_j) / a_i. The mean is taken from the first one on, so that it is exact when all are
 * equal. */
static void weigh(const cohort_federated_server *server, double *share) {
  const double momentum = server->call->client_real(server, "momentum", 0), first = reach(server->steps[0], momentum);
  double mean = first;
  for (int64_t i = 1; i < server->present; i++) mean += share[i] * (reach(server->steps[i], momentum) - first);
  for (int64_t i = 0; i < server->present; i++) share[i] *= mean / reach(server->steps[i], momentum);
}

static const cohort_federated functions = {
    .server = "sgd", .settings = settings, .steps = COHORT_STEPS_SGD, .weigh = weigh};

static const cohort_method fednova = {
    .family = "federated",
    .key = "fednova",
    .summary = "federated averaging of changes that are divided by the clients' steps",
    .title = "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization",
    .source =
        "Wang, Liu, Liang, Joshi and Poor, NeurIPS 2020, equation 8 and section 4; momentum as in the authors' code",
    .formula =
        "a_i = sum of the weights of client i's gradients (its steps, or with its momentum m: sum_k (1 - m^k) / (1 - "
        "m)); "
        "p_i = n_i / sum_i n_i; D = (sum_i p_i a_i) sum_i p_i delta_i / a_i; v = momentum v + D; w += learning_rate v",
    .config_size = sizeof(fednova_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fednova[] = {&fednova, NULL};
