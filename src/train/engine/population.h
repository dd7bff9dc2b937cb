/* The clients of a federated run: who holds which training samples, by a method of the family partition. A function of
 * the config and the data alone, the same on every rank.
 *
 * Intended usage:
 *   cohort_population_open(&task, &partition, &population, &error);    of the task's training samples
 *   ... cohort_population_sample(&population, client, index) ...
 *   cohort_population_release(&population); */
#ifndef COHORT_TRAIN_ENGINE_POPULATION_H
#define COHORT_TRAIN_ENGINE_POPULATION_H

#include "method/partition/partition.h"
#include "method/registry.h"
#include "train/task/task.h"

typedef struct cohort_population {
  int64_t clients;
  int64_t *first;  /* [clients + 1]: where a client's samples begin in `sample` */
  int32_t *sample; /* numbers of training samples, ascending within a client; NULL: they stand by client */
  int64_t largest; /* samples of the largest client */
} cohort_population;

/* Number `index` of a client's samples. */
static inline int64_t cohort_population_sample(const cohort_population *population, int64_t client, int64_t index) {
  const int64_t at = population->first[client] + index;
  return population->sample ? population->sample[at] : at;
}

/* How many clients a method will make of a task's samples, before it does; -1: the data say. */
int64_t cohort_population_clients(const cohort_choice *partition);

/* Shares out the task's training samples. Faults of the config name its place, federated.population; COHORT_BAD_DATA: a
 * file that does not fit, a client without a sample. */
cohort_status cohort_population_open(const cohort_task *task, const cohort_choice *partition, cohort_population *out,
                                     cohort_error *error);
/* The same of samples whose labels are at hand; data->memory is set here. Errors are without a place. */
cohort_status cohort_population_create(const cohort_choice *partition, const cohort_partition_data *data,
                                       cohort_population *out, cohort_error *error);
/* owner[samples] of a population. */
void cohort_population_owners(const cohort_population *population, int32_t *owner);
void cohort_population_release(cohort_population *population); /* a zero one is fine */

#endif
