/* Gradient checks of a scalar graph in float64: gradients of the fused and of the decomposed graph against central
 * differences of the decomposed one, and Hessian-vector products against central differences of its gradients. */
#ifndef COHORT_TESTS_GRAPH_CHECK_H
#define COHORT_TESTS_GRAPH_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "graph/gradient.h"

/* A leaf of the graph with memory of its own. */
typedef struct graph_leaf {
  cohort_value value;
  char name[128];
  cohort_type type;
  int64_t elements;
  void *data; /* double * or int32_t * */
  bool kept;  /* from batch to batch: not varied */
} graph_leaf;

/* A graph with values for all its leaves. */
typedef struct graph_subject {
  cohort_graph *graph;
  cohort_value loss;
  int leaves;
  graph_leaf *leaf;
  cohort_random_key key;
} graph_subject;

static inline double graph_random(uint64_t stream, int64_t element) {
  return cohort_random_normal_at(cohort_random_key_from_seed(20240607), stream, (uint64_t)element);
}

static inline void graph_add_leaf(graph_subject *subject, cohort_value value, const char *name) {
  graph_leaf *leaf = &subject->leaf[subject->leaves++];
  leaf->value = value;
  snprintf(leaf->name, sizeof leaf->name, "%s", name);
  leaf->type = cohort_graph_type(subject->graph, value);
  leaf->elements = cohort_shape_elements(cohort_graph_shape(subject->graph, value));
  leaf->data = cohort_allocate((size_t)leaf->elements * sizeof(double));
}

/* Values of a size that keeps activations near 1: matrices by their fan in, gains near 1, the rest standard normal. */
static inline void graph_fill_parameter(graph_leaf *leaf, const cohort_parameter_tensor *tensor, uint64_t stream) {
  const int64_t outputs = tensor->shape.axes ? tensor->shape.size[0] : 1;
  const bool matrix =
      tensor->role == COHORT_ROLE_MATRIX || tensor->role == COHORT_ROLE_KERNEL || tensor->role == COHORT_ROLE_HEAD;
  const double scale = matrix ? sqrt((double)outputs / (double)leaf->elements) : 0.5;
  const double middle = tensor->role == COHORT_ROLE_GAIN ? 1 : 0;
  for (int64_t i = 0; i < leaf->elements; i++) ((double *)leaf->data)[i] = middle + scale * graph_random(stream, i);
}

/* Takes over the graph. Real leaves get random values, integers zeros. */
static inline graph_subject graph_subject_create(cohort_graph *graph, cohort_value loss) {
  const int parameters = cohort_graph_parameters(graph), inputs = cohort_graph_inputs(graph);
  graph_subject subject = {.graph = graph, .loss = loss, .key = cohort_random_key_from_seed(7)};
  subject.leaf = cohort_allocate((size_t)(parameters + inputs + cohort_graph_states(graph) + 1) * sizeof *subject.leaf);
  for (int i = 0; i < parameters; i++) {
    cohort_value value;
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(graph, i, &value);
    graph_add_leaf(&subject, value, tensor->name);
    graph_fill_parameter(&subject.leaf[i], tensor, (uint64_t)i);
  }
  for (int i = 0; i < inputs; i++) {
    const char *name;
    const cohort_value value = cohort_graph_input_at(graph, i, &name);
    graph_add_leaf(&subject, value, name);
    const graph_leaf *leaf = &subject.leaf[parameters + i];
    if (leaf->type != COHORT_TYPE_REAL) continue;
    for (int64_t e = 0; e < leaf->elements; e++) ((double *)leaf->data)[e] = graph_random(1000 + (uint64_t)i, e);
  }
  for (int i = 0; i < cohort_graph_states(graph); i++) {
    cohort_value value;
    const cohort_parameter_tensor *tensor = cohort_graph_state_at(graph, i, &value, NULL);
    graph_add_leaf(&subject, value, tensor->name);
    graph_leaf *leaf = &subject.leaf[subject.leaves - 1];
    leaf->kept = true;
    for (int64_t e = 0; e < leaf->elements; e++) ((double *)leaf->data)[e] = tensor->scale;
  }
  return subject;
}

