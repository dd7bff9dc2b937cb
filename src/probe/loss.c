/* Probe of a loss: the arrays become the fields that training fills too, and the family's own builders make the loss.
 * Value, values of rows, gradients, Hessian product with a direction; of a loss that keeps state every step's value and
 * gradient, and the state after the last; of one that asks the model again the gradients of a linear model. Costs a few
 * passes over the rows a step. */
#include "method/loss/loss.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "graph/decompose.h"
#include "graph/gradient.h"
#include "probe/probe.h"

enum { LEAVES = 16, RESULTS = 12 };

typedef struct bench {
  cohort_probe_state *probe;
  const cohort_method *method;
  const cohort_loss *functions;
  cohort_graph *graph;
  int64_t steps, rows, columns;
  cohort_loss_fields fields;
  cohort_loss_model model;
  cohort_value weight, bias, start; /* of the linear model; what is drawn */
  cohort_value inverse_count, loss;
  cohort_loss_outputs outputs;
  int leaves;
  cohort_probe_leaf leaf[LEAVES];
} bench;

static const cohort_array *given(const bench *own, const char *name) { return cohort_probe_input(own->probe, name); }
static bool needs(const bench *own, unsigned what) { return (own->method->needs & what) != 0; }

static cohort_value bind(bench *own, cohort_value value, void *data) {
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, data};
  return value;
}

static cohort_value add_real(bench *own, const char *name, cohort_shape shape) {
  return bind(own, cohort_graph_input(own->graph, name, COHORT_TYPE_REAL, shape),
              cohort_probe_reals(own->probe, given(own, name)));
}

static cohort_value add_integer(bench *own, const char *name) {
  return bind(own, cohort_graph_input(own->graph, name, COHORT_TYPE_INTEGER, COHORT_SHAPE(own->rows)),
              cohort_probe_integers(own->probe, given(own, name)));
}

static void *number(bench *own, int64_t count, double value) {
  void *memory = cohort_probe_memory(own->probe, (size_t)count * cohort_probe_real_size(own->probe));
  for (int64_t i = 0; i < count; i++) cohort_probe_set(own->probe, memory, i, value);
  return memory;
}

/* A linear model, which is asked again. */
static cohort_value forward(void *argument, cohort_graph *graph, cohort_value features) {
  const bench *own = argument;
  return cohort_graph_add(graph, cohort_graph_matmul(graph, features, own->weight, false, true), own->bias);
}

static cohort_value draw(void *argument, cohort_graph *graph, const char *name, cohort_shape shape) {
  (void)graph, (void)name, (void)shape;
  return ((const bench *)argument)->start;
}

static void add_model(bench *own) {
  const int64_t features = cohort_probe_size_of(own->probe, "F");
  const cohort_shape samples = COHORT_SHAPE(own->rows, features);
  own->fields.features = add_real(own, "features", samples);
  own->weight = add_real(own, "parameters/weight", COHORT_SHAPE(own->columns, features));
  own->bias = add_real(own, "parameters/bias", COHORT_SHAPE(own->columns));
  own->start = add_real(own, "draws/start", samples);
  own->model = (cohort_loss_model){.argument = own, .forward = forward, .draw = draw};
  own->fields.model = &own->model;
  own->fields.output = forward(own, own->graph, own->fields.features);
}

/* Rows of step `step` that are not ignored. */
static int64_t count_rows(const bench *own, int64_t step) {
  const cohort_array *target = given(own, "target");
  if (own->functions->target == COHORT_TARGET_REAL) return own->rows;
  int64_t count = 0;
  for (int64_t r = 0; r < own->rows; r++) count += cohort_array_get(target, step * own->rows + r) >= 0;
  return count;
}

/* Of all steps: 0 where the target is ignored. */
static void *weights(bench *own) {
  const cohort_array *target = given(own, "target"), *weight = given(own, "weight");
  const int64_t all = own->steps * own->rows;
  void *values = number(own, all, 1);
  for (int64_t r = 0; r < all; r++) {
    const bool ignored = own->functions->target != COHORT_TARGET_REAL && cohort_array_get(target, r) < 0;
    cohort_probe_set(own->probe, values, r, ignored ? 0 : weight ? cohort_array_get(weight, r) : 1);
  }
  return values;
}

static void add_groups(bench *own) {
  const int64_t groups = cohort_loss_groups(own->method, own->probe->choice.config);
  const cohort_array *counts = given(own, "counts");
  own->fields.group = add_integer(own, "group");
  void *values = number(own, groups, 1);
  for (int64_t g = 0; counts && g < groups; g++) cohort_probe_set(own->probe, values, g, cohort_array_get(counts, g));
  own->fields.counts =
      bind(own, cohort_graph_input(own->graph, "counts", COHORT_TYPE_REAL, COHORT_SHAPE(groups)), values);
}

