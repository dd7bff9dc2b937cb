#include "train/federated.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/probe/probe.h"

/* Minus the clients' mean change, weighted by their samples: what a round hands to the server's optimizer. */
static void average(const cohort_probe_state *probe, int64_t round, void *gradient) {
  const cohort_array *deltas = cohort_probe_input(probe, "deltas"), *samples = cohort_probe_input(probe, "samples");
  const int64_t clients = deltas->size[1], n = deltas->size[2];
  double total = 0;
  for (int64_t c = 0; c < clients; c++) total += cohort_array_get(samples, round * clients + c);
  for (int64_t e = 0; e < n; e++) {
    double sum = 0;
    for (int64_t c = 0; c < clients; c++)
      sum += cohort_array_get(samples, round * clients + c) * cohort_array_get(deltas, (round * clients + c) * n + e);
    cohort_probe_set(probe, gradient, e, -sum / total);
  }
}

static void serve(cohort_probe_state *probe, const cohort_choice *server) {
  const cohort_array *start = cohort_probe_input(probe, "parameters");
  const int64_t n = start->size[0], rounds = cohort_probe_size_of(probe, "rounds");
  const size_t bytes = (size_t)n * cohort_probe_real_size(probe);
  cohort_probe_tensor tensor = {.name = "parameters", .shape = COHORT_SHAPE(n)};
  cohort_probe_updater updater;
  cohort_probe_updater_create(probe, server, 1, &tensor, &updater);
  memcpy(updater.weights, start->data, bytes);
  void *gradient = cohort_probe_memory(probe, (size_t)updater.elements * cohort_probe_real_size(probe));
  char *out = cohort_probe_output(probe, "parameters", COHORT_SHAPE(rounds, n));
  for (int64_t round = 0; round < rounds; round++) {
    average(probe, round, gradient);
    cohort_probe_updater_step(probe, &updater, round + 1, gradient, NULL);
    memcpy(out + (size_t)round * bytes, updater.weights, bytes);
  }
}

/* Weights given once stand for every round. */
static void repeat_samples(cohort_probe_state *probe) {
  const cohort_array *deltas = cohort_probe_input(probe, "deltas");
  cohort_array *samples = cohort_arrays_find(&probe->in, "samples");
  if (!deltas || !samples || deltas->axes != 3 || samples->axes != 1 || samples->size[0] != deltas->size[1]) return;
  if (samples->type != COHORT_ARRAY_INT32) return;
  const int64_t rounds = deltas->size[0], clients = deltas->size[1];
  int32_t *all = cohort_allocate((size_t)(rounds * clients) * sizeof *all + 1);
  for (int64_t i = 0; i < rounds * clients; i++) all[i] = ((const int32_t *)samples->data)[i % clients];
  free(samples->data);
  samples->data = all;
  samples->axes = 2;
  samples->size[0] = rounds;
  samples->size[1] = clients;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  cohort_document *document = cohort_federation_server(&probe->choice);
  cohort_choice server = {NULL, NULL};
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(probe->variant, "optimizer", document, "server", &server, NULL, &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  if (status == COHORT_DONE) serve(probe, &server);
  cohort_choice_release(&server);
  cohort_document_destroy(document);
  return status;
}

const cohort_probe_family cohort_probe_federated = {.name = "federated", .bind = repeat_samples, .run = run};
