/* The family's own part: what losses share, and how a lane's objective is made of a method's outputs. Invariant: an
 * empty place gives exactly 0 to the objective and to every sum over the batch, whatever finite loss it has. Costs
 * elementwise passes over the rows; a sum over the batch is an exchange of as many numbers as it has. */
#include "method/loss/loss.h"

#include <string.h>

#include "method/family.h"
#include "method/registry.h"

static cohort_value weighed(cohort_graph *graph, const cohort_loss_fields *fields, cohort_value x) {
  const bool columns = cohort_graph_shape(graph, x).axes == 2;
  const cohort_value weight =
      columns ? cohort_graph_reshape(graph, fields->weight, COHORT_SHAPE(fields->rows, 1)) : fields->weight;
  return cohort_graph_multiply(graph, x, weight);
}

cohort_value cohort_loss_batch_sum(cohort_graph *graph, const cohort_loss_fields *fields, cohort_value x) {
  const cohort_value part = weighed(graph, fields, x);
  const bool columns = cohort_graph_shape(graph, x).axes == 2;
  return cohort_graph_lane_sum(graph,
                               columns ? cohort_graph_sum(graph, part, 1u << 0) : cohort_graph_sum_all(graph, part));
}

cohort_value cohort_loss_positive(cohort_graph *graph, const cohort_loss_fields *fields) {
  const cohort_value difference = cohort_graph_subtract(graph, cohort_graph_slice(graph, fields->output, 1, 1, 1),
                                                        cohort_graph_slice(graph, fields->output, 1, 0, 1));
  return cohort_graph_unary(graph, COHORT_OP_SIGMOID,
                            cohort_graph_reshape(graph, difference, COHORT_SHAPE(fields->rows)));
}

cohort_value cohort_loss_is_positive(cohort_graph *graph, const cohort_loss_fields *fields) {
  return cohort_graph_less_equal(graph, cohort_graph_constant(graph, 1), cohort_graph_cast(graph, fields->target));
}

cohort_value cohort_loss_forward(cohort_graph *graph, const cohort_loss_fields *fields, cohort_value features) {
  return fields->model->forward(fields->model->argument, graph, features);
}

cohort_value cohort_loss_draw(cohort_graph *graph, const cohort_loss_fields *fields, const char *name,
                              cohort_shape shape) {
  return fields->model->draw(fields->model->argument, graph, name, shape);
}

cohort_value cohort_loss_random(cohort_graph *graph, const cohort_loss_fields *fields, cohort_op op, const char *name,
                                cohort_shape shape) {
  return fields->model->random(fields->model->argument, graph, op, name, shape);
}

/* Rows' weights, 0 where a class is ignored. */
static cohort_value scored(const cohort_method *method, cohort_graph *graph, const cohort_loss_fields *fields) {
  if (((const cohort_loss *)method->functions)->target != COHORT_TARGET_CLASS) return fields->weight;
  const cohort_value is_scored =
      cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), cohort_graph_cast(graph, fields->target));
  return cohort_graph_multiply(graph, fields->weight, is_scored);
}

cohort_value cohort_loss_sampled(const cohort_method *method, const void *config, cohort_graph *graph,
                                 const cohort_loss_fields *fields) {
  const cohort_loss *functions = method->functions;
  cohort_loss_fields drawn = *fields;
  drawn.target = functions->sample(config, graph, fields);
  const cohort_value rows = functions->build(config, graph, &drawn).loss;
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, scored(method, graph, fields)));
}

cohort_value cohort_loss_divergence(const cohort_method *method, const void *config, cohort_graph *graph,
                                    const cohort_loss_fields *fields, cohort_value before) {
  const cohort_loss *functions = method->functions;
  const cohort_value from = cohort_graph_stop_gradient(graph, before == COHORT_NO_VALUE ? fields->output : before);
  const cohort_value rows = functions->divergence(config, graph, fields->output, from);
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, scored(method, graph, fields)));
}

cohort_loss_fields cohort_loss_no_fields(int64_t rows) {
  cohort_loss_fields fields;
  memset(&fields, 0xff, sizeof fields); /* COHORT_NO_VALUE */
  fields.rows = rows;
  fields.training = true;
  fields.model = NULL;
  return fields;
}

cohort_value cohort_loss_rows(const cohort_method *method, const void *config, cohort_graph *graph, cohort_value output,
                              cohort_value target) {
  cohort_loss_fields fields = cohort_loss_no_fields(cohort_shape_rows(cohort_graph_shape(graph, output)));
  fields.output = output;
  fields.target = target;
  return ((const cohort_loss *)method->functions)->build(config, graph, &fields).loss;
}

int64_t cohort_loss_groups(const cohort_method *method, const void *config) {
  const cohort_choice choice = {method, (void *)(uintptr_t)config};
  return cohort_choice_integer(&choice, "groups", 1);
}