static inline void graph_subject_release(graph_subject *subject) {
  for (int i = 0; i < subject->leaves; i++) free(subject->leaf[i].data);
  free(subject->leaf);
  cohort_graph_destroy(subject->graph);
}

/* Memory of an input by name; NULL when the graph has none of this name. */
static inline void *graph_subject_input(const graph_subject *subject, const char *name) {
  for (int i = 0; i < subject->leaves; i++)
    if (strcmp(subject->leaf[i].name, name) == 0) return subject->leaf[i].data;
  return NULL;
}

static inline void graph_set_integers(const graph_subject *subject, const char *name, const int32_t *numbers) {
  for (int i = 0; i < subject->leaves; i++)
    if (strcmp(subject->leaf[i].name, name) == 0 && subject->leaf[i].type == COHORT_TYPE_INTEGER)
      memcpy(subject->leaf[i].data, numbers, (size_t)subject->leaf[i].elements * sizeof *numbers);
}

/* A plan of some values of a graph, ready to run in float64. `map` leads from the subject's values to the graph's. */
typedef struct graph_runner {
  cohort_plan *plan;
  cohort_executor *executor;
  void **memory;
  int outputs;
  cohort_value *output;
  cohort_bindings bindings;
} graph_runner;

static inline bool graph_runner_create(graph_runner *runner, const cohort_graph *graph, const graph_subject *subject,
                                       const cohort_value *map, int outputs, const cohort_value *output) {
  *runner = (graph_runner){.outputs = outputs};
  cohort_error error = {.text = ""};
  cohort_plan_output *wanted = cohort_allocate((size_t)outputs * sizeof *wanted);
  runner->output = cohort_allocate((size_t)outputs * sizeof *runner->output);
  for (int i = 0; i < outputs; i++) wanted[i].value = runner->output[i] = output[i];
  cohort_status status = cohort_graph_status(graph, &error);
  if (status == COHORT_DONE)
    status = cohort_plan_create(graph, cohort_kernels_float64(), outputs, wanted, &runner->plan, &error);
  free(wanted);
  if (status == COHORT_DONE)
    status = cohort_executor_create(cohort_plan_arena_bytes(runner->plan), 1, 1, &runner->executor, &error);
  if (status != COHORT_DONE) {
    fprintf(stderr, "\n  %s\n", error.text);
    CU_FAIL("no plan");
    return false;
  }
  runner->memory = cohort_allocate((size_t)cohort_graph_values(graph) * sizeof *runner->memory);
  for (int i = 0; i < subject->leaves; i++) {
    const cohort_value value = subject->leaf[i].value;
    runner->memory[map ? map[value] : value] = subject->leaf[i].data;
  }
  runner->bindings = (cohort_bindings){.memory = runner->memory, .random_key = subject->key};
  return true;
}

static inline void graph_runner_release(graph_runner *runner) {
  if (runner->executor) cohort_executor_destroy(runner->executor);
  if (runner->plan) cohort_plan_destroy(runner->plan);
  free(runner->memory);
  free(runner->output);
}

/* One lane alone: what goes into an operation across lanes comes out of it. */
static inline void graph_run(const graph_runner *runner) {
  cohort_lane_operation operation[16];
  for (int phase = 0; phase < cohort_plan_phases(runner->plan); phase++) {
    cohort_executor_run(runner->executor, runner->plan, phase, 0, &runner->bindings);
    const int count = cohort_plan_lane_operations(runner->plan, phase, operation, 16);
    for (int i = 0; i < count; i++)
      memcpy(cohort_executor_value(runner->executor, runner->plan, 0, operation[i].output, &runner->bindings),
             cohort_executor_value(runner->executor, runner->plan, 0, operation[i].input, &runner->bindings),
             (size_t)operation[i].output_elements * sizeof(double));
  }
}

static inline const double *graph_output(const graph_runner *runner, int i) {
  return cohort_executor_value(runner->executor, runner->plan, 0, runner->output[i], &runner->bindings);
}

static inline double graph_loss(const graph_runner *runner) {
  graph_run(runner);
  return *graph_output(runner, 0);
}

/* The real leaves, which are differentiated, and results laid out one leaf after another. */
typedef struct graph_wrt {
  int count;
  graph_leaf **leaf;
  int64_t *offset;
  int64_t elements;
} graph_wrt;

