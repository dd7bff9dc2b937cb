/* bench_update CONFIG THREADS STEPS: the optimizer alone, on the config's model, against the machine.
 *
 * Every round runs one player's step (norm, clipping, update) with a given gradient and one pass that reads and writes
 * as many floats in place; the medians go to standard output as one JSON object. Used by tests/bench/compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/comm.h"
#include "base/memory.h"
#include "base/processor.h"
#include "io/config.h"
#include "kernel/kernel.h"
#include "method/model/model.h"
#include "train/run/settings.h"
#include "update/updater.h"

enum { VOCABULARY = 50257, WARM_UP = 3, BLOCK = 1 << 16, STREAMS = 3 };

typedef struct bench {
  cohort_settings settings;
  cohort_document *document;
  cohort_choice model;
  cohort_graph *graph;
  cohort_space *space;
  cohort_comm comm;
  cohort_shard_group *members;
  cohort_updater *updater;
  cohort_faults faults;
  int threads;
  float *gradient;
  float *stream; /* STREAMS vectors as long as the space */
} bench;

static cohort_status give_gradient(void *argument, const cohort_ask *ask, void **rows, double *losses,
                                   cohort_error *error) {
  (void)ask, (void)error;
  *rows = ((bench *)argument)->gradient;
  losses[0] = 1;
  return COHORT_DONE;
}

static void touch_block(void *argument, int64_t block) {
  const bench *own = argument;
  const int64_t elements = STREAMS * own->space->elements, first = block * BLOCK;
  const int64_t last = first + BLOCK < elements ? first + BLOCK : elements;
  float *restrict at = own->stream;
  for (int64_t e = first; e < last; e++) at[e] = 0.999f * at[e] + 0.001f;
}

static double touch_all(bench *own) {
  const cohort_team team = {own->threads};
  const double start = cohort_clock_seconds();
  cohort_team_run(&team, (STREAMS * own->space->elements + BLOCK - 1) / BLOCK, touch_block, own);
  return cohort_clock_seconds() - start;
}

static cohort_status build_space(bench *own, cohort_error *error) {
  cohort_choice_expand(COHORT_VARIANT_F64, "model", own->settings.model, "model", &own->model, NULL, &own->faults);
  COHORT_TRY(cohort_faults_status(&own->faults, error));
  const cohort_model *model = own->model.method->functions;
  const cohort_shape rows = COHORT_SHAPE(model->context(own->model.config));
  const cohort_model_data data = {.outputs = VOCABULARY};
  own->graph = cohort_graph_create();
  const cohort_model_inputs inputs = {
      .tokens = cohort_graph_input(own->graph, "tokens", COHORT_TYPE_INTEGER, rows),
      .positions = cohort_graph_input(own->graph, "positions", COHORT_TYPE_INTEGER, rows),
      .segments = cohort_graph_input(own->graph, "segments", COHORT_TYPE_INTEGER, rows),
      .ids = cohort_graph_input(own->graph, "ids", COHORT_TYPE_INTEGER, rows)};
  (void)model->build(own->model.config, own->graph, &data, &inputs);
  COHORT_TRY(cohort_graph_status(own->graph, error));
  own->space = cohort_space_create(own->graph, 0, "model");
  return cohort_space_hold(own->space, error);
}