void cohort_loss_declare_states(const cohort_method *method, const void *config, cohort_graph *graph,
                                cohort_loss_fields *fields) {
  const cohort_choice choice = {method, (void *)(uintptr_t)config};
  for (int s = 0; method->states && method->states[s].name; s++) {
    double initial;
    const int64_t numbers = cohort_choice_state(&choice, &method->states[s], &initial);
    fields->state[s] = cohort_graph_state(graph, method->states[s].name, COHORT_SHAPE(numbers), initial);
  }
}

cohort_value cohort_loss_objective(const cohort_method *method, const void *config, cohort_graph *graph,
                                   const cohort_loss_fields *fields, cohort_loss_outputs *outputs) {
  const cohort_loss *functions = method->functions;
  const cohort_loss_outputs own = functions->build(config, graph, fields);
  for (int s = 0; fields->training && method->states && method->states[s].name; s++)
    cohort_graph_set_next(graph, fields->state[s], own.next[s]);
  if (outputs) *outputs = own;
  if (!(method->needs & COHORT_LOSS_BATCH))
    return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, own.loss, fields->weight));
  const cohort_value count = cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, fields->weight));
  const cohort_value is_first = cohort_graph_equal(graph, fields->lane, cohort_graph_constant(graph, 0));
  return cohort_graph_multiply(graph, cohort_graph_multiply(graph, own.loss, count), is_first);
}

/* What `cohort probe` takes and gives. */

static const cohort_loss *functions_of(const cohort_method *method) { return method->functions; }
static bool keeps(const cohort_method *method) { return method->states != NULL; }
static bool asks_model(const cohort_method *method) { return (method->needs & COHORT_LOSS_MODEL) != 0; }
static bool takes_outputs(const cohort_method *method) { return !asks_model(method) && !keeps(method); }
static bool takes_steps(const cohort_method *method) { return keeps(method); }
static bool takes_binary(const cohort_method *method) {
  return takes_outputs(method) && method->needs & COHORT_LOSS_BINARY;
}
static bool takes_classes(const cohort_method *method) {
  return takes_outputs(method) && functions_of(method)->target == COHORT_TARGET_CLASS && !takes_binary(method);
}
/* Whether the target is real, of the input's shape. */
static bool takes_reals(const cohort_method *method) {
  return takes_outputs(method) && functions_of(method)->target == COHORT_TARGET_REAL;
}
static bool takes_samples(const cohort_method *method) {
  return takes_outputs(method) && functions_of(method)->target == COHORT_TARGET_SAMPLE;
}
static bool takes_many(const cohort_method *method) { return takes_outputs(method) && !takes_binary(method); }
static bool takes_weights(const cohort_method *method) {
  return takes_outputs(method) && !(method->needs & COHORT_LOSS_COUPLED);
}
static bool takes_groups(const cohort_method *method) { return (method->needs & COHORT_LOSS_GROUPS) != 0; }
static bool has_parameters(const cohort_method *method) { return functions_of(method)->parameters != NULL; }
static bool gives_rows(const cohort_method *method) { return !keeps(method) && !(method->needs & COHORT_LOSS_BATCH); }
static bool gives_one(const cohort_method *method) { return !keeps(method); }