static inline graph_wrt graph_wrt_create(const graph_subject *subject) {
  graph_wrt wrt = {.leaf = cohort_allocate((size_t)(subject->leaves + 1) * sizeof *wrt.leaf),
                   .offset = cohort_allocate((size_t)(subject->leaves + 1) * sizeof *wrt.offset)};
  for (int i = 0; i < subject->leaves; i++) {
    if (subject->leaf[i].type != COHORT_TYPE_REAL || subject->leaf[i].kept) continue;
    wrt.leaf[wrt.count] = &subject->leaf[i];
    wrt.offset[wrt.count++] = wrt.elements;
    wrt.elements += subject->leaf[i].elements;
  }
  return wrt;
}

static inline void graph_wrt_release(graph_wrt *wrt) {
  free(wrt->leaf);
  free(wrt->offset);
}

/* Outputs first ... first + wrt.count - 1 of the runner's last run as one vector, owned by the caller. */
static inline double *graph_collect(const graph_runner *runner, const graph_wrt *wrt, int first) {
  double *all = cohort_allocate((size_t)wrt->elements * sizeof *all);
  for (int i = 0; i < wrt->count; i++)
    memcpy(all + wrt->offset[i], graph_output(runner, first + i), (size_t)wrt->leaf[i]->elements * sizeof *all);
  return all;
}

static inline void graph_move(const graph_wrt *wrt, const double *direction, double step) {
  for (int i = 0; i < wrt->count; i++)
    for (int64_t e = 0; e < wrt->leaf[i]->elements; e++)
      ((double *)wrt->leaf[i]->data)[e] += step * direction[wrt->offset[i] + e];
}

static inline double graph_norm(const double *vector, int64_t elements) {
  double sum = 0;
  for (int64_t i = 0; i < elements; i++) sum += vector[i] * vector[i];
  return sqrt(sum);
}

/* Steps of the central differences: one that steps over a kink (relu, a maximum) is judged at the smaller one. */
static const double graph_steps[] = {1e-6, 6e-8};
enum { GRAPH_STEPS = 2, GRAPH_COORDINATES = 64, GRAPH_DIRECTIONS = 8 };

static inline double graph_slope(const graph_runner *loss, double *coordinate, double step) {
  const double middle = *coordinate;
  *coordinate = middle + step;
  const double above = graph_loss(loss), right = *coordinate;
  *coordinate = middle - step;
  const double below = graph_loss(loss), left = *coordinate;
  *coordinate = middle;
  return (above - below) / (right - left);
}

/* Coordinates of one leaf; returns how many are wrong. */
static inline int graph_check_leaf(const char *label, const graph_runner *loss, const graph_leaf *leaf,
                                   const double *gradient, const char *kind) {
  const double tolerance = 1e-6 * fmax(1, graph_norm(gradient, leaf->elements));
  const int64_t checks = leaf->elements < GRAPH_COORDINATES ? leaf->elements : GRAPH_COORDINATES;
  const cohort_random_key key = cohort_random_key_from_seed(99);
  int wrong = 0;
  for (int64_t i = 0; i < checks; i++) {
    const int64_t e = (int64_t)cohort_random_permute(key, (uint64_t)leaf->elements, (uint64_t)i);
    double slope = 0;
    bool right = false;
    for (int s = 0; s < GRAPH_STEPS && !right; s++) {
      slope = graph_slope(loss, (double *)leaf->data + e, graph_steps[s]);
      right = fabs(slope - gradient[e]) <= tolerance;
    }
    if (!right && ++wrong <= 3)
      fprintf(stderr, "\n  %s: %s gradient of %s[%lld] is %.9g, the difference quotient %.9g\n", label, kind,
              leaf->name, (long long)e, gradient[e], slope);
  }
  return wrong;
}

static inline double *graph_direction(const graph_wrt *wrt, uint64_t number) {
  double *direction = cohort_allocate((size_t)wrt->elements * sizeof *direction);
  for (int64_t i = 0; i < wrt->elements; i++) direction[i] = graph_random(5000 + number, i);
  return direction;
}

