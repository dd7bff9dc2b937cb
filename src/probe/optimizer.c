/* Family optimizer: an update or a driver, through the update engine, on recorded gradients or on a problem. */
#include "method/optimizer/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "probe/problem.h"

typedef struct run_state {
  cohort_probe_state *probe;
  cohort_probe_engine engine;
  cohort_probe_problem problem;
  const cohort_array *losses;
  int64_t step; /* from 0 */
} run_state;

static const char parameters[] = "parameters/<t>";

static void bind_elements(cohort_probe_state *probe) {
  int64_t elements = 0;
  for (int i = 0; i < probe->in.count; i++)
    if (cohort_probe_tensor_name(parameters, probe->in.items[i].name))
      elements += cohort_array_elements(&probe->in.items[i]);
  if (elements) (void)cohort_probe_bind(probe, "n", elements);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const cohort_probe_tensor *)a)->name, ((const cohort_probe_tensor *)b)->name);
}

static cohort_probe_tensor *list_tensors(cohort_probe_state *probe, int *count) {
  cohort_probe_tensor *tensor = cohort_probe_memory(probe, (size_t)(probe->in.count + 1) * sizeof *tensor);
  *count = 0;
  for (int i = 0; i < probe->in.count; i++) {
    const cohort_array *array = &probe->in.items[i];
    const char *name = cohort_probe_tensor_name(parameters, array->name);
    if (!name) continue;
    cohort_probe_tensor *own = &tensor[(*count)++];
    *own = (cohort_probe_tensor){.name = name, .shape = {.axes = array->axes}};
    memcpy(own->shape.size, array->size, (size_t)array->axes * sizeof *array->size);
  }
  qsort(tensor, (size_t)*count, sizeof *tensor, by_name);
  return tensor;
}

static const cohort_array *array_of(const cohort_probe_state *probe, const char *group, const char *tensor) {
  char *name = cohort_format_text("%s/%s", group, tensor);
  const cohort_array *array = cohort_probe_input(probe, name);
  free(name);
  return array;
}

/* Copies part `part` of every tensor's array into a flat vector of the space's layout. */
static void gather(const run_state *state, const char *group, int64_t part, void *flat) {
  const size_t real = cohort_probe_real_size(state->probe);
  const cohort_space *space = state->engine.space;
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    const char *from = array_of(state->probe, group, tensor->declared.name)->data;
    memcpy((char *)flat + (size_t)tensor->offset * real, from + (size_t)(part * tensor->elements) * real,
           (size_t)tensor->elements * real);
  }
}

static void add_outputs(const run_state *state, int64_t steps) {
  for (int t = 0; t < state->engine.space->tensors; t++) {
    const cohort_parameter_tensor *tensor = &state->engine.space->tensor[t].declared;
    int64_t size[COHORT_MAX_AXES + 1] = {steps};
    memcpy(size + 1, tensor->shape.size, (size_t)tensor->shape.axes * sizeof *size);
    char *name = cohort_format_text("parameters/%s", tensor->name);
    const bool single = cohort_probe_real_size(state->probe) == sizeof(float);
    (void)cohort_arrays_add(&state->probe->out, name, single ? COHORT_ARRAY_FLOAT32 : COHORT_ARRAY_FLOAT64,
                            tensor->shape.axes + 1, size);
    free(name);
  }
}

/* The first outputs are the tensors, in order. */
static void record(const run_state *state) {
  const size_t real = cohort_probe_real_size(state->probe);
  for (int t = 0; t < state->engine.space->tensors; t++) {
    const cohort_space_tensor *tensor = &state->engine.space->tensor[t];
    const size_t bytes = (size_t)tensor->elements * real;
    memcpy((char *)state->probe->out.items[t].data + (size_t)state->step * bytes,
           (const char *)state->engine.weights.values + (size_t)tensor->offset * real, bytes);
  }
}

/* What was recorded of a step answers at any point; a hvp diagonal is given as z * (H z), and the engine multiplies by
 * z once more. */
static void answer_recorded(run_state *state, const cohort_ask *ask, double *losses) {
  const cohort_space *space = state->engine.space;
  gather(state, "gradients", state->step, state->engine.rows);
  losses[0] = state->losses ? cohort_array_get(state->losses, state->step) : 0;
  if (!ask->direction) return;
  char *product = (char *)state->engine.rows + (size_t)space->elements * cohort_probe_real_size(state->probe);
  gather(state, "curvature", state->step, product);
  for (int64_t e = 0; e < space->elements; e++)
    cohort_probe_set(state->probe, product, e,
                     cohort_probe_get(state->probe, product, e) * cohort_probe_get(state->probe, ask->direction, e));
}

