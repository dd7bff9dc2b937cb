#include "train/generator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/decompose.h"
#include "graph/executor.h"

struct cohort_generator {
  int64_t context, vocabulary;
  cohort_plan *plan;
  cohort_executor *executor;
  void **memory; /* bindings */
  cohort_value logits, input[5]; /* tokens, positions, segments, ids, last */
  int32_t *buffer[5];
  double *weight;  /* [vocabulary] */
  int32_t *order;  /* [vocabulary] */
};

enum { TOKENS, POSITIONS, SEGMENTS, IDS, LAST, INPUTS };

/* The logits of row `last`. */
static cohort_value build(const cohort_choice *model, const cohort_model_data *data, cohort_graph *graph,
                          cohort_value *input) {
  static const char *const names[INPUTS] = {"tokens", "positions", "segments", "ids", "last"};
  const cohort_model *functions = model->method->functions;
  const int64_t context = functions->context(model->config);
  for (int i = 0; i < INPUTS; i++)
    input[i] = cohort_graph_input(graph, names[i], COHORT_TYPE_INTEGER, i == LAST ? COHORT_SHAPE(1) : COHORT_SHAPE(context));
  const cohort_model_inputs inputs = {.tokens = input[TOKENS],
                                      .positions = input[POSITIONS],
                                      .segments = input[SEGMENTS],
                                      .ids = input[IDS]};
  const cohort_model_outputs outputs = functions->build(model->config, graph, data, &inputs);
  const cohort_value row = cohort_gather(graph, outputs.hidden, input[LAST]);
  return cohort_matmul(graph, row, outputs.head, false, true);
}

cohort_status cohort_generator_graph(const cohort_choice *model, const cohort_model_data *data, cohort_graph **out,
                                     cohort_error *error) {
  cohort_value input[INPUTS];
  cohort_graph *graph = cohort_graph_create();
  (void)build(model, data, graph, input);
  const cohort_status status = cohort_graph_status(graph, error);
  if (status != COHORT_DONE) {
    cohort_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return COHORT_DONE;
}

static cohort_status set_up(cohort_generator *own, cohort_graph *graph, cohort_space *space, int threads,
                            cohort_error *error) {
  const cohort_plan_output output = {own->logits, false};
  COHORT_TRY(cohort_graph_status(graph, error));
  COHORT_TRY(cohort_plan_create(graph, cohort_kernels_float32(cohort_processor_isa()), 1, &output, &own->plan, error));
  COHORT_TRY(cohort_executor_create(cohort_plan_arena_bytes(own->plan), 1, threads, &own->executor, error));
  own->memory = cohort_allocate((size_t)cohort_graph_values(graph) * sizeof *own->memory);
  for (int i = 0; i < INPUTS; i++) {
    own->buffer[i] = cohort_allocate((size_t)own->context * sizeof *own->buffer[i]);
    own->memory[own->input[i]] = own->buffer[i];
  }
  for (int p = 0; p < cohort_graph_parameters(graph); p++) {
    cohort_value value;
    const cohort_parameter_tensor *declared = cohort_graph_parameter_at(graph, p, &value);
    for (int t = 0; t < space->tensors; t++)
      if (strcmp(space->tensor[t].declared.name, declared->name) == 0)
        own->memory[value] = space->values + space->tensor[t].offset;
  }
  return COHORT_DONE;
}

cohort_status cohort_generator_create(const cohort_choice *model, const cohort_model_data *data, cohort_space *space,
                                      int threads, cohort_generator **out, cohort_error *error) {
  cohort_generator *own = cohort_allocate(sizeof *own);
  own->context = ((const cohort_model *)model->method->functions)->context(model->config);
  own->vocabulary = data->outputs;
  own->weight = cohort_allocate((size_t)own->vocabulary * sizeof *own->weight);
  own->order = cohort_allocate((size_t)own->vocabulary * sizeof *own->order);
  cohort_graph *graph = cohort_graph_create();
  own->logits = build(model, data, graph, own->input);
  const cohort_status status = set_up(own, graph, space, threads, error);
  cohort_graph_destroy(graph);
  if (status != COHORT_DONE) {
    cohort_generator_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_generator_destroy(cohort_generator *generator) {
  if (!generator) return;
  cohort_plan_destroy(generator->plan);
  cohort_executor_destroy(generator->executor);
  for (int i = 0; i < INPUTS; i++) free(generator->buffer[i]);
  free(generator->memory);
  free(generator->weight);
  free(generator->order);
  free(generator);
}

/* Token ids by falling weight; equal ones by id. */
static int by_weight(const void *a, const void *b, void *argument) {
  const double *weight = argument;
  const int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
  if (weight[left] != weight[right]) return weight[left] < weight[right] ? 1 : -1;
  return left < right ? -1 : left > right;
}

static int32_t draw(cohort_generator *own, const float *logits, double temperature, int64_t top_k, uint32_t word) {
  int32_t best = 0;
  for (int32_t v = 1; v < own->vocabulary; v++)
    if (logits[v] > logits[best]) best = v;
  if (temperature <= 0) return best;
  double total = 0;
  for (int32_t v = 0; v < own->vocabulary; v++) {
    own->weight[v] = exp(((double)logits[v] - (double)logits[best]) / temperature);
    own->order[v] = v;
  }
  qsort_r(own->order, (size_t)own->vocabulary, sizeof *own->order, by_weight, own->weight);
  const int64_t kept = top_k > 0 && top_k < own->vocabulary ? top_k : own->vocabulary;
  for (int64_t i = 0; i < kept; i++) total += own->weight[own->order[i]];
  double left = cohort_random_uniform(word) * total;
  for (int64_t i = 0; i < kept; i++) {
    left -= own->weight[own->order[i]];
    if (left < 0) return own->order[i];
  }
  return own->order[kept - 1];
}

int32_t cohort_generator_next(cohort_generator *generator, const int32_t *tokens, int64_t count, double temperature,
                              int64_t top_k, cohort_random_key key) {
  cohort_generator *own = generator;
  const int64_t length = count < own->context ? count : own->context;
  for (int64_t t = 0; t < own->context; t++) {
    own->buffer[TOKENS][t] = t < length ? tokens[count - length + t] : 0;
    own->buffer[POSITIONS][t] = (int32_t)t;
    own->buffer[SEGMENTS][t] = t < length ? 0 : -1;
  }
  own->buffer[LAST][0] = (int32_t)length - 1;
  const cohort_bindings bindings = {own->memory, key};
  cohort_executor_run(own->executor, own->plan, 0, 0, &bindings);
  const float *logits = cohort_executor_value(own->executor, own->plan, 0, own->logits, &bindings);
  return draw(own, logits, temperature, top_k, cohort_random_word(key, 0, (uint64_t)count));
}