static inline void graph_check_directions(const char *label, const graph_runner *loss, const graph_wrt *wrt,
                                          const double *gradient) {
  const double tolerance = 1e-6 * fmax(1, graph_norm(gradient, wrt->elements));
  for (int d = 0; d < GRAPH_DIRECTIONS; d++) {
    double *direction = graph_direction(wrt, (uint64_t)d);
    const double norm = graph_norm(direction, wrt->elements);
    double expected = 0, slope = 0;
    for (int64_t i = 0; i < wrt->elements; i++) expected += gradient[i] * (direction[i] /= norm);
    bool right = false;
    for (int s = 0; s < GRAPH_STEPS && !right; s++) {
      const double step = graph_steps[s];
      graph_move(wrt, direction, step);
      const double above = graph_loss(loss);
      graph_move(wrt, direction, -2 * step);
      const double below = graph_loss(loss);
      graph_move(wrt, direction, step);
      slope = (above - below) / (2 * step);
      right = fabs(slope - expected) <= tolerance;
    }
    if (!right) fprintf(stderr, "\n  %s: along direction %d %.9g, the quotient %.9g\n", label, d, expected, slope);
    CU_ASSERT(right);
    free(direction);
  }
}

/* Difference quotient of the gradients along the direction, owned by the caller. */
static inline double *graph_second_derivatives(const graph_runner *gradients, const graph_wrt *wrt,
                                               const double *direction, double step) {
  graph_move(wrt, direction, step);
  graph_run(gradients);
  double *above = graph_collect(gradients, wrt, 0);
  graph_move(wrt, direction, -2 * step);
  graph_run(gradients);
  double *below = graph_collect(gradients, wrt, 0);
  graph_move(wrt, direction, step);
  for (int64_t i = 0; i < wrt->elements; i++) above[i] = (above[i] - below[i]) / (2 * step);
  free(below);
  return above;
}

static inline void graph_check_second_derivatives(const char *label, const graph_runner *gradients,
                                                  const graph_wrt *wrt, const double *direction,
                                                  const double *product) {
  bool right = false;
  for (int s = 0; s < GRAPH_STEPS && !right; s++) {
    double *quotient = graph_second_derivatives(gradients, wrt, direction, graph_steps[s]);
    right = true;
    for (int i = 0; i < wrt->count; i++) {
      const double *expected = product + wrt->offset[i], *found = quotient + wrt->offset[i];
      const double tolerance = 1e-5 * fmax(1, graph_norm(expected, wrt->leaf[i]->elements));
      for (int64_t e = 0; e < wrt->leaf[i]->elements; e++) {
        if (fabs(expected[e] - found[e]) <= tolerance) continue;
        if (right && s == GRAPH_STEPS - 1)
          fprintf(stderr, "\n  %s: Hessian-vector product of %s[%lld] is %.9g, the difference quotient %.9g\n", label,
                  wrt->leaf[i]->name, (long long)e, expected[e], found[e]);
        right = false;
      }
    }
    free(quotient);
  }
  CU_ASSERT(right);
}

/* Gradients of the fused graph, which it extends; owned by the caller. NULL after a failure. */
static inline double *graph_fused_gradient(graph_subject *subject, const graph_wrt *wrt, double *loss) {
  const int count = wrt->count;
  cohort_value *values = cohort_allocate((size_t)(2 * count + 1) * sizeof *values);
  cohort_value *outputs = values + count;
  for (int i = 0; i < count; i++) values[i] = wrt->leaf[i]->value;
  outputs[0] = subject->loss;
  cohort_graph_gradient(subject->graph, subject->loss, COHORT_NO_VALUE, count, values, outputs + 1);
  graph_runner runner;
  double *gradient = NULL;
  if (graph_runner_create(&runner, subject->graph, subject, NULL, count + 1, outputs)) {
    *loss = graph_loss(&runner);
    gradient = graph_collect(&runner, wrt, 1);
  }
  graph_runner_release(&runner);
  free(values);
  return gradient;
}

/* The decomposed graph with its loss, gradients and Hessian-vector products along one direction. */
typedef struct graph_small {
  cohort_graph *graph;
  graph_runner loss, gradients, products;
  double *direction;
  bool good;
} graph_small;

