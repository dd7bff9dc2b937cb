/* A complete partition to start from: copy this file to src/method/partition/NAME.c, build, and NAME is a method like
 * any other: in `cohort methods partition`, in `cohort probe partition`, in configs (federated.population) and under
 * the contract tests. As it stands samples are dealt in turns, like cards. */
#include "method/partition/partition.h"

typedef struct own_config {
  int64_t clients;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(own_config, clients, "100", 1, 1e7, "clients in the population", .unit = "clients"),
    {.name = NULL},
};

static int64_t clients(const void *config, const cohort_partition_data *data) {
  (void)data;
  return ((const own_config *)config)->clients;
}

/* A function of the config, the data and the key alone. Room comes from data->memory; what is drawn, from data->key. */
static cohort_status deal(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  const own_config *own = config;
  (void)error;
  for (int64_t i = 0; i < data->samples; i++) owner[i] = (int32_t)(i % own->clients);
  return COHORT_DONE;
}

/* One that deals by classes says .by = COHORT_PARTITION_BY_CLASS, and finds them in data->labels. */
static const cohort_partition functions = {.clients = clients, .deal = deal};

static const cohort_method method = {
    .family = "partition",
    .key = COHORT_FILE_KEY,
    .summary = "samples dealt in turns (a template)",
    .source = "the template of the family partition",
    .formula = "sample i belongs to client i mod clients",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(partition, COHORT_FILE) = {&method, NULL};
