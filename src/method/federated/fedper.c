/* FedPer (Arivazhagan et al., 2019): the last layers stay with their client, all others are averaged. Its cost is that
 * of fedavg, and a row of the personal tensors for each client that ever took part. */
#include "method/federated/heads.h"

typedef struct fedper_config {
  cohort_head_config head;
  double learning_rate;
} fedper_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fedper_config),
    COHORT_HEAD_PARAMETERS,
    {.name = NULL},
};

static const cohort_federated_vector vectors[] = {COHORT_HEAD_VECTOR, {.name = NULL}};

static const cohort_identity identities[] = {
    {"tensors=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

static const cohort_federated functions = {
    .vectors = vectors, .personal = cohort_head_has, .begin = cohort_head_take, .leave = cohort_head_leave};

static const cohort_method fedper = {
    .family = "federated",
    .key = "fedper",
    .summary = "federated averaging of all layers but the last, which each client keeps to itself",
    .title = "Federated Learning with Personalization Layers",
    .source = "Arivazhagan, Aggarwal, Singh and Choudhary, 2019, Algorithms 1 and 2",
    .formula =
        "w is (shared, head_i): a client's steps move both, from (shared, its own head_i); "
        "shared += learning_rate sum_i n_i change_i / sum_i n_i; head_i stays with client i",
    .config_size = sizeof(fedper_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fedper[] = {&fedper, NULL};