static inline graph_small graph_small_create(const graph_subject *subject, const graph_wrt *wrt) {
  const int count = wrt->count;
  graph_small small = {.direction = graph_direction(wrt, 77)};
  cohort_value *map = cohort_allocate((size_t)cohort_graph_values(subject->graph) * sizeof *map);
  small.graph = cohort_graph_decompose(subject->graph, COHORT_DECOMPOSE_ALL, map);
  const cohort_value loss = map[subject->loss];
  cohort_value *values = cohort_allocate((size_t)(4 * count + 1) * sizeof *values);
  cohort_value *directions = values + count, *gradients = values + 2 * count, *products = values + 3 * count;
  for (int i = 0; i < count; i++) {
    char name[32];
    snprintf(name, sizeof name, "direction%d", i);
    values[i] = map[wrt->leaf[i]->value];
    const cohort_shape shape = cohort_graph_shape(small.graph, values[i]);
    directions[i] = cohort_graph_input(small.graph, name, COHORT_TYPE_REAL, shape);
  }
  cohort_graph_gradient(small.graph, loss, COHORT_NO_VALUE, count, values, gradients);
  cohort_graph_hessian_product(small.graph, count, gradients, values, directions, products);
  small.good = graph_runner_create(&small.loss, small.graph, subject, map, 1, &loss) &&
               graph_runner_create(&small.gradients, small.graph, subject, map, count, gradients) &&
               graph_runner_create(&small.products, small.graph, subject, map, count, products);
  for (int i = 0; small.good && i < count; i++) small.products.memory[directions[i]] = small.direction + wrt->offset[i];
  free(values);
  free(map);
  return small;
}

static inline void graph_small_release(graph_small *small) {
  graph_runner_release(&small->loss);
  graph_runner_release(&small->gradients);
  graph_runner_release(&small->products);
  cohort_graph_destroy(small->graph);
  free(small->direction);
}

/* Everything, for every real leaf. The subject's graph is extended by its gradient. */
static inline void graph_check_subject(const char *label, graph_subject *subject) {
  cohort_error error = {.text = ""};
  if (cohort_graph_status(subject->graph, &error) != COHORT_DONE) {
    fprintf(stderr, "\n  %s: %s\n", label, error.text);
    CU_FAIL("no graph");
    return;
  }
  graph_wrt wrt = graph_wrt_create(subject);
  graph_small small = graph_small_create(subject, &wrt);
  double fused_loss = NAN;
  double *fused = graph_fused_gradient(subject, &wrt, &fused_loss);
  if (small.good && fused) {
    const double loss = graph_loss(&small.loss);
    CU_ASSERT(isfinite(loss) && fabs(loss - fused_loss) <= 1e-11 * fmax(1, fabs(loss)));
    graph_run(&small.gradients);
    double *gradient = graph_collect(&small.gradients, &wrt, 0);
    CU_ASSERT(graph_norm(gradient, wrt.elements) > 1e-3);
    int wrong = 0;
    for (int i = 0; i < wrt.count; i++) {
      wrong += graph_check_leaf(label, &small.loss, wrt.leaf[i], gradient + wrt.offset[i], "decomposed");
      const double tolerance = 1e-9 * fmax(1, graph_norm(gradient + wrt.offset[i], wrt.leaf[i]->elements));
      for (int64_t e = wrt.offset[i]; e < wrt.offset[i] + wrt.leaf[i]->elements; e++) {
        if (fabs(fused[e] - gradient[e]) <= tolerance) continue;
        if (++wrong <= 6)
          fprintf(stderr, "\n  %s: fused gradient of %s[%lld] is %.12g, decomposed %.12g\n", label, wrt.leaf[i]->name,
                  (long long)(e - wrt.offset[i]), fused[e], gradient[e]);
      }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    graph_check_directions(label, &small.loss, &wrt, gradient);
    graph_run(&small.products);
    double *product = graph_collect(&small.products, &wrt, 0);
    graph_check_second_derivatives(label, &small.gradients, &wrt, small.direction, product);
    free(product);
    free(gradient);
  }
  free(fused);
  graph_small_release(&small);
  graph_wrt_release(&wrt);
}

#endif
