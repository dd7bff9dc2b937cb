/* Probe of a server's strategy: rounds of clients' changes through its optimizer. */
#include "train/engine/federated.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "probe/engine.h"

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

/* A round as an oracle. */
typedef struct round_state {
  const cohort_probe_engine *engine;
  int64_t round;
} round_state;

static cohort_status answer(void *argument, const cohort_ask *ask, void **rows, double *losses, cohort_error *error) {
  (void)ask, (void)error;
  const round_state *own = argument;
  average(own->engine->probe, own->round, own->engine->rows);
  *rows = own->engine->rows;
  losses[0] = 0;
  return COHORT_DONE;
}

static cohort_status serve(cohort_probe_engine *engine, cohort_error *error) {
  cohort_probe_state *probe = engine->probe;
  const cohort_array *start = cohort_probe_input(probe, "parameters");
  const int64_t n = start->size[0], rounds = cohort_probe_size_of(probe, "rounds");
  const size_t bytes = (size_t)n * cohort_probe_real_size(probe);
  memcpy(engine->weights.values, start->data, bytes);
  char *out = cohort_probe_output(probe, "parameters", COHORT_SHAPE(rounds, n));
  round_state own = {engine, 0};
  const cohort_oracle oracle = {.argument = &own, .objectives = 1, .ask = answer};
  for (; own.round < rounds; own.round++) {
    cohort_step_report report;
    COHORT_TRY(cohort_updater_step(engine->updater, &oracle, own.round, rounds, &report, error));
    memcpy(out + (size_t)own.round * bytes, engine->weights.values, bytes);
  }
  return COHORT_DONE;
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
  const cohort_array *start = cohort_probe_input(probe, "parameters");
  const cohort_probe_tensor tensor = {.name = "parameters", .shape = COHORT_SHAPE(start->size[0])};
  cohort_document *server = cohort_federation_server(&probe->choice);
  cohort_probe_engine engine;
  cohort_status status = cohort_probe_engine_create(probe, server, "server", 1, 1, &tensor, &engine, error);
  if (status == COHORT_DONE) status = serve(&engine, error);
  cohort_probe_engine_destroy(&engine);
  cohort_document_destroy(server);
  return status;
}

const cohort_probe_program cohort_probe_federated = {.family = "federated", .bind = repeat_samples, .run = run};