static void add_parameters(bench *own) {
  for (int i = 0; own->functions->parameters && own->functions->parameters[i].name; i++) {
    char *name = cohort_format_text("parameters/%s", own->functions->parameters[i].name);
    own->fields.parameter[i] = add_real(own, name, COHORT_SCALAR_SHAPE);
    free(name);
  }
}

static void build(bench *own) {
  cohort_graph *graph = own->graph;
  const bool real = own->functions->target == COHORT_TARGET_REAL;
  const cohort_shape matrix = COHORT_SHAPE(own->rows, own->columns);
  own->fields = cohort_loss_no_fields(own->rows);
  if (needs(own, COHORT_LOSS_MODEL))
    add_model(own);
  else
    own->fields.output = add_real(own, "input", matrix);
  own->fields.target = real ? add_real(own, "target", matrix) : add_integer(own, "target");
  own->fields.weight =
      bind(own, cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(own->rows)), weights(own));
  own->inverse_count =
      bind(own, cohort_graph_input(graph, "inverse_count", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE), number(own, 1, 0));
  own->fields.lane = cohort_graph_constant(graph, 0);
  if (needs(own, COHORT_LOSS_GROUPS)) add_groups(own);
  add_parameters(own);
  cohort_loss_declare_states(own->method, own->probe->choice.config, graph, &own->fields);
  const cohort_value sum =
      cohort_loss_objective(own->method, own->probe->choice.config, graph, &own->fields, &own->outputs);
  own->loss = cohort_graph_multiply(graph, sum, own->inverse_count);
}

static cohort_status evaluate_product(bench *own, const cohort_array *direction, cohort_error *error) {
  cohort_probe_state *probe = own->probe;
  COHORT_TRY(cohort_graph_status(own->graph, error));
  const cohort_shape matrix = cohort_graph_shape(own->graph, own->fields.output);
  cohort_value *map = cohort_probe_memory(probe, (size_t)cohort_graph_values(own->graph) * sizeof *map);
  cohort_graph *small = cohort_graph_decompose(own->graph, COHORT_DECOMPOSE_ALL, map);
  cohort_probe_leaf leaf[LEAVES + 1];
  for (int i = 0; i < own->leaves; i++) leaf[i] = (cohort_probe_leaf){map[own->leaf[i].value], own->leaf[i].data};
  leaf[own->leaves] = (cohort_probe_leaf){cohort_graph_input(small, "direction", COHORT_TYPE_REAL, matrix),
                                          cohort_probe_reals(probe, direction)};
  const cohort_value wrt = map[own->fields.output];
  cohort_value product = COHORT_NO_VALUE, gradient = COHORT_NO_VALUE;
  cohort_graph_gradient(small, map[own->loss], COHORT_NO_VALUE, 1, &wrt, &gradient);
  cohort_graph_hessian_product(small, 1, &gradient, &wrt, &leaf[own->leaves].value, &product);
  const cohort_probe_wanted wanted = {product, "hvp", matrix};
  const cohort_status status = cohort_probe_evaluate(probe, small, own->leaves + 1, leaf, 1, &wanted, error);
  cohort_graph_destroy(small);
  return status;
}

static void set_count(const bench *own, int64_t step) {
  const int64_t count = count_rows(own, step);
  for (int i = 0; i < own->leaves; i++)
    if (own->leaf[i].value == own->inverse_count)
      cohort_probe_set(own->probe, own->leaf[i].data, 0, count ? 1 / (double)count : 0);
}

