/* Populations: the labels that a partition deals by are found in the task or in a file, dealt by the method, and listed
 * by client. Invariant: every sample has one client and every client a sample. Linear in clients and samples. */
#include "train/engine/population.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset/owners.h"
#include "train/task/language.h"
#include "train/task/supervised.h"

/* Memory of one deal. */
typedef struct room {
  int count;
  void **memory;
} room;

static void *take(const cohort_partition_data *data, size_t bytes) {
  room *own = data->implementation;
  own->memory = cohort_reallocate(own->memory, (size_t)(own->count + 1) * sizeof *own->memory);
  own->memory[own->count] = cohort_allocate(bytes + 1);
  return own->memory[own->count++];
}

static void release(room *own) {
  for (int i = 0; i < own->count; i++) free(own->memory[i]);
  free(own->memory);
}

/* Samples by owner. */
static void list(int64_t samples, const int32_t *owner, cohort_population *out) {
  out->first = cohort_allocate((size_t)(out->clients + 2) * sizeof *out->first);
  out->sample = cohort_allocate((size_t)samples * sizeof *out->sample + 1);
  int64_t *next = out->first + 1; /* while it is filled, where a client's next sample goes */
  for (int64_t i = 0; i < samples; i++) next[owner[i] + 1]++;
  for (int64_t c = 0; c < out->clients; c++) {
    if (next[c + 1] > out->largest) out->largest = next[c + 1];
    next[c + 1] += next[c];
  }
  for (int64_t i = 0; i < samples; i++) out->sample[next[owner[i]]++] = (int32_t)i;
}

cohort_status cohort_population_create(const cohort_choice *partition, const cohort_partition_data *given,
                                       cohort_population *out, cohort_error *error) {
  room own = {0};
  cohort_partition_data data = *given;
  cohort_population population = {0};
  data.memory = take;
  data.implementation = &own;
  int32_t *owner = take(&data, (size_t)data.samples * sizeof *owner);
  const cohort_status status =
      cohort_partition_deal(partition->method, partition->config, &data, &population.clients, owner, error);
  if (status == COHORT_DONE) {
    list(data.samples, owner, &population);
    *out = population;
  }
  release(&own);
  return status;
}

void cohort_population_owners(const cohort_population *population, int32_t *owner) {
  for (int64_t c = 0; c < population->clients; c++)
    for (int64_t i = 0; i < population->first[c + 1] - population->first[c]; i++)
      owner[cohort_population_sample(population, c, i)] = (int32_t)c;
}

void cohort_population_release(cohort_population *population) {
  free(population->first);
  free(population->sample);
  memset(population, 0, sizeof *population);
}

int64_t cohort_population_clients(const cohort_choice *partition) {
  return cohort_choice_integer(partition, "clients", -1);
}

/* ---- of a task ---- */

static cohort_status need(const cohort_choice *partition, const char *key, cohort_error *error) {
  const cohort_partition *functions = partition->method->functions;
  if (functions->origin && functions->origin(partition->config)) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "%s: give %s", partition->method->key, key);
}

static cohort_status of_supervised(const cohort_task *task, const cohort_choice *partition, cohort_partition_data *data,
                                   cohort_error *error) {
  const cohort_partition *functions = partition->method->functions;
  const char *key = partition->method->key;
  const char *name = functions->by == COHORT_PARTITION_BY_COLUMN  ? functions->origin(partition->config)
                     : functions->by == COHORT_PARTITION_BY_CLASS ? "y"
                                                                  : COHORT_CLIENT_COLUMN;
  if (functions->by == COHORT_PARTITION_BY_LINES)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: cuts a text; it is for task language", key);
  data->labels = cohort_supervised_column(task, name, &data->classes);
  if (data->labels) return COHORT_DONE;
  if (functions->by == COHORT_PARTITION_BY_CLIENT)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: the data do not come by client; give data.train in LEAF's JSON or TFF's HDF5 format", key);
  return cohort_fail(error, COHORT_BAD_CONFIG, "%s: %s holds real numbers, not integers; take iid or sizes", key, name);
}

static cohort_status of_language(const cohort_task *task, const cohort_choice *partition, int32_t **owned,
                                 cohort_partition_data *data, cohort_error *error) {
  const cohort_partition *functions = partition->method->functions;
  if (functions->by != COHORT_PARTITION_BY_LINES)
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: sequences of a text have no classes; take lines, books or iid",
                       partition->method->key);
  data->labels = *owned = cohort_language_parts(task, &data->classes);
  return COHORT_DONE;
}

/* What the partition deals by. `owned` is released by the caller. */
static cohort_status find_labels(const cohort_task *task, const cohort_choice *partition, int32_t **owned,
                                 cohort_partition_data *data, cohort_error *error) {
  const cohort_partition *functions = partition->method->functions;
  const cohort_partition_by by = cohort_partition_looks_at(partition->method, partition->config);
  if (by == COHORT_PARTITION_BY_NOTHING) return COHORT_DONE;
  if (functions->by == COHORT_PARTITION_BY_FILE) {
    COHORT_TRY(need(partition, "path", error));
    COHORT_TRY(cohort_owners_read(functions->origin(partition->config), data->samples, owned, &data->classes, error));
    data->labels = *owned;
    return COHORT_DONE;
  }
  if (functions->by == COHORT_PARTITION_BY_COLUMN) COHORT_TRY(need(partition, "column", error));
  if (functions->by == COHORT_PARTITION_BY_LINES) COHORT_TRY(need(partition, "pattern", error));
  if (task->functions == &cohort_task_supervised) return of_supervised(task, partition, data, error);
  if (task->functions == &cohort_task_language) return of_language(task, partition, owned, data, error);
  return cohort_fail(error, COHORT_BAD_CONFIG, "%s: task %s has nothing that it deals by; take iid, sizes or file",
                     partition->method->key, task->functions->name);
}

/* Clients whose samples are drawn stand one after another. */
static void take_drawn(const cohort_task *task, cohort_population *out) {
  const int64_t *first = cohort_supervised_drawn(task, &out->clients);
  out->first = cohort_allocate((size_t)(out->clients + 1) * sizeof *out->first);
  memcpy(out->first, first, (size_t)(out->clients + 1) * sizeof *out->first);
  for (int64_t c = 0; c < out->clients; c++)
    if (first[c + 1] - first[c] > out->largest) out->largest = first[c + 1] - first[c];
}

cohort_status cohort_population_open(const cohort_task *task, const cohort_choice *partition, cohort_population *out,
                                     cohort_error *error) {
  cohort_partition_data data = {.samples = task->samples[COHORT_SPLIT_TRAIN],
                                .key = cohort_partition_key((uint64_t)task->settings->seed)};
  const bool drawn = ((const cohort_partition *)partition->method->functions)->drawn != NULL;
  int32_t *owned = NULL;
  cohort_error why = {0};
  memset(out, 0, sizeof *out);
  if (drawn && task->functions != &cohort_task_supervised)
    return cohort_settings_fail(task->settings, "federated.population", error,
                                "federated.population: %s draws samples of classes; it is for task supervised",
                                partition->method->key);
  if (drawn) {
    take_drawn(task, out);
    return COHORT_DONE;
  }
  cohort_status status = find_labels(task, partition, &owned, &data, &why);
  if (status == COHORT_DONE) status = cohort_population_create(partition, &data, out, &why);
  free(owned);
  if (status == COHORT_BAD_CONFIG)
    return cohort_settings_fail(task->settings, "federated.population", error, "federated.population: %s", why.text);
  if (status != COHORT_DONE) return cohort_fail(error, status, "federated.population: %s", why.text);
  return COHORT_DONE;
}
