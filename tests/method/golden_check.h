/* A graph at recorded values: its leaves are read from arrays of a golden, it runs with one kernel set, and its outputs
 * are compared with other arrays. */
#ifndef COHORT_TESTS_GOLDEN_CHECK_H
#define COHORT_TESTS_GOLDEN_CHECK_H

#include "check.h"
#include "contract/method_fixture.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "graph/gradient.h"
#include "io/arrays.h"
#include "method/model/model.h"

static inline const cohort_kernel_set *golden_kernels(cohort_variant variant) {
  return variant == COHORT_VARIANT_F64 ? cohort_kernels_float64() : cohort_kernels_float32((cohort_isa)variant);
}

static inline void golden_read(const char *file, cohort_arrays *arrays) {
  char path[512];
  cohort_error error;
  snprintf(path, sizeof path, "%s/%s", COHORT_GOLDEN, file);
  const cohort_status status = cohort_arrays_read(path, arrays, &error);
  if (status != COHORT_DONE) fprintf(stderr, "\n  %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
}

/* "prefix" + "name"; must exist. */
static inline const cohort_array *golden_find(const cohort_arrays *arrays, const char *prefix, const char *name) {
  char whole[256];
  snprintf(whole, sizeof whole, "%s%s", prefix, name);
  const cohort_array *array = cohort_arrays_find(arrays, whole);
  if (!array) fprintf(stderr, "\n  the golden has no %s\n", whole);
  CU_ASSERT_PTR_NOT_NULL_FATAL(array);
  return array;
}

static inline double golden_number(const cohort_arrays *arrays, const char *prefix, const char *name) {
  return cohort_array_get(golden_find(arrays, prefix, name), 0);
}

typedef struct golden_run {
  cohort_plan *plan;
  cohort_executor *executor;
  size_t real_size;
  int32_t values;
  void **memory; /* by value; owned */
  int outputs;
  cohort_value *output;
  cohort_bindings bindings;
} golden_run;

static inline void golden_run_create(golden_run *run, const cohort_graph *graph, cohort_variant variant, int outputs,
                                     const cohort_value *output) {
  cohort_error error;
  const cohort_kernel_set *kernels = golden_kernels(variant);
  *run = (golden_run){.outputs = outputs, .real_size = kernels->real_size, .values = cohort_graph_values(graph)};
  run->memory = cohort_allocate((size_t)run->values * sizeof *run->memory);
  run->output = cohort_allocate((size_t)outputs * sizeof *run->output);
  cohort_plan_output *wanted = cohort_allocate((size_t)outputs * sizeof *wanted);
  for (int i = 0; i < outputs; i++) wanted[i].value = run->output[i] = output[i];
  cohort_status status = cohort_graph_status(graph, &error);
  if (status == COHORT_DONE) status = cohort_plan_create(graph, kernels, outputs, wanted, &run->plan, &error);
  if (status == COHORT_DONE)
    status = cohort_executor_create(cohort_plan_arena_bytes(run->plan), 1, 2, &run->executor, &error);
  if (status != COHORT_DONE) fprintf(stderr, "\n  %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  free(wanted);
  run->bindings = (cohort_bindings){.memory = run->memory, .random_key = cohort_random_key_from_seed(1)};
}

static inline void golden_run_release(golden_run *run) {
  for (int32_t v = 0; v < run->values; v++) free(run->memory[v]);
  cohort_executor_destroy(run->executor);
  cohort_plan_destroy(run->plan);
  free(run->memory);
  free(run->output);
}

/* Gives a leaf the recorded values; their number must be the leaf's. */
static inline void golden_bind(golden_run *run, const cohort_graph *graph, cohort_value leaf,
                               const cohort_array *array) {
  const int64_t elements = cohort_array_elements(array);
  CU_ASSERT_EQUAL_FATAL(cohort_shape_elements(cohort_graph_shape(graph, leaf)), elements);
  free(run->memory[leaf]);
  run->memory[leaf] = cohort_allocate((size_t)elements * sizeof(double));
  for (int64_t i = 0; i < elements; i++) {
    const double number = cohort_array_get(array, i);
    if (cohort_graph_type(graph, leaf) == COHORT_TYPE_INTEGER)
      ((int32_t *)run->memory[leaf])[i] = (int32_t)number;
    else
      fixture_set(run->memory[leaf], i, run->real_size, number);
  }
}

/* All inputs by their names, and all parameters: space 0 from "parameters/NAME", space 1 from "reference/NAME". */
static inline void golden_bind_all(golden_run *run, const cohort_graph *graph, const cohort_arrays *arrays,
                                   const char *prefix) {
  for (int i = 0; i < cohort_graph_inputs(graph); i++) {
    const char *name;
    const cohort_value value = cohort_graph_input_at(graph, i, &name);
    golden_bind(run, graph, value, golden_find(arrays, prefix, name));
  }
  for (int i = 0; i < cohort_graph_parameters(graph); i++) {
    cohort_value value;
    char name[256];
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(graph, i, &value);
    snprintf(name, sizeof name, "%s/%s", tensor->space ? "reference" : "parameters", tensor->name);
    golden_bind(run, graph, value, golden_find(arrays, prefix, name));
  }
}

static inline void *golden_output(const golden_run *run, int i) {
  return cohort_executor_value(run->executor, run->plan, 0, run->output[i], &run->bindings);
}

static inline void golden_execute(const golden_run *run) {
  CU_ASSERT_EQUAL(cohort_plan_phases(run->plan), 1);
  cohort_executor_run(run->executor, run->plan, 0, 0, &run->bindings);
}

static inline double golden_norm(const cohort_array *array) {
  double sum = 0;
  for (int64_t i = 0; i < cohort_array_elements(array); i++)
    sum += cohort_array_get(array, i) * cohort_array_get(array, i);
  return sqrt(sum);
}

/* |found - expected| <= tolerance * max(|expected|, floor), in the 2-norm. */
static inline void golden_compare(const char *label, const cohort_array *expected, const void *found, size_t real_size,
                                  double tolerance, double floor) {
  double error = 0;
  for (int64_t i = 0; i < cohort_array_elements(expected); i++) {
    const double difference = fixture_get(found, i, real_size) - cohort_array_get(expected, i);
    error += difference * difference;
  }
  const double norm = fmax(golden_norm(expected), floor);
  const bool near = sqrt(error) <= tolerance * norm;
  if (!near) fprintf(stderr, "\n  %s: %s differs by %g of its norm\n", label, expected->name, sqrt(error) / norm);
  CU_ASSERT(near);
}

/* Norm of all arrays whose names start with the prefix, together. */
static inline double golden_norm_of_all(const cohort_arrays *arrays, const char *prefix) {
  double sum = 0;
  for (int i = 0; i < arrays->count; i++) {
    if (strncmp(arrays->items[i].name, prefix, strlen(prefix)) != 0) continue;
    const double norm = golden_norm(&arrays->items[i]);
    sum += norm * norm;
  }
  return sqrt(sum);
}

static inline cohort_value golden_integers(cohort_graph *graph, const char *name, int64_t rows) {
  return cohort_graph_input(graph, name, COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
}

/* Inputs tokens, positions and segments of the golden. Nothing is dropped out, so positions serve as ids too. */
static inline cohort_model_inputs golden_token_inputs(cohort_graph *graph, int64_t rows) {
  cohort_model_inputs inputs = {.input = COHORT_NO_VALUE};
  inputs.tokens = golden_integers(graph, "tokens", rows);
  inputs.positions = golden_integers(graph, "positions", rows);
  inputs.segments = golden_integers(graph, "segments", rows);
  inputs.ids = inputs.positions;
  return inputs;
}

/* Gradients of `loss` with respect to the parameters of space 0, in their order; returns how many. */
static inline int golden_gradients(cohort_graph *graph, cohort_value loss, cohort_value *gradients) {
  const int all = cohort_graph_parameters(graph);
  cohort_value *leaves = cohort_allocate((size_t)all * sizeof *leaves);
  int count = 0;
  for (int i = 0; i < all; i++) {
    cohort_value value;
    if (cohort_graph_parameter_at(graph, i, &value)->space == 0) leaves[count++] = value;
  }
  cohort_graph_gradient(graph, loss, COHORT_NO_VALUE, count, leaves, gradients);
  free(leaves);
  return count;
}

#endif