static cohort_status set_up(bench *own, const char *config, cohort_error *error) {
  COHORT_TRY(cohort_config_read(config, 0, NULL, &own->document, error));
  cohort_settings_read(own->document, &own->settings, &own->faults);
  COHORT_TRY(cohort_faults_status(&own->faults, error));
  COHORT_TRY(build_space(own, error));
  const cohort_random_key key = cohort_random_key_from_seed(1);
  cohort_space_initialise(own->space, key, NULL);
  own->comm = cohort_comm_alone();
  COHORT_TRY(cohort_shard_group_create(&own->comm, false, &own->members, error));
  const cohort_isa isa = cohort_processor_isa();
  static const cohort_variant variants[] = {COHORT_VARIANT_F32_SSE2, COHORT_VARIANT_F32_AVX2,
                                            COHORT_VARIANT_F32_AVX512};
  const cohort_updater_options plan = {.optimizer = own->settings.optimizer,
                                       .groups = own->settings.groups,
                                       .optimizer_path = "optimizer",
                                       .groups_path = "groups",
                                       .activity = COHORT_ACTIVITY_UPDATE,
                                       .clip = own->settings.clip,
                                       .space = own->space,
                                       .comm = &own->comm,
                                       .kernels = cohort_kernels_float32(isa),
                                       .variant = variants[isa],
                                       .threads = own->threads,
                                       .objectives = 1,
                                       .sharding = COHORT_SHARDING_OPTIMIZER,
                                       .members = own->members,
                                       .sizes = {1 << 20, 1 << 21}};
  COHORT_TRY(cohort_updater_create(&plan, &own->faults, &own->updater, error));
  const size_t bytes = (size_t)own->space->elements * sizeof(float);
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create(bytes, "gradient", &memory, error));
  own->gradient = memory;
  for (int64_t e = 0; e < own->space->elements; e++)
    own->gradient[e] = 1e-3f * (float)((double)(cohort_random_word(key, 1, (uint64_t)e) >> 8) * 0x1p-23 - 1);
  COHORT_TRY(cohort_memory_create(STREAMS * bytes, "streams", &memory, error));
  own->stream = memory;
  return COHORT_DONE;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, ascending);
  return count & 1 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static cohort_status measure(bench *own, int steps, cohort_error *error) {
  const cohort_oracle oracle = {.argument = own, .objectives = 1, .ask = give_gradient};
  double *step_seconds = cohort_allocate(3 * (size_t)steps * sizeof(double));
  double *update_seconds = step_seconds + steps, *touch_seconds = update_seconds + steps, update_bytes = 0;
  cohort_status status = COHORT_DONE;
  for (int s = -WARM_UP; s < steps && status == COHORT_DONE; s++) {
    cohort_step_report report;
    const double start = cohort_clock_seconds();
    status = cohort_updater_step(own->updater, &oracle, s + WARM_UP, WARM_UP + steps, &report, error);
    const double step = cohort_clock_seconds() - start, touch = touch_all(own);
    const cohort_updater_counters counters = cohort_updater_take_counters(own->updater);
    if (s < 0) continue;
    step_seconds[s] = step;
    update_seconds[s] = counters.update_seconds;
    update_bytes = counters.update_bytes;
    touch_seconds[s] = touch;
  }
  const double moved = 2.0 * STREAMS * sizeof(float) * (double)own->space->elements;
  if (status == COHORT_DONE)
    printf(
        "{\"parameters\": %lld, \"step_seconds\": %.6f, \"update_seconds\": %.6f, \"update_bytes\": %.0f, "
        "\"in_place_bytes_per_second\": %.0f}\n",
        (long long)own->space->parameters, median(step_seconds, steps), median(update_seconds, steps), update_bytes,
        moved / median(touch_seconds, steps));
  free(step_seconds);
  return status;
}

int main(int count, char **argument) {
  const int threads = count > 2 ? atoi(argument[2]) : 0, steps = count > 3 ? atoi(argument[3]) : 0;
  if (threads < 1 || steps < 1) {
    (void)fprintf(stderr, "usage: bench_update CONFIG THREADS STEPS\n");
    return 2;
  }
  bench own = {.threads = threads};
  cohort_error error = {0};
  cohort_status status = set_up(&own, argument[1], &error);
  if (status == COHORT_DONE) status = measure(&own, steps, &error);
  if (status != COHORT_DONE) (void)fprintf(stderr, "bench_update: %s\n", error.text);
  cohort_updater_destroy(own.updater);
  cohort_shard_group_destroy(own.members);
  cohort_memory_release(own.gradient);
  cohort_memory_release(own.stream);
  cohort_space_destroy(own.space);
  cohort_graph_destroy(own.graph);
  cohort_choice_release(&own.model);
  cohort_faults_release(&own.faults);
  cohort_settings_release(&own.settings);
  cohort_document_destroy(own.document);
  return (int)status;
}
