/* A fixed number of classes a client (Li et al., 2022, their #C = k): client c has class c mod classes and others that
 * are drawn; each class is dealt equally to those who have it. Linear in samples and in clients times labels. */
#include "method/partition/partition.h"

typedef struct labels_config {
  int64_t clients, labels;
} labels_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(labels_config, clients, "100", 1, 1e7, "clients in the population", .unit = "clients"),
    COHORT_INTEGER_RANGE(labels_config, labels, "2", 1, 1e6, "classes that a client has", .unit = "classes"),
    {.name = NULL},
};

static int64_t clients(const void *config, const cohort_partition_data *data) {
  (void)data;
  return ((const labels_config *)config)->clients;
}

/* Number `index` of the classes of a client. */
static int64_t class_of(const labels_config *own, const cohort_partition_data *data, int64_t client, int64_t index) {
  const int64_t first = client % data->classes;
  (void)own;
  if (index == 0) return first;
  const cohort_random_key key =
      cohort_random_key_derive(cohort_random_key_derive_name(data->key, "classes"), (uint64_t)client);
  const int64_t other = (int64_t)cohort_random_permute(key, (uint64_t)data->classes - 1, (uint64_t)(index - 1));
  return other + (other >= first);
}

/* holder[first[class]] to before holder[first[class + 1]]: who has a class, ascending. */
static cohort_partition_members find_holders(const labels_config *own, const cohort_partition_data *data) {
  cohort_partition_members out;
  out.member = data->memory(data, (size_t)(own->clients * own->labels) * sizeof *out.member);
  out.first = data->memory(data, (size_t)(data->classes + 2) * sizeof *out.first);
  int64_t *next = out.first + 1;
  for (int64_t c = 0; c < own->clients; c++)
    for (int64_t k = 0; k < own->labels; k++) next[class_of(own, data, c, k) + 1]++;
  for (int64_t k = 0; k < data->classes; k++) next[k + 1] += next[k];
  for (int64_t c = 0; c < own->clients; c++)
    for (int64_t k = 0; k < own->labels; k++) out.member[next[class_of(own, data, c, k)]++] = (int32_t)c;
  return out;
}

static cohort_status deal(const void *config, const cohort_partition_data *data, int32_t *owner, cohort_error *error) {
  const labels_config *own = config;
  if (own->labels > data->classes)
    return cohort_fail(error, COHORT_BAD_CONFIG, "labels: a client cannot have %lld of %lld classes",
                       (long long)own->labels, (long long)data->classes);
  const cohort_partition_members holders = find_holders(own, data), members = cohort_partition_by_label(data);
  for (int64_t category = 0; category < data->classes; category++) {
    const int64_t count = members.first[category + 1] - members.first[category];
    const int64_t holding = holders.first[category + 1] - holders.first[category];
    if (count && !holding)
      return cohort_fail(error, COHORT_BAD_CONFIG,
                         "labels: no client has class %lld; take more clients, or more labels", (long long)category);
    if (!count) continue;
    const cohort_random_key key = cohort_random_key_derive(data->key, (uint64_t)category);
    const int64_t each = count / holding, longer = count % holding, bound = longer * (each + 1);
    for (int64_t i = 0; i < count; i++) {
      const int64_t part = i < bound ? i / (each + 1) : longer + (i - bound) / each;
      const uint64_t at = cohort_random_permute(key, (uint64_t)count, (uint64_t)i);
      owner[members.member[members.first[category] + (int64_t)at]] = holders.member[holders.first[category] + part];
    }
  }
  return COHORT_DONE;
}

static const cohort_partition functions = {.by = COHORT_PARTITION_BY_CLASS, .clients = clients, .deal = deal};

static const cohort_method labels = {
    .family = "partition",
    .key = "labels",
    .summary = "a fixed number of classes a client; each class in equal shares over those who have it",
    .title = "Federated Learning on Non-IID Data Silos: An Experimental Study",
    .source = "Li, Diao, Chen and He, ICDE 2022, section 4.1, quantity-based label imbalance",
    .formula =
        "client c has class c mod classes and labels - 1 others, drawn; of a class, in a drawn order, its holders get "
        "equal runs, the first ones the longer",
    .config_size = sizeof(labels_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_partition_labels[] = {&labels, NULL};