static cohort_status run_once(bench *own, cohort_error *error) {
  cohort_probe_state *probe = own->probe;
  const cohort_array *direction = given(own, "direction");
  const bool model = needs(own, COHORT_LOSS_MODEL);
  cohort_value wrt[2 + COHORT_MAX_LOSS_PARAMETERS], gradient[2 + COHORT_MAX_LOSS_PARAMETERS];
  const char *name[2 + COHORT_MAX_LOSS_PARAMETERS] = {model ? "gradients/weight" : "gradient", "gradients/bias"};
  int varied = 0, results = 0;
  wrt[varied++] = model ? own->weight : own->fields.output;
  if (model) wrt[varied++] = own->bias;
  for (int i = 0; own->functions->parameters && own->functions->parameters[i].name; i++) {
    enum { ROOM = 64 };
    char *text = cohort_probe_memory(probe, ROOM);
    (void)snprintf(text, ROOM, "gradients/%s", own->functions->parameters[i].name);
    name[varied] = text;
    wrt[varied++] = own->fields.parameter[i];
  }
  set_count(own, 0);
  if (direction) COHORT_TRY(evaluate_product(own, direction, error));
  cohort_graph_gradient(own->graph, own->loss, COHORT_NO_VALUE, varied, wrt, gradient);
  cohort_probe_wanted wanted[RESULTS] = {{own->loss, "loss", COHORT_SCALAR_SHAPE}};
  results++;
  if (!needs(own, COHORT_LOSS_BATCH))
    wanted[results++] = (cohort_probe_wanted){own->outputs.loss, "per_sample", COHORT_SHAPE(own->rows)};
  for (int i = 0; i < varied; i++) {
    const bool scalar = i >= (model ? 2 : 1);
    const cohort_shape shape = scalar ? COHORT_SHAPE(1) : cohort_graph_shape(own->graph, wrt[i]);
    wanted[results++] = (cohort_probe_wanted){gradient[i], name[i], shape};
  }
  return cohort_probe_evaluate(probe, own->graph, own->leaves, own->leaf, results, wanted, error);
}

/* The same leaves a step further: data of rows go on, the state is what the last step has left. */
static void advance(bench *own, int64_t elements, cohort_value value, size_t size) {
  for (int i = 0; i < own->leaves; i++)
    if (own->leaf[i].value == value) own->leaf[i].data = (char *)own->leaf[i].data + (size_t)elements * size;
}

static cohort_status run_steps(bench *own, cohort_error *error) {
  cohort_probe_state *probe = own->probe;
  const size_t real = cohort_probe_real_size(probe);
  const int64_t elements = own->rows * own->columns;
  cohort_value gradient = COHORT_NO_VALUE;
  cohort_graph_gradient(own->graph, own->loss, COHORT_NO_VALUE, 1, &own->fields.output, &gradient);
  char *losses = cohort_probe_output(probe, "loss", COHORT_SHAPE(own->steps));
  char *gradients = cohort_probe_output(probe, "gradient", COHORT_SHAPE(own->steps, own->rows, own->columns));
  cohort_probe_wanted wanted[2 + COHORT_MAX_STATES] = {{own->loss, "loss", COHORT_SCALAR_SHAPE},
                                                       {gradient, "gradient", COHORT_SHAPE(own->rows, own->columns)}};
  void *data[2 + COHORT_MAX_STATES] = {losses, gradients};
  int states = 0;
  for (; own->method->states[states].name; states++) {
    cohort_value value = COHORT_NO_VALUE, next = COHORT_NO_VALUE;
    const cohort_parameter_tensor *declared = cohort_graph_state_at(own->graph, states, &value, &next);
    char *name = cohort_format_text("state/%s", own->method->states[states].name);
    void *values = cohort_probe_output(probe, name, declared->shape);
    free(name);
    for (int64_t e = 0; e < cohort_shape_elements(declared->shape); e++)
      cohort_probe_set(probe, values, e, declared->scale);
    bind(own, value, values);
    wanted[2 + states] = (cohort_probe_wanted){next, "state", declared->shape};
    data[2 + states] = values;
  }
  for (int64_t step = 0; step < own->steps; step++) {
    set_count(own, step);
    COHORT_TRY(cohort_probe_evaluate_into(probe, own->graph, own->leaves, own->leaf, 2 + states, wanted, data, error));
    advance(own, elements, own->fields.output, real);
    advance(own, own->rows, own->fields.weight, real);
    advance(own, own->rows, own->fields.target, sizeof(int32_t));
    if (own->fields.group != COHORT_NO_VALUE) advance(own, own->rows, own->fields.group, sizeof(int32_t));
    data[0] = losses += real;
    data[1] = gradients += (size_t)elements * real;
  }
  return COHORT_DONE;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_method *method = probe->choice.method;
  bench own = {.probe = probe, .method = method, .functions = method->functions, .graph = NULL, .steps = 1};
  if (method->states) own.steps = cohort_probe_size_of(probe, "steps");
  own.rows = cohort_probe_size_of(probe, "R");
  own.columns = needs(&own, COHORT_LOSS_BINARY) ? 2 : cohort_probe_size_of(probe, "C");
  own.graph = cohort_graph_create();
  build(&own);
  const cohort_status status = method->states ? run_steps(&own, error) : run_once(&own, error);
  cohort_graph_destroy(own.graph);
  return status;
}

const cohort_probe_program cohort_probe_loss = {.family = "loss", .run = run};
