#include "method/optimizer/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/probe/problem.h"

enum { MOST_SHADOWS = 8 };

typedef struct run_state {
  cohort_probe_state *probe;
  cohort_probe_updater updater;
  cohort_probe_problem problem;
  void *gradient, *curvature, *signs;
  void *shadow[MOST_SHADOWS];
  int64_t step;
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

/* Copies part `part` of every tensor's array into the flat vector. */
static void gather(const run_state *state, const char *group, int64_t part, void *flat) {
  const size_t real = cohort_probe_real_size(state->probe);
  for (int t = 0; t < state->updater.tensors; t++) {
    const cohort_probe_tensor *tensor = &state->updater.tensor[t];
    const char *from = array_of(state->probe, group, tensor->name)->data;
    memcpy((char *)flat + (size_t)tensor->offset * real, from + (size_t)(part * tensor->elements) * real,
           (size_t)tensor->elements * real);
  }
}

static void add_outputs(const run_state *state, int64_t steps) {
  for (int t = 0; t < state->updater.tensors; t++) {
    const cohort_probe_tensor *tensor = &state->updater.tensor[t];
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
  for (int t = 0; t < state->updater.tensors; t++) {
    const cohort_probe_tensor *tensor = &state->updater.tensor[t];
    const size_t bytes = (size_t)tensor->elements * real;
    memcpy((char *)state->probe->out.items[t].data + (size_t)(state->step - 1) * bytes,
           (const char *)state->updater.weights + (size_t)tensor->offset * real, bytes);
  }
}

static void *vector_of(const run_state *state, int vector) {
  if (vector == COHORT_VECTOR_WEIGHTS) return state->updater.weights;
  if (vector == COHORT_VECTOR_GRADIENT) return state->gradient;
  return state->shadow[vector - COHORT_VECTOR_SHADOW];
}

static cohort_status driver_ask(cohort_driver *driver, int point, int gradient, cohort_error *error) {
  (void)error;
  run_state *state = driver->implementation;
  cohort_probe_problem_gradient(&state->problem, vector_of(state, point), vector_of(state, gradient));
  return COHORT_DONE;
}

static double driver_dot(cohort_driver *driver, int a, int b) {
  const run_state *state = driver->implementation;
  const void *x = vector_of(state, a), *y = vector_of(state, b);
  double sum = 0;
  for (int64_t e = 0; e < state->updater.elements; e++)
    sum += cohort_probe_get(state->probe, x, e) * cohort_probe_get(state->probe, y, e);
  return sum;
}

static void driver_combine(cohort_driver *driver, int out, double alpha, int a, double beta, int b) {
  const run_state *state = driver->implementation;
  const void *x = vector_of(state, a), *y = vector_of(state, b);
  void *to = vector_of(state, out);
  for (int64_t e = 0; e < state->updater.elements; e++)
    cohort_probe_set(state->probe, to, e,
                     alpha * cohort_probe_get(state->probe, x, e) + beta * cohort_probe_get(state->probe, y, e));
}

static cohort_status driver_update(cohort_driver *driver, int gradient, cohort_error *error) {
  (void)error;
  run_state *state = driver->implementation;
  cohort_probe_updater_step(state->probe, &state->updater, state->step, vector_of(state, gradient), NULL);
  return COHORT_DONE;
}

static cohort_status drive(run_state *state, cohort_error *error) {
  cohort_driver driver = {.config = state->probe->choice.config,
                          .step = state->step,
                          .implementation = state,
                          .ask = driver_ask,
                          .dot = driver_dot,
                          .combine = driver_combine,
                          .update = driver_update};
  return ((const cohort_optimizer *)state->probe->choice.method->functions)->drive(&driver, error);
}

/* z (H z), z given or drawn. */
static void ask_curvature(run_state *state) {
  const cohort_probe_updater *updater = &state->updater;
  const cohort_array *z = cohort_probe_input(state->probe, "draws/z");
  const uint64_t seed = (uint64_t)cohort_probe_setting_value(state->probe, "seed");
  const cohort_random_key key = cohort_random_key_derive(
      cohort_random_key_derive_name(cohort_random_key_from_seed(seed), "rademacher"), (uint64_t)(state->step - 1));
  int64_t at = 0;
  for (int t = 0; t < updater->tensors; t++)
    for (int64_t e = 0; e < updater->tensor[t].elements; e++, at++) {
      const double drawn = cohort_random_word(key, 0, (uint64_t)at) & 1 ? 1 : -1;
      const double sign = z ? cohort_array_get(z, (state->step - 1) * state->problem.n + at) : drawn;
      cohort_probe_set(state->probe, state->signs, updater->tensor[t].offset + e, sign);
    }
  cohort_probe_problem_product(&state->problem, updater->weights, state->signs, state->curvature);
  for (int64_t e = 0; e < updater->elements; e++)
    cohort_probe_set(
        state->probe, state->curvature, e,
        cohort_probe_get(state->probe, state->signs, e) * cohort_probe_get(state->probe, state->curvature, e));
}

static cohort_status take_steps(run_state *state, int64_t steps, cohort_error *error) {
  const cohort_method *method = state->probe->choice.method;
  for (state->step = 1; state->step <= steps; state->step++) {
    if (((const cohort_optimizer *)method->functions)->drive) {
      COHORT_TRY(drive(state, error));
    } else {
      const bool curvature = (method->needs & COHORT_NEEDS_CURVATURE) != 0;
      if (state->problem.n)
        cohort_probe_problem_gradient(&state->problem, state->updater.weights, state->gradient);
      else
        gather(state, "gradients", state->step - 1, state->gradient);
      if (curvature) ask_curvature(state);
      cohort_probe_updater_step(state->probe, &state->updater, state->step, state->gradient,
                                curvature ? state->curvature : NULL);
    }
    record(state);
  }
  return COHORT_DONE;
}

static cohort_status run_with(cohort_probe_state *probe, const cohort_choice *update, cohort_error *error) {
  run_state state = {.probe = probe};
  int tensors = 0;
  cohort_probe_tensor *tensor = list_tensors(probe, &tensors);
  cohort_probe_updater_create(probe, update, tensors, tensor, &state.updater);
  gather(&state, "parameters", 0, state.updater.weights);
  const size_t bytes = (size_t)state.updater.elements * cohort_probe_real_size(probe);
  state.gradient = cohort_probe_memory(probe, bytes);
  state.curvature = cohort_probe_memory(probe, bytes);
  state.signs = cohort_probe_memory(probe, bytes);
  const int shadows = ((const cohort_optimizer *)probe->choice.method->functions)->shadows;
  if (shadows > MOST_SHADOWS) return cohort_fail(error, COHORT_BUG, "probe: a driver wants %d shadows", shadows);
  for (int s = 0; s < shadows; s++) state.shadow[s] = cohort_probe_memory(probe, bytes);
  const int64_t steps = cohort_probe_size_of(probe, "steps");
  if ((double)steps * (double)state.updater.elements > 4e9)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "command line: steps: the parameters after %lld steps are more than can be "
                       "written",
                       (long long)steps);
  cohort_probe_problem_create(probe, &state.updater, &state.problem);
  add_outputs(&state, steps);
  COHORT_TRY(take_steps(&state, steps, error));
  cohort_probe_updater_output_state(probe, &state.updater);
  return COHORT_DONE;
}

/* The `base` of a driver: an update that needs no more than the driver asks for. */
static cohort_status read_base(const cohort_probe_state *probe, cohort_choice *base, cohort_error *error) {
  const cohort_document *document = NULL;
  const cohort_method *driver = probe->choice.method;
  for (const cohort_parameter *p = driver->parameters; p->name; p++)
    if (strcmp(p->name, "base") == 0)
      memcpy(&document, (const char *)probe->choice.config + p->offset, sizeof document);
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(probe->variant, "optimizer", document, "optimizer.base", base, NULL, &faults);
  const cohort_status status = cohort_faults_status(&faults, error);
  cohort_faults_release(&faults);
  COHORT_TRY(status);
  const cohort_optimizer *functions = base->method->functions;
  if (!functions->update)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: base: %s is a driver too; %s wants an update",
                       base->method->key, driver->key);
  if (base->method->needs & COHORT_NEEDS_CURVATURE)
    return cohort_fail(error, COHORT_BAD_CONFIG, "command line: base: %s needs curvature, which %s does not ask for",
                       base->method->key, driver->key);
  for (int i = 0; i < probe->in.count && base->method->needs & COHORT_NEEDS_MATRICES; i++)
    if (cohort_probe_tensor_name(parameters, probe->in.items[i].name) && probe->in.items[i].axes < 2)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s has %d axes, expected at least 2, as %s serves matrices",
                         probe->request->input, probe->in.items[i].name, probe->in.items[i].axes, base->method->key);
  return COHORT_DONE;
}

static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  if (!((const cohort_optimizer *)probe->choice.method->functions)->drive)
    return run_with(probe, &probe->choice, error);
  cohort_choice base = {NULL, NULL};
  cohort_status status = read_base(probe, &base, error);
  if (status == COHORT_DONE) status = run_with(probe, &base, error);
  cohort_choice_release(&base);
  return status;
}

const cohort_probe_family cohort_probe_optimizer = {.name = "optimizer", .bind = bind_elements, .run = run};
