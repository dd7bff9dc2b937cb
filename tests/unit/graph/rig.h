/* A graph with data for its leaves, and a runner that evaluates values of it with any kernel set. Leaves of two graphs
 * correspond by their order of declaration, so a decomposed graph runs on the same rig. */
#ifndef COHORT_TESTS_GRAPH_RIG_H
#define COHORT_TESTS_GRAPH_RIG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "graph/gradient.h"
#include "tests/check.h"

enum { RIG_LEAVES = 80 };

typedef struct rig {
  cohort_graph *graph;
  uint64_t state; /* of the random numbers */
  int reals, inputs;
  cohort_value real[RIG_LEAVES]; /* parameters: what is differentiated */
  double *real_data[RIG_LEAVES];
  void *input_data[RIG_LEAVES]; /* double * or int32_t *, by the input's type */
} rig;

static inline uint32_t rig_bits(rig *own) {
  own->state = own->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(own->state >> 33);
}

/* Exact in float. */
static inline double rig_uniform(rig *own, double low, double high) {
  return (double)(float)(low + (high - low) * (double)(rig_bits(own) & 0xffffff) / 16777216.0);
}

static inline rig rig_create(uint64_t seed) {
  rig own = {.graph = cohort_graph_create(), .state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
  for (int i = 0; i < 8; i++) rig_bits(&own);
  return own;
}

static inline void rig_destroy(rig *own) {
  for (int i = 0; i < own->reals; i++) free(own->real_data[i]);
  for (int i = 0; i < own->inputs; i++) free(own->input_data[i]);
  cohort_graph_destroy(own->graph);
}

static inline size_t rig_elements(const rig *own, cohort_value value) {
  return (size_t)cohort_shape_elements(cohort_graph_shape(own->graph, value));
}

/* A parameter of uniform values in [low, high). */
static inline cohort_value rig_real(rig *own, cohort_shape shape, double low, double high) {
  char name[32];
  (void)snprintf(name, sizeof name, "x%d", own->reals);
  const cohort_value value =
      cohort_graph_parameter(own->graph, 0, name, shape, COHORT_ROLE_MATRIX, COHORT_INITIAL_ZERO, 0);
  const size_t elements = rig_elements(own, value);
  double *data = cohort_allocate(elements * sizeof *data);
  for (size_t i = 0; i < elements; i++) data[i] = rig_uniform(own, low, high);
  own->real[own->reals] = value;
  own->real_data[own->reals++] = data;
  return value;
}

/* A parameter whose elements are apart from each other and from 0 by half a step or more, in random order. */
static inline cohort_value rig_distinct(rig *own, cohort_shape shape, double step) {
  const cohort_value value = rig_real(own, shape, 0, 1);
  double *data = own->real_data[own->reals - 1];
  const size_t elements = rig_elements(own, value);
  for (size_t i = 0; i < elements; i++) data[i] = ((double)i - (double)(elements / 2) + 0.5) * step;
  for (size_t i = elements; i > 1; i--) {
    const size_t other = rig_bits(own) % i;
    const double held = data[i - 1];
    data[i - 1] = data[other];
    data[other] = held;
  }
  return value;
}

/* A real input (not differentiated). */
static inline cohort_value rig_given(rig *own, cohort_shape shape, double low, double high) {
  char name[32];
  (void)snprintf(name, sizeof name, "given%d", own->inputs);
  const cohort_value value = cohort_graph_input(own->graph, name, COHORT_TYPE_REAL, shape);
  const size_t elements = rig_elements(own, value);
  double *data = cohort_allocate(elements * sizeof *data);
  for (size_t i = 0; i < elements; i++) data[i] = rig_uniform(own, low, high);
  own->input_data[own->inputs++] = data;
  return value;
}

/* An integer input of values in [low, high]. */
static inline cohort_value rig_integer(rig *own, cohort_shape shape, int low, int high) {
  char name[32];
  (void)snprintf(name, sizeof name, "integer%d", own->inputs);
  const cohort_value value = cohort_graph_input(own->graph, name, COHORT_TYPE_INTEGER, shape);
  const size_t elements = rig_elements(own, value);
  int32_t *data = cohort_allocate(elements * sizeof *data);
  for (size_t i = 0; i < elements; i++) data[i] = low + (int)(rig_bits(own) % (uint32_t)(high - low + 1));
  own->input_data[own->inputs++] = data;
  return value;
}

/* Segments as a language model has them: runs of growing ids, and rows of none at the end. */
static inline cohort_value rig_segments(rig *own, int64_t rows, int64_t run, int64_t none) {
  const cohort_value value = rig_integer(own, COHORT_SHAPE(rows), 0, 0);
  int32_t *data = own->input_data[own->inputs - 1];
  for (int64_t r = 0; r < rows; r++) data[r] = r >= rows - none ? -1 : (int32_t)(r / run);
  return value;
}

typedef struct runner {
  const rig *from;
  const cohort_graph *graph;
  const cohort_kernel_set *set;
  cohort_plan *plan;
  cohort_executor *executor;
  cohort_bindings bindings;
  void **memory;
} runner;

static inline size_t runner_bytes(const runner *own, cohort_value value) {
  const size_t element =
      cohort_graph_type(own->graph, value) == COHORT_TYPE_INTEGER ? sizeof(int32_t) : own->set->real_size;
  return (size_t)cohort_shape_elements(cohort_graph_shape(own->graph, value)) * element;
}

static inline runner runner_create(const rig *from, const cohort_graph *graph, const cohort_kernel_set *set, int count,
                                   const cohort_value *values, int threads) {
  cohort_error error = {0};
  runner own = {.from = from, .graph = graph, .set = set};
  cohort_plan_output *output = cohort_allocate((size_t)(count + 1) * sizeof *output);
  for (int i = 0; i < count; i++) output[i] = (cohort_plan_output){values[i], false};
  cohort_status status = cohort_plan_create(graph, set, count, output, &own.plan, &error);
  if (status == COHORT_DONE)
    status = cohort_executor_create(cohort_plan_arena_bytes(own.plan), 1, threads, &own.executor, &error);
  if (status != COHORT_DONE) fprintf(stderr, "runner: %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  free(output);
  own.memory = cohort_allocate((size_t)(cohort_graph_values(graph) + 1) * sizeof *own.memory);
  own.bindings = (cohort_bindings){own.memory, {{123, 456}}, NULL};
  for (int i = 0; i < cohort_graph_parameters(graph); i++) {
    cohort_value value;
    cohort_graph_parameter_at(graph, i, &value);
    own.memory[value] = cohort_allocate(runner_bytes(&own, value));
  }
  for (int i = 0; i < cohort_graph_inputs(graph); i++) {
    const cohort_value value = cohort_graph_input_at(graph, i, NULL);
    own.memory[value] = cohort_allocate(runner_bytes(&own, value));
  }
  return own;
}

static inline void runner_destroy(runner *own) {
  for (int32_t v = 0; v < cohort_graph_values(own->graph); v++) free(own->memory[v]);
  free(own->memory);
  cohort_executor_destroy(own->executor);
  cohort_plan_destroy(own->plan);
}

static inline void runner_fill(runner *own, cohort_value value, const double *data) {
  const int64_t elements = cohort_shape_elements(cohort_graph_shape(own->graph, value));
  for (int64_t i = 0; i < elements; i++) {
    if (own->set->real_size == sizeof(float)) {
      ((float *)own->memory[value])[i] = (float)data[i];
    } else {
      ((double *)own->memory[value])[i] = data[i];
    }
  }
}

/* One lane alone: what goes into an operation across lanes comes out of it. */
static inline void runner_exchange(runner *own, int phase) {
  cohort_lane_operation operation[16];
  const int count = cohort_plan_lane_operations(own->plan, phase, operation, 16);
  for (int i = 0; i < count; i++)
    memcpy(cohort_executor_value(own->executor, own->plan, 0, operation[i].output, &own->bindings),
           cohort_executor_value(own->executor, own->plan, 0, operation[i].input, &own->bindings),
           (size_t)operation[i].input_elements * own->set->real_size);
}

static inline void runner_run(runner *own) {
  for (int i = 0; i < own->from->reals; i++) {
    cohort_value value;
    cohort_graph_parameter_at(own->graph, i, &value);
    runner_fill(own, value, own->from->real_data[i]);
  }
  for (int i = 0; i < own->from->inputs; i++) {
    const cohort_value value = cohort_graph_input_at(own->graph, i, NULL);
    if (cohort_graph_type(own->graph, value) == COHORT_TYPE_REAL) {
      runner_fill(own, value, own->from->input_data[i]);
    } else {
      memcpy(own->memory[value], own->from->input_data[i], runner_bytes(own, value));
    }
  }
  for (int phase = 0; phase < cohort_plan_phases(own->plan); phase++) {
    cohort_executor_run(own->executor, own->plan, phase, 0, &own->bindings);
    runner_exchange(own, phase);
  }
}

/* Element i of an output. */
static inline double runner_read(const runner *own, cohort_value value, int64_t i) {
  const void *data = cohort_executor_value(own->executor, own->plan, 0, value, &own->bindings);
  if (cohort_graph_type(own->graph, value) == COHORT_TYPE_INTEGER) return ((const int32_t *)data)[i];
  return own->set->real_size == sizeof(float) ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

#endif
