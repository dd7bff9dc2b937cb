#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "method/optimizer/optimizer.h"
#include "train/probe/probe.h"

static cohort_shape state_shape(const cohort_state *state, const cohort_probe_tensor *tensor) {
  const int64_t rows = tensor->shape.axes ? tensor->shape.size[0] : 1;
  switch (state->axis) {
    case COHORT_AXIS_ELEMENT:
      return tensor->shape;
    case COHORT_AXIS_ROW:
      return COHORT_SHAPE(rows);
    case COHORT_AXIS_COLUMN:
      return COHORT_SHAPE(tensor->elements / rows);
    case COHORT_AXIS_TENSOR:
      return COHORT_SHAPE(1);
  }
  return tensor->shape;
}

static void *create_state(cohort_probe_state *probe, const cohort_choice *choice, const cohort_state *state,
                          const cohort_probe_tensor *tensor) {
  const int64_t elements = cohort_shape_elements(state_shape(state, tensor));
  void *values = cohort_probe_memory(probe, (size_t)elements * cohort_probe_real_size(probe));
  if (state->initial_parameter) {
    const double value = cohort_choice_real(choice, state->initial_parameter, 0);
    for (int64_t e = 0; e < elements; e++) cohort_probe_set(probe, values, e, value);
  }
  return values;
}

void cohort_probe_updater_create(cohort_probe_state *probe, const cohort_choice *choice, int tensors,
                                 cohort_probe_tensor *tensor, cohort_probe_updater *out) {
  const cohort_method *method = choice->method;
  const cohort_optimizer *functions = method->functions;
  *out = (cohort_probe_updater){.choice = choice, .tensors = tensors, .tensor = tensor};
  int64_t workspace = 0;
  for (int t = 0; t < tensors; t++) {
    tensor[t].offset = out->elements;
    tensor[t].elements = cohort_shape_elements(tensor[t].shape);
    out->elements += (int64_t)cohort_round_up((size_t)tensor[t].elements, 16);
    const int64_t wanted = functions->workspace ? functions->workspace(tensor[t].shape) : 0;
    if (wanted > workspace) workspace = wanted;
  }
  while (method->states && method->states[out->states].name) out->states++;
  const size_t real = cohort_probe_real_size(probe);
  out->weights = cohort_probe_memory(probe, (size_t)out->elements * real);
  out->workspace = cohort_probe_memory(probe, (size_t)workspace * real);
  out->state = cohort_probe_memory(probe, (size_t)(tensors * out->states) * sizeof *out->state);
  for (int t = 0; t < tensors; t++)
    for (int s = 0; method->states && s < out->states; s++)
      out->state[t * out->states + s] = create_state(probe, choice, &method->states[s], &tensor[t]);
}

void cohort_probe_updater_step(const cohort_probe_state *probe, const cohort_probe_updater *updater, int64_t step,
                               const void *gradient, const void *curvature) {
  const cohort_optimizer *functions = updater->choice->method->functions;
  const cohort_team alone = {1};
  const size_t real = cohort_probe_real_size(probe);
  for (int t = 0; t < updater->tensors; t++) {
    const cohort_probe_tensor *tensor = &updater->tensor[t];
    const size_t at = (size_t)tensor->offset * real;
    cohort_update update = {.config = updater->choice->config,
                            .step = step,
                            .learning_rate = cohort_choice_real(updater->choice, "learning_rate", 0),
                            .weight_decay = cohort_choice_real(updater->choice, "weight_decay", 0),
                            .gradient_scale = 1,
                            .shape = tensor->shape,
                            .first = 0,
                            .elements = tensor->elements,
                            .parameters = (char *)updater->weights + at,
                            .gradient = (const char *)gradient + at,
                            .curvature = curvature ? (const char *)curvature + at : NULL,
                            .workspace = updater->workspace,
                            .kernels = probe->kernels,
                            .team = &alone};
    for (int s = 0; s < updater->states; s++) update.state[s] = updater->state[t * updater->states + s];
    functions->update(&update);
  }
}

void cohort_probe_updater_output_state(cohort_probe_state *probe, const cohort_probe_updater *updater) {
  for (int t = 0; t < updater->tensors; t++)
    for (int s = 0; s < updater->states; s++) {
      const cohort_state *state = &updater->choice->method->states[s];
      const cohort_shape shape = state_shape(state, &updater->tensor[t]);
      char *name = cohort_format_text("state/%s/%s", state->name, updater->tensor[t].name);
      memcpy(cohort_probe_output(probe, name, shape), updater->state[t * updater->states + s],
             (size_t)cohort_shape_elements(shape) * cohort_probe_real_size(probe));
      free(name);
    }
}
