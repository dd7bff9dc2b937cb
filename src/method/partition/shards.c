/* Shards (McMahan et al., 2017): the samples, sorted by class, are cut into pieces, of which every client gets a few.
 * Linear in samples. */
#include "method/partition/partition.h"

typedef struct shards_config {
  int64_t clients, shards;
} shards_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(shards_config, clients, "100", 1, 1e7, "clients in the population", .unit = "clients"),
    COHORT_INTEGER_RANGE(shards_config, shards, "2", 1, 1e6, "pieces that a client gets", .unit = "shards"),
    {.name = NULL},
};

static int64_t clients(const void *config, const cohort_partition_data *data) {
  (void)data;
  return ((const shards_config *)config)->clients;
}

static cohort_status deal(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  const shards_config *own = config;
  const int64_t shards = own->clients * own->shards;
  if (shards > data->samples)
    return cohort_fail(error, COHORT_BAD_CONFIG, "shards: %lld clients times %lld are more than the %lld samples",
                       (long long)own->clients, (long long)own->shards, (long long)data->samples);
  const cohort_partition_members sorted = cohort_partition_by_label(data);
  for (int64_t shard = 0; shard < shards; shard++) {
    const int64_t first = shard * data->samples / shards, last = (shard + 1) * data->samples / shards;
    const uint64_t place = cohort_random_permute(data->key, (uint64_t)shards, (uint64_t)shard);
    for (int64_t i = first; i < last; i++) owner[sorted.member[i]] = (int32_t)((int64_t)place / own->shards);
  }
  return COHORT_DONE;
}

static const cohort_partition functions = {.by = COHORT_PARTITION_BY_CLASS, .clients = clients, .deal = deal};

static const cohort_method shards = {
    .family = "partition",
    .key = "shards",
    .summary = "samples sorted by class and cut into shards, of which every client gets a few",
    .title = "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    .source = "McMahan, Moore, Ramage, Hampson and Aguera y Arcas, AISTATS 2017, section 3, the pathological non-IID",
    .formula =
        "samples in the order of (class, number) are cut into clients shards pieces of equal size; piece j belongs to "
        "client floor(p(j) / shards), p a permutation",
    .config_size = sizeof(shards_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_partition_shards[] = {&shards, NULL};
