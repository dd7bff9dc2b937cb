/* FedAvgM (Hsu, Qi and Brown, 2019): FedAvg with momentum at the server. */
#include "method/federated/federated.h"

typedef struct fedavgm_config {
  double learning_rate, momentum;
} fedavgm_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(fedavgm_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0,
     .maximum = INFINITY, .maximum_open = true, .meaning = "the server's step size", .sweep_low = 1e-2, .sweep_high = 1,
     .sweep_log = true},
    COHORT_REAL_UNIT(fedavgm_config, momentum, "0.9", "share of the server's last velocity that is kept"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"momentum=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

static int settings(const void *config, cohort_choice_number *out) {
  const fedavgm_config *own = config;
  out[0] = (cohort_choice_number){"learning_rate", own->learning_rate};
  out[1] = (cohort_choice_number){"momentum", own->momentum};
  return 2;
}

static const cohort_federated functions = {.server = "sgd", .settings = settings};

static const cohort_method fedavgm = {
    .family = "federated",
    .key = "fedavgm",
    .summary = "federated averaging with momentum at the server",
    .title = "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification",
    .source = "Hsu, Qi and Brown, 2019, section 4.3",
    .formula = "D = sum_i n_i delta_i / sum_i n_i; v = momentum v + D; w += learning_rate v",
    .config_size = sizeof(fedavgm_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedavgm[] = {&fedavgm, NULL};