static const cohort_probe_array inputs[] = {
    {"input", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_classes, .meaning = "logits"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"R"},
     .when = takes_classes,
     .constraint = "0 <= value < C",
     .ignores = true,
     .meaning = "class of each row; a negative one is ignored and not counted"},
    {"input", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_binary, .meaning = "logits"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"R"},
     .when = takes_binary,
     .constraint = "0 <= value < 2",
     .ignores = true,
     .meaning = "class of each row; a negative one is ignored and not counted"},
    {"input", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_samples, .meaning = "embeddings"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"R"},
     .when = takes_samples,
     .constraint = "0 <= value",
     .meaning = "the sample of which a row is a view"},
    {"input", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_reals, .meaning = "predictions"},
    {"target", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_reals, .meaning = "values to predict"},
    {"input", COHORT_ARRAY_OF_REAL, {"steps", "R", "C"}, .when = takes_steps, .meaning = "logits of each step's batch"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"steps", "R"},
     .when = takes_steps,
     .constraint = "0 <= value < C",
     .ignores = true,
     .meaning = "class of each row; a negative one is ignored and not counted"},
    {"group",
     COHORT_ARRAY_OF_INTEGER,
     {"steps", "R"},
     .when = takes_groups,
     .constraint = "0 <= value < groups",
     .meaning = "group of each row"},
    {"counts",
     COHORT_ARRAY_OF_INTEGER,
     {"groups"},
     .when = takes_groups,
     .optional = true,
     .constraint = "1 <= value",
     .meaning = "training samples of each group; when not given 1"},
    {"features", COHORT_ARRAY_OF_REAL, {"R", "F"}, .when = asks_model, .meaning = "features of a linear model"},
    {"target",
     COHORT_ARRAY_OF_INTEGER,
     {"R"},
     .when = asks_model,
     .constraint = "0 <= value < C",
     .meaning = "class of each row"},
    {"parameters/weight", COHORT_ARRAY_OF_REAL, {"C", "F"}, .when = asks_model, .meaning = "the model's matrix"},
    {"parameters/bias", COHORT_ARRAY_OF_REAL, {"C"}, .when = asks_model, .meaning = "its bias"},
    {"draws/start", COHORT_ARRAY_OF_REAL, {"R", "F"}, .when = asks_model, .meaning = "what the loss draws, in [-1, 1]"},
    {"parameters/<t>",
     COHORT_ARRAY_OF_REAL,
     {"one"},
     .when = has_parameters,
     .meaning = "each of the loss's own parameters"},
    {"weight",
     COHORT_ARRAY_OF_REAL,
     {"R"},
     .when = takes_weights,
     .optional = true,
     .constraint = "0 <= value",
     .meaning = "factor on each row's loss"},
    {"direction",
     COHORT_ARRAY_OF_REAL,
     {"R", "C"},
     .when = takes_many,
     .optional = true,
     .meaning = "direction for the Hessian-vector product"},
    {"direction",
     COHORT_ARRAY_OF_REAL,
     {"R", "C"},
     .when = takes_binary,
     .optional = true,
     .meaning = "direction for the Hessian-vector product"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"loss",
     COHORT_ARRAY_OF_REAL,
     {NULL},
     .when = gives_one,
     .meaning = "weighted sum of the rows' losses over the number of rows that are not ignored, or the batch's one"},
    {"loss", COHORT_ARRAY_OF_REAL, {"steps"}, .when = takes_steps, .meaning = "loss at every step"},
    {"per_sample", COHORT_ARRAY_OF_REAL, {"R"}, .when = gives_rows, .meaning = "loss of each row, before its weight"},
    {"gradient", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_many, .meaning = "of loss with respect to input"},
    {"gradient", COHORT_ARRAY_OF_REAL, {"R", "C"}, .when = takes_binary, .meaning = "of loss with respect to input"},
    {"gradient",
     COHORT_ARRAY_OF_REAL,
     {"steps", "R", "C"},
     .when = takes_steps,
     .meaning = "of loss with respect to input"},
    {"gradients/weight",
     COHORT_ARRAY_OF_REAL,
     {"C", "F"},
     .when = asks_model,
     .meaning = "of loss with respect to the matrix"},
    {"gradients/bias", COHORT_ARRAY_OF_REAL, {"C"}, .when = asks_model, .meaning = "of loss with respect to the bias"},
    {"gradients/<t>",
     COHORT_ARRAY_OF_REAL,
     {"one"},
     .when = has_parameters,
     .meaning = "of loss, as it is, with respect to each of its own parameters"},
    {"state/weights",
     COHORT_ARRAY_OF_REAL,
     {"groups"},
     .when = takes_groups,
     .meaning = "weights of the groups after the last step"},
    {"hvp",
     COHORT_ARRAY_OF_REAL,
     {"R", "C"},
     .when = takes_many,
     .optional = true,
     .meaning = "Hessian of loss times direction, when one is given"},
    {"hvp",
     COHORT_ARRAY_OF_REAL,
     {"R", "C"},
     .when = takes_binary,
     .optional = true,
     .meaning = "Hessian of loss times direction, when one is given"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"steps", 1, 3, takes_steps, .meaning = "steps, one batch each"},
    {"R", 1, 6, NULL, .meaning = "rows"},
    {"F", 1, 4, asks_model, .meaning = "features of a row"},
    {"C", 1, 5, takes_reals, .meaning = "values a row"},
    {"C", 1, 5, takes_samples, .meaning = "numbers an embedding"},
    {"C", 2, 2, takes_binary, .meaning = "the two classes", .fixed = true},
    {"C", 2, 5, takes_classes, .meaning = "classes"},
    {"C", 2, 5, takes_steps, .meaning = "classes"},
    {"C", 2, 5, asks_model, .meaning = "classes"},
    {"one", 1, 1, has_parameters, .meaning = "a single number", .fixed = true},
    {"groups", 1, 2, takes_groups, .meaning = "groups of samples, as many as the parameter groups", .parameter = true},
    {.name = NULL},
};

static const char *tensor(const cohort_method *method, int index) {
  const cohort_loss_parameter *own = functions_of(method)->parameters;
  return own ? own[index].name : NULL;
}

static const char *const needs[] = {"groups", "model", "coupled", "batch", "binary", NULL};

const cohort_family cohort_family_loss = {
    .name = "loss",
    .summary = "a loss per sample, or one for the batch",
    .needs = needs,
    .tensor = tensor,
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};
