/* Probe of a model: outputs, loss and gradients at given parameters, or at those that a seed draws. */
#include "method/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/gradient.h"
#include "probe/probe.h"
#include "state/space.h"

static const char parameters[] = "parameters/<t>";

typedef struct model_graph {
  cohort_graph *graph;
  int64_t rows, classes;
  cohort_value logits, loss, inverse_count;
  int tensors;
  cohort_value *tensor, *gradient;
  int leaves;
  cohort_probe_leaf *leaf;
} model_graph;

static void bind_leaf(model_graph *own, cohort_value value, void *data) {
  own->leaf[own->leaves++] = (cohort_probe_leaf){value, data};
}

static cohort_value add_integers(model_graph *own, const char *name, int32_t *data) {
  const cohort_value value = cohort_graph_input(own->graph, name, COHORT_TYPE_INTEGER, COHORT_SHAPE(own->rows));
  bind_leaf(own, value, data);
  return value;
}

/* Rows of one sequence after another; a sequence is a segment and its tokens have positions from 0. */
static void number_rows(const cohort_array *input, bool tokens, int64_t rows, int32_t *positions, int32_t *segments) {
  const int64_t length = tokens ? input->size[1] : 1;
  for (int64_t r = 0; r < rows; r++) {
    positions[r] = tokens ? (int32_t)(r % length) : 0;
    segments[r] = (int32_t)(r / length);
  }
}

static cohort_model_outputs build_model(cohort_probe_state *probe, model_graph *own, const cohort_array *input) {
  const cohort_model *functions = probe->choice.method->functions;
  const bool tokens = functions->kind == COHORT_MODEL_TOKENS;
  const size_t bytes = (size_t)own->rows * sizeof(int32_t);
  int32_t *positions = cohort_probe_memory(probe, bytes), *segments = cohort_probe_memory(probe, bytes);
  number_rows(input, tokens, own->rows, positions, segments);
  cohort_model_data data = {.outputs = own->classes};
  cohort_model_inputs inputs = {
      .input = COHORT_NO_VALUE, .tokens = COHORT_NO_VALUE, .segments = COHORT_NO_VALUE, .weight = COHORT_NO_VALUE};
  if (tokens) {
    inputs.tokens = add_integers(own, "tokens", cohort_probe_integers(probe, input));
    inputs.segments = add_integers(own, "segments", segments);
  } else {
    cohort_shape shape = {.axes = input->axes};
    memcpy(shape.size, input->size, (size_t)input->axes * sizeof *input->size);
    data.axes = input->axes - 1;
    memcpy(data.size, input->size + 1, (size_t)data.axes * sizeof *data.size);
    inputs.input = cohort_graph_input(own->graph, "input", COHORT_TYPE_REAL, shape);
    bind_leaf(own, inputs.input, cohort_probe_reals(probe, input));
  }
  const int64_t rank = cohort_probe_setting_value(probe, "lora_rank");
  cohort_adapter adapter = {.rank = rank};
  if (rank > 0) {
    const double by = cohort_probe_setting_value(probe, "lora_root") ? sqrt((double)rank) : (double)rank;
    adapter.scale = (double)cohort_probe_setting_value(probe, "lora_alpha") / by;
    adapter.magnitude = cohort_probe_setting_value(probe, "lora_dora") != 0;
  }
  if (rank > 0) inputs.adapter = &adapter;
  inputs.positions = add_integers(own, "positions", positions);
  inputs.ids = add_integers(own, "ids", segments);
  cohort_model_outputs outputs = functions->build(probe->choice.config, own->graph, &data, &inputs);
  if (tokens) outputs.logits = cohort_graph_matmul(own->graph, outputs.hidden, outputs.head, false, true);
  /* cppcheck-suppress returnDanglingLifetime ; it keeps nothing of `data` */
  return outputs;
}

