/* FedAvg (McMahan et al., 2017): the server takes the clients' average change. */
#include "method/federated/federated.h"

typedef struct fedavg_config {
  double learning_rate;
} fedavg_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fedavg_config),
    {.name = NULL},
};

static const cohort_federated functions = {.server = "sgd"};

static const cohort_method fedavg = {
    .family = "federated",
    .key = "fedavg",
    .summary = "the weighted average of the clients' models",
    .title = "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    .source = "McMahan, Moore, Ramage, Hampson and Aguera y Arcas, AISTATS 2017, Algorithm 1",
    .formula = "D = sum_i n_i delta_i / sum_i n_i; w += learning_rate D",
    .config_size = sizeof(fedavg_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedavg[] = {&fedavg, NULL};
