/* Equal shares of a permutation. */
#include "method/partition/partition.h"

typedef struct iid_config {
  int64_t clients;
} iid_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(iid_config, clients, "100", 1, 1e7, "clients in the population", .unit = "clients"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"clients=7", "dirichlet", "clients=7 alpha=0"},
    {.settings = NULL, .method = NULL},
};

static int64_t clients(const void *config, const cohort_partition_data *data) {
  (void)data;
  return ((const iid_config *)config)->clients;
}

static cohort_status deal(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  (void)error;
  cohort_partition_equally(data, ((const iid_config *)config)->clients, owner);
  return COHORT_DONE;
}

static const cohort_partition functions = {.clients = clients, .deal = deal};

static const cohort_method iid = {
    .family = "partition",
    .key = "iid",
    .summary = "equal shares of all samples, whatever they are",
    .source = "McMahan, Moore, Ramage, Hampson and Aguera y Arcas, AISTATS 2017, section 3, IID",
    .formula = "sample p(i) belongs to client floor(i clients / samples), p a permutation",
    .config_size = sizeof(iid_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_partition_iid[] = {&iid, NULL};