static void build(cohort_probe_state *probe, model_graph *own) {
  const cohort_array *input = cohort_probe_input(probe, "input"), *target = cohort_probe_input(probe, "target");
  own->graph = cohort_graph_create();
  own->rows = cohort_array_elements(target);
  own->classes = cohort_probe_setting_value(probe, "outputs");
  own->leaf = cohort_probe_memory(probe, 8 * sizeof *own->leaf);
  own->logits = build_model(probe, own, input).logits;
  const cohort_value classes = add_integers(own, "target", cohort_probe_integers(probe, target));
  own->inverse_count = cohort_graph_input(own->graph, "inverse_count", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE);
  int64_t count = 0;
  for (int64_t r = 0; r < own->rows; r++) count += cohort_array_get(target, r) >= 0;
  void *inverse = cohort_probe_memory(probe, cohort_probe_real_size(probe));
  cohort_probe_set(probe, inverse, 0, count ? 1 / (double)count : 0);
  bind_leaf(own, own->inverse_count, inverse);
  const cohort_value rows = cohort_graph_softmax_cross_entropy(own->graph, own->logits, classes, 0);
  own->loss = cohort_graph_multiply(own->graph, cohort_graph_sum_all(own->graph, rows), own->inverse_count);
}

/* Draws as a run with this seed does. */
static cohort_status draw_parameters(cohort_probe_state *probe, const model_graph *own, void **values,
                                     cohort_error *error) {
  cohort_space *space = cohort_space_create(own->graph, 0, "model");
  const cohort_status status = cohort_space_hold(space, error);
  if (status != COHORT_DONE) {
    cohort_space_destroy(space);
    return status;
  }
  const uint64_t seed = (uint64_t)cohort_probe_setting_value(probe, "seed");
  cohort_space_initialise(space, cohort_random_key_derive_name(cohort_random_key_from_seed(seed), "initial"), NULL);
  for (int t = 0; t < own->tensors; t++)
    for (int64_t e = 0; e < space->tensor[t].elements; e++)
      cohort_probe_set(probe, values[t], e, (double)space->values[space->tensor[t].offset + e]);
  cohort_space_destroy(space);
  return COHORT_DONE;
}

static cohort_status refuse_unknown(const cohort_probe_state *probe, const model_graph *own, cohort_error *error) {
  const char **names = cohort_allocate((size_t)(own->tensors + 1) * sizeof *names);
  for (int t = 0; t < own->tensors; t++) names[t] = cohort_graph_parameter_at(own->graph, t, NULL)->name;
  cohort_status status = COHORT_DONE;
  for (int i = 0; i < probe->in.count && status == COHORT_DONE; i++) {
    const char *name = cohort_probe_tensor_name(parameters, probe->in.items[i].name);
    bool known = !name;
    for (int t = 0; t < own->tensors && !known; t++) known = strcmp(names[t], name) == 0;
    if (known) continue;
    const char *nearest = cohort_nearest_name(name, names, (size_t)own->tensors);
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: array parameters/%s: %s has no such tensor%s%s",
                         probe->request->input, name, probe->choice.method->key,
                         nearest ? "; did you mean parameters/" : "", nearest ? nearest : "");
  }
  free(names);
  return status;
}

static cohort_status take_parameter(cohort_probe_state *probe, const cohort_parameter_tensor *declared, void *values,
                                    cohort_error *error) {
  char *name = cohort_format_text("parameters/%s", declared->name), wanted[COHORT_PROBE_TEXT], found[COHORT_PROBE_TEXT];
  const cohort_array *array = cohort_probe_input(probe, name);
  cohort_probe_shape_text(declared->shape.axes, declared->shape.size, wanted);
  bool same = array && array->axes == declared->shape.axes;
  for (int a = 0; same && a < array->axes; a++) same = array->size[a] == declared->shape.size[a];
  cohort_status status = COHORT_DONE;
  if (!array)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is missing, expected %s; give all tensors or none",
                         probe->request->input, name, wanted);
  else if (!same)
    status = cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is %s, expected %s", probe->request->input, name,
                         cohort_probe_shape_text(array->axes, array->size, found), wanted);
  else
    memcpy(values, array->data, (size_t)cohort_array_elements(array) * cohort_probe_real_size(probe));
  free(name);
  return status;
}

