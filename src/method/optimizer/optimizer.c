/* The family optimizer: how `cohort probe` meets an update or a driver, and what its states are called. Invariant: what
 * a driver keeps goes by its key, as in a checkpoint. Tables alone; costs nothing. */
#include "method/optimizer/optimizer.h"

#include "method/family.h"

/* Whether recorded gradients can answer all that the method asks. */
static bool takes_recorded(const cohort_method *method) {
  const cohort_optimizer *functions = method->functions;
  return !cohort_optimizer_drives(functions) ||
         !(functions->wants & (COHORT_WANTS_LOSS | COHORT_WANTS_PRODUCT | COHORT_WANTS_CLIPPED));
}

/* Whether it needs a problem that answers. */
static bool asks(const cohort_method *method) { return !takes_recorded(method); }

static bool has_diagonal(const cohort_method *method) { return (method->needs & COHORT_NEEDS_HVP_DIAGONAL) != 0; }

/* Whether it may take a gradient at labels drawn from the model. */
static bool has_labels(const cohort_method *method) {
  const cohort_optimizer *functions = method->functions;
  return functions->hvp_diagonal_sampled || functions->wants & COHORT_WANTS_LABELS;
}

/* Whether it makes a gradient of losses along random directions. */
static bool has_directions(const cohort_method *method) {
  const cohort_optimizer *functions = method->functions;
  return functions->gradient && functions->wants & COHORT_WANTS_LOSS;
}

/* Whether it adds noise to clipped gradients. */
static bool has_noise(const cohort_method *method) {
  const cohort_optimizer *functions = method->functions;
  return (functions->wants & COHORT_WANTS_CLIPPED) != 0;
}

static const cohort_probe_array inputs[] = {
    {"parameters/<t>",
     COHORT_ARRAY_OF_REAL,
     {"shape"},
     .meaning = "start of the tensor <t>; one or more tensors of any names"},
    {"gradients/<t>",
     COHORT_ARRAY_OF_REAL,
     {"steps", "shape"},
     .when = takes_recorded,
     .either = "recorded",
     .meaning = "gradient of <t> at every step"},
    {"curvature/<t>",
     COHORT_ARRAY_OF_REAL,
     {"steps", "shape"},
     .when = has_diagonal,
     .either = "recorded",
     .meaning = "z * (H z) of <t> at every step"},
    {"losses",
     COHORT_ARRAY_OF_REAL,
     {"steps"},
     .optional = true,
     .when = takes_recorded,
     .either = "recorded",
     .meaning = "loss at every step, for methods that read it; zeros when not given"},
    {"problem/A",
     COHORT_ARRAY_OF_REAL,
     {"n", "n"},
     .either = "quadratic",
     .constraint = "symmetric",
     .meaning = "loss w'Aw/2 - b'w; w is the n elements of all tensors in the order of their names"},
    {"problem/b", COHORT_ARRAY_OF_REAL, {"n"}, .either = "quadratic", .meaning = "see problem/A"},
    {"problem/x",
     COHORT_ARRAY_OF_REAL,
     {"samples", "n"},
     .either = "logistic",
     .meaning = "logistic regression: loss mean over samples of log(1 + exp(-s w'x)), s = 2y - 1; w as in problem/A"},
    {"problem/y",
     COHORT_ARRAY_OF_INTEGER,
     {"samples"},
     .either = "logistic",
     .constraint = "0 <= value < 2",
     .meaning = "classes, see problem/x"},
    {"problem/batch",
     COHORT_ARRAY_OF_INTEGER,
     {"steps", "batch"},
     .optional = true,
     .either = "logistic",
     .constraint = "0 <= value < samples",
     .meaning = "rows of problem/x that are each step's batch; else all"},
    {"draws/z",
     COHORT_ARRAY_OF_REAL,
     {"steps", "n"},
     .optional = true,
     .when = has_diagonal,
     .constraint = "value = -1 or 1",
     .meaning = "the random signs of the curvature at every step, elements in the order of problem/A; else drawn"},
    {"draws/u",
     COHORT_ARRAY_OF_REAL,
     {"steps", "queries", "n"},
     .optional = true,
     .when = has_directions,
     .meaning = "the random directions of every step; else drawn"},
    {"draws/labels",
     COHORT_ARRAY_OF_INTEGER,
     {"steps", "labels"},
     .optional = true,
     .when = has_labels,
     .either = "logistic",
     .constraint = "0 <= value < 2",
     .meaning = "the labels that the model draws in every step for its batch, where they are asked for; else drawn"},
    {"draws/noise",
     COHORT_ARRAY_OF_REAL,
     {"steps", "n"},
     .optional = true,
     .when = has_noise,
     .meaning = "the standard normal noise of every step; else drawn"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"parameters/<t>", COHORT_ARRAY_OF_REAL, {"steps", "shape"}, .meaning = "the tensor after every step"},
    {"state/<slot>/<t>",
     COHORT_ARRAY_OF_REAL,
     {"shape"},
     .meaning = "every state <slot> of the method (of a driver: of its base) after the last step, with its own axes"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"steps", NULL, "1", asks, .meaning = "number of steps"},
    {"steps", "1", "1", takes_recorded, .meaning = "number of steps on a problem; recorded gradients have their own"},
    {"seed", "0", "0", NULL, .meaning = "of draws that are not given"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"steps", 1, 3, NULL, .meaning = "number of steps"},
    {"shape", 1, 4, takes_recorded,
     .meaning = "all axes of <t>, at most 6 of them, at least 2 for a method that needs matrices"},
    {"shape", 1, 4, asks, .meaning = "all axes of <t>, at most 6 of them"},
    {"n", 1, 4, NULL, .meaning = "number of elements of all tensors together"},
    {"samples", 1, 8, NULL, .meaning = "rows of the problem"},
    {"batch", 1, 4, NULL, .meaning = "rows of a step"},
    {"labels", 1, 4, has_labels, .meaning = "rows of a step, as in problem/batch"},
    {"queries", 1, 10, has_directions, .meaning = "directions of a step, as many as the parameter queries"},
    {.name = NULL},
};

static const char *const needs[] = {"curvature", "matrices", NULL};

static int least_axes(const cohort_method *method) { return method->needs & COHORT_NEEDS_MATRICES ? 2 : 1; }

/* A driver has vectors beside its states, and all of them go with its key. */
static bool state(const cohort_method *method, int index, cohort_described_state *out) {
  const cohort_optimizer *functions = method->functions;
  const bool drives = cohort_optimizer_drives(functions);
  const char *prefix = drives ? method->key : NULL;
  for (const cohort_state *s = method->states; s && s->name; s++, index--) {
    if (index > 0) continue;
    *out = (cohort_described_state){prefix,    s->name, s->owner, s->size != NULL, s->scratch, s->initial_parameter,
                                    s->meaning};
    return true;
  }
  for (const cohort_driver_vector *v = drives ? functions->vectors : NULL; v && v->name; v++, index--) {
    if (index > 0) continue;
    *out =
        (cohort_described_state){prefix, v->name, COHORT_OWNER_ELEMENT, v->count != NULL, !v->kept, NULL, v->meaning};
    return true;
  }
  return false;
}

const cohort_family cohort_family_optimizer = {
    .name = "optimizer",
    .summary = "an update of the parameters, or a driver over one",
    .needs = needs,
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .least_axes = least_axes,
    .state = state,
};