static cohort_status answer(void *argument, const cohort_ask *ask, void **rows, double *losses, cohort_error *error) {
  run_state *state = argument;
  const void *point = ask->point->vector->values;
  *rows = state->engine.rows;
  if (!state->problem.n && ask->labels)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "optimizer: recorded gradients have no labels to draw; give problem/x and problem/y");
  if (!state->problem.n) {
    answer_recorded(state, ask, losses);
    return COHORT_DONE;
  }
  state->problem.step = state->step;
  losses[0] = cohort_probe_problem_loss(&state->problem, point);
  if (ask->labels && !state->problem.x)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "optimizer: a quadratic has no labels to draw; give problem/x and problem/y");
  if (ask->gradient) cohort_probe_problem_gradient(&state->problem, point, ask->clip, ask->labels, state->engine.rows);
  if (ask->divergence)
    *ask->divergence = cohort_probe_problem_divergence(&state->problem, point, state->engine.weights.values);
  char *product =
      (char *)state->engine.rows + (size_t)state->engine.space->elements * cohort_probe_real_size(state->probe);
  if (ask->direction) cohort_probe_problem_product(&state->problem, point, ask->direction, product);
  return COHORT_DONE;
}

/* Draws that are given, [steps, n] or [steps, number, n], elements one after another without padding. */
static const void *draws(void *argument, const char *name, int64_t step, int64_t number) {
  run_state *state = argument;
  char path[32];
  (void)snprintf(path, sizeof path, "draws/%s", name);
  const cohort_array *given = cohort_probe_input(state->probe, path);
  if (!given) return NULL;
  int64_t at = given->axes == 3 ? (step * given->size[1] + number) * given->size[2] : step * given->size[1];
  for (int t = 0; t < state->engine.space->tensors; t++)
    for (int64_t e = 0; e < state->engine.space->tensor[t].elements; e++)
      cohort_probe_set(state->probe, state->engine.signs, state->engine.space->tensor[t].offset + e,
                       cohort_array_get(given, at++));
  return state->engine.signs;
}

/* Drivers leave a step by what is not finite untaken; here that is the end. */
static cohort_status take_steps(run_state *state, int64_t steps, cohort_error *error) {
  const cohort_oracle oracle = {.argument = state,
                                .objectives = 1,
                                .samples = state->problem.samples ? state->problem.samples : 1,
                                .labels = state->problem.samples ? state->problem.samples : 1,
                                .ask = answer,
                                .draws = draws};
  for (state->step = 0; state->step < steps; state->step++) {
    cohort_step_report report;
    COHORT_TRY(cohort_updater_step(state->engine.updater, &oracle, state->step, steps, &report, error));
    if (!report.applied)
      return cohort_fail(error, COHORT_DIVERGED, "%s %s: step %lld is not finite", state->probe->family->name,
                         state->probe->choice.method->key, (long long)state->step + 1);
    record(state);
  }
  return COHORT_DONE;
}

static cohort_status run_with(run_state *state, cohort_error *error) {
  cohort_probe_state *probe = state->probe;
  int tensors = 0;
  const cohort_probe_tensor *tensor = list_tensors(probe, &tensors);
  COHORT_TRY(cohort_probe_engine_create(probe, probe->parameters, NULL, "optimizer", 1, tensors, tensor, &state->engine,
                                        error));
  gather(state, "parameters", 0, state->engine.weights.values);
  state->losses = cohort_probe_input(probe, "losses");
  const int64_t steps = cohort_probe_size_of(probe, "steps");
  if ((double)steps * (double)state->engine.space->elements > 4e9)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "command line: steps: the parameters after %lld steps are more than can be "
                       "written",
                       (long long)steps);
  cohort_probe_problem_create(probe, state->engine.space, &state->problem);
  const cohort_array *directions = cohort_probe_input(probe, "draws/u");
  const int64_t queries = cohort_choice_integer(&probe->choice, "queries", 0);
  if (directions && directions->size[1] != queries)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: array draws/u has %lld directions a step, but queries is %lld",
                       probe->request->input, (long long)directions->size[1], (long long)queries);
  const cohort_array *labels = state->problem.labels;
  if (labels && labels->size[1] != state->problem.samples)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: array draws/labels has %lld labels a step, but a batch has %lld rows",
                       probe->request->input, (long long)labels->size[1], (long long)state->problem.samples);
  add_outputs(state, steps);
  COHORT_TRY(take_steps(state, steps, error));
  cohort_probe_engine_output_state(&state->engine);
  return COHORT_DONE;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  run_state state = {.probe = probe};
  const cohort_status status = run_with(&state, error);
  cohort_probe_engine_destroy(&state.engine);
  return status;
}

const cohort_probe_program cohort_probe_optimizer = {.family = "optimizer", .bind = bind_elements, .run = run};