static cohort_status take_parameters(cohort_probe_state *probe, model_graph *own, cohort_error *error) {
  bool given = false;
  for (int i = 0; i < probe->in.count; i++)
    given = given || cohort_probe_tensor_name(parameters, probe->in.items[i].name);
  own->tensors = cohort_graph_parameters(own->graph);
  own->tensor = cohort_probe_memory(probe, (size_t)(own->tensors + 1) * sizeof *own->tensor);
  own->gradient = cohort_probe_memory(probe, (size_t)(own->tensors + 1) * sizeof *own->gradient);
  void **values = cohort_probe_memory(probe, (size_t)(own->tensors + 1) * sizeof *values);
  cohort_probe_leaf *leaf = cohort_probe_memory(probe, (size_t)(own->tensors + own->leaves) * sizeof *leaf);
  memcpy(leaf, own->leaf, (size_t)own->leaves * sizeof *leaf);
  own->leaf = leaf;
  COHORT_TRY(refuse_unknown(probe, own, error));
  for (int t = 0; t < own->tensors; t++) {
    const cohort_parameter_tensor *declared = cohort_graph_parameter_at(own->graph, t, &own->tensor[t]);
    const size_t bytes = (size_t)cohort_shape_elements(declared->shape) * cohort_probe_real_size(probe);
    values[t] = cohort_probe_memory(probe, bytes);
    if (given) COHORT_TRY(take_parameter(probe, declared, values[t], error));
    bind_leaf(own, own->tensor[t], values[t]);
  }
  if (!given) COHORT_TRY(draw_parameters(probe, own, values, error));
  for (int t = 0; t < own->tensors; t++) {
    const cohort_parameter_tensor *declared = cohort_graph_parameter_at(own->graph, t, NULL);
    char *name = cohort_format_text("parameters/%s", declared->name);
    memcpy(cohort_probe_output(probe, name, declared->shape), values[t],
           (size_t)cohort_shape_elements(declared->shape) * cohort_probe_real_size(probe));
    free(name);
  }
  return COHORT_DONE;
}

/* The settings are in range, so a graph that cannot be built is one that the input does not fit. */
static cohort_status check_graph(const cohort_probe_state *probe, const model_graph *own, cohort_error *error) {
  cohort_error fault;
  if (cohort_graph_status(own->graph, &fault) == COHORT_DONE) return COHORT_DONE;
  const cohort_array *input = cohort_probe_input(probe, "input");
  char shape[COHORT_PROBE_TEXT];
  return cohort_fail(error, COHORT_BAD_DATA, "%s: array input is %s, expected a shape that %s can take: %.600s",
                     probe->request->input, cohort_probe_shape_text(input->axes, input->size, shape),
                     probe->choice.method->key, fault.text);
}

static cohort_status evaluate(cohort_probe_state *probe, model_graph *own, cohort_error *error) {
  const cohort_array *input = cohort_probe_input(probe, "input");
  const bool tokens = ((const cohort_model *)probe->choice.method->functions)->kind == COHORT_MODEL_TOKENS;
  COHORT_TRY(check_graph(probe, own, error));
  COHORT_TRY(take_parameters(probe, own, error));
  cohort_graph_gradient(own->graph, own->loss, COHORT_NO_VALUE, own->tensors, own->tensor, own->gradient);
  cohort_probe_wanted *wanted = cohort_probe_memory(probe, (size_t)(own->tensors + 2) * sizeof *wanted);
  wanted[0] = (cohort_probe_wanted){own->logits, "output", COHORT_SHAPE(own->rows, own->classes)};
  if (tokens) wanted[0].shape = COHORT_SHAPE(input->size[0], input->size[1], own->classes);
  wanted[1] = (cohort_probe_wanted){own->loss, "loss", COHORT_SCALAR_SHAPE};
  for (int t = 0; t < own->tensors; t++) {
    const cohort_parameter_tensor *declared = cohort_graph_parameter_at(own->graph, t, NULL);
    const size_t room = sizeof declared->name + sizeof "gradients/";
    char *name = cohort_probe_memory(probe, room);
    (void)snprintf(name, room, "gradients/%s", declared->name);
    wanted[t + 2] = (cohort_probe_wanted){own->gradient[t], name, declared->shape};
  }
  return cohort_probe_evaluate(probe, own->graph, own->leaves, own->leaf, own->tensors + 2, wanted, error);
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  const cohort_model *functions = probe->choice.method->functions;
  const cohort_array *input = cohort_probe_input(probe, "input");
  if (functions->context && input->size[1] > functions->context(probe->choice.config))
    return cohort_fail(
        error, COHORT_BAD_DATA, "%s: array input has %lld tokens a sequence, expected at most the context %lld",
        probe->request->input, (long long)input->size[1], (long long)functions->context(probe->choice.config));
  model_graph own = {.graph = NULL};
  build(probe, &own);
  const cohort_status status = evaluate(probe, &own, error);
  cohort_graph_destroy(own.graph);
  return status;
}

const cohort_probe_program cohort_probe_model = {.family = "model", .run = run};
