/* Samples that a population draws (method/partition/synthetic.c) instead of data that are read: a client's are numbered
 * after those of the client before it, and nothing is kept but where each client's begin. Finding a sample's client
 * costs the logarithm of the clients, its model is made again where the client changes. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/task/supervised.h"

/* Clients of whom each has one sample to be evaluated on: the first that training does not see. */
enum { EVALUATED = 10000 };

static cohort_samples describe(const cohort_drawn_samples *own, int64_t count) {
  return (cohort_samples){.count = count,
                          .axes = 1,
                          .size = {own->functions->features},
                          .labels = (int32_t *)(uintptr_t)own->none,
                          .classes = own->functions->classes,
                          .digest = cohort_digest(own->partition.config, own->partition.method->config_size, 1)};
}

cohort_status cohort_drawn_samples_open(cohort_task *task, cohort_supervised *own, cohort_error *error) {
  const cohort_document *population = task->settings->federated_settings.population;
  cohort_drawn_samples *drawn = cohort_allocate(sizeof *drawn);
  cohort_faults faults = {NULL, 0};
  own->drawn = drawn;
  cohort_choice_read(COHORT_VARIANT_F64, "partition", population, "federated.population", &drawn->partition, NULL,
                     &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  COHORT_TRY(status);
  const cohort_partition *functions = drawn->partition.method->functions;
  const void *config = drawn->partition.config;
  drawn->functions = functions->drawn;
  drawn->key = cohort_partition_key((uint64_t)task->settings->seed);
  drawn->clients = functions->clients(config, NULL);
  drawn->first = cohort_allocate((size_t)(drawn->clients + 1) * sizeof *drawn->first);
  for (int64_t c = 0; c < drawn->clients; c++)
    drawn->first[c + 1] = drawn->first[c] + drawn->functions->size(config, drawn->key, c);
  const int64_t samples = drawn->first[drawn->clients];
  if (samples > INT32_MAX)
    return cohort_settings_fail(task->settings, "federated.population", error,
                                "federated.population: %lld clients have %lld samples, more than the %d that can be "
                                "numbered; take fewer clients",
                                (long long)drawn->clients, (long long)samples, INT32_MAX);
  own->split[COHORT_SPLIT_TRAIN] = describe(drawn, samples);
  own->split[COHORT_SPLIT_VALIDATION] = describe(drawn, drawn->clients < EVALUATED ? drawn->clients : EVALUATED);
  return COHORT_DONE;
}

void cohort_drawn_samples_close(cohort_supervised *own) {
  if (!own->drawn) return;
  for (int s = 0; s < COHORT_SPLITS; s++) own->split[s].labels = NULL; /* it was no memory of its own */
  free(own->drawn->first);
  cohort_choice_release(&own->drawn->partition);
  free(own->drawn);
}

/* The last client whose samples begin at or before this one. */
static int64_t client_of(const cohort_drawn_samples *own, int64_t sample) {
  int64_t low = 0, high = own->clients;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (own->first[middle] <= sample)
      low = middle;
    else
      high = middle;
  }
  return low;
}

int32_t cohort_drawn_samples_draw(const cohort_drawn_samples *own, cohort_drawn_client *last, cohort_split split,
                                  int64_t sample, float *x) {
  const bool known = last->begun && split == COHORT_SPLIT_TRAIN && own->first[last->client] <= sample &&
                     sample < own->first[last->client + 1];
  const int64_t client = known ? last->client : split == COHORT_SPLIT_TRAIN ? client_of(own, sample) : sample;
  const int64_t size = own->first[client + 1] - own->first[client];
  const int64_t index = split == COHORT_SPLIT_TRAIN ? sample - own->first[client] : size;
  if (!last->begun || last->client != client)
    own->functions->begin(own->partition.config, own->key, client, last->model);
  last->begun = true;
  last->client = client;
  return own->functions->draw(own->partition.config, own->key, client, index, last->model, x);
}
