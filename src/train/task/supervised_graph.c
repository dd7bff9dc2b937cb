/* The graph of a supervised lane: the model over all rows of the lane, the fields of the losses by name, their
 * objectives and the columns. Invariant: a row without a sample gives exactly 0. Costs the model's passes, once
 * whatever the number of losses; a loss that asks the model again adds its own. */
#include <stdio.h>

#include "method/federated/federated.h"
#include "train/task/supervised.h"

/* What the lane's inputs are. */
typedef struct lane_inputs {
  const cohort_task *task;
  cohort_model_inputs model;
  cohort_value first, target[COHORT_MAX_FURTHER], weight, sample, group, counts, lane;
} lane_inputs;

static cohort_value integers(cohort_graph *graph, const char *name, int64_t rows) {
  return cohort_graph_input(graph, name, COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
}

static cohort_value reals(cohort_graph *graph, const char *name, cohort_shape shape) {
  return cohort_graph_input(graph, name, COHORT_TYPE_REAL, shape);
}

static cohort_value target_input(cohort_graph *graph, const char *name, const cohort_supervised_target *target,
                                 int64_t rows) {
  return target->labels ? integers(graph, name, rows) : reals(graph, name, COHORT_SHAPE(rows, target->width));
}

/* The inputs in the order of cohort_supervised_input. */
static lane_inputs add_inputs(const cohort_task *task, cohort_graph *graph, int64_t rows, bool training) {
  const cohort_supervised *own = task->own;
  cohort_shape shape = {.axes = 1 + task->model_data.axes, .size = {rows}};
  for (int a = 0; a < task->model_data.axes; a++) shape.size[1 + a] = task->model_data.size[a];
  lane_inputs in = {.task = task, .model = {.training = training}};
  cohort_task_place_model(task, &in.model);
  char name[64];
  in.model.input = reals(graph, "input", shape);
  in.first = target_input(graph, "target", &own->first, rows);
  in.model.weight = in.weight = reals(graph, "weight", COHORT_SHAPE(rows));
  in.model.positions = integers(graph, "positions", rows);
  in.model.ids = integers(graph, "ids", rows);
  if (own->place[COHORT_SUPERVISED_SAMPLE] >= 0) in.sample = integers(graph, "sample", rows);
  if (own->group) in.group = integers(graph, "group", rows);
  if (own->group) in.counts = reals(graph, "counts", COHORT_SHAPE(own->groups));
  if (own->place[COHORT_SUPERVISED_LANE] >= 0) in.lane = reals(graph, "lane", COHORT_SCALAR_SHAPE);
  for (int c = 0; c < own->inputs; c++) {
    (void)snprintf(name, sizeof name, "input_%s", own->input[c]);
    in.model.further[c] = reals(graph, name, COHORT_SHAPE(rows, task->model_data.input[c].width));
  }
  for (int c = 0; c < own->targets; c++) {
    (void)snprintf(name, sizeof name, "target_%s", own->target[c].name);
    in.target[c] = target_input(graph, name, &own->target[c], rows);
  }
  return in;
}

static cohort_value head_of(const cohort_supervised *own, const cohort_model_outputs *outputs, int loss) {
  return own->head_of[loss] < 0 ? outputs->logits : outputs->further[own->head_of[loss]];
}

/* The model once more, for a loss. */
typedef struct asked_model {
  const lane_inputs *in;
  int loss;
} asked_model;

static cohort_value forward(void *argument, cohort_graph *graph, cohort_value features) {
  const asked_model *own = argument;
  const cohort_task *task = own->in->task;
  cohort_model_inputs inputs = own->in->model;
  inputs.input = features;
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &inputs);
  return head_of(task->own, &outputs, own->loss);
}

static cohort_value random_rows(void *argument, cohort_graph *graph, cohort_op op, const char *name,
                                cohort_shape shape) {
  const asked_model *own = argument;
  const cohort_model_inputs *inputs = &own->in->model;
  cohort_graph_enter(graph, "loss%d_%s", own->loss, name);
  const cohort_value rows = cohort_graph_random_rows(graph, op, inputs->ids, inputs->positions, shape);
  cohort_graph_leave(graph);
  return rows;
}

static cohort_value draw(void *argument, cohort_graph *graph, const char *name, cohort_shape shape) {
  const cohort_value uniform = random_rows(argument, graph, COHORT_OP_RANDOM_UNIFORM, name, shape);
  return cohort_graph_shift(graph, cohort_graph_scale(graph, uniform, 2), -1);
}

/* One-hot targets, so that a real-valued loss can be used on classes. */
static cohort_value one_hot(cohort_graph *graph, cohort_value target, int64_t rows, int64_t classes) {
  const cohort_value column = cohort_graph_reshape(graph, target, COHORT_SHAPE(rows, 1));
  return cohort_graph_equal(graph, column, cohort_graph_iota(graph, classes));
}

static cohort_value wanted(const lane_inputs *in, cohort_graph *graph, int loss, int64_t rows) {
  const cohort_supervised *own = in->task->own;
  const cohort_supervised_target *target = cohort_supervised_target_of(own, loss);
  const cohort_target kind = ((const cohort_loss *)in->task->loss[loss].method->functions)->target;
  if (kind == COHORT_TARGET_SAMPLE) return in->sample;
  const cohort_value value = own->target_of[loss] < 0 ? in->first : in->target[own->target_of[loss]];
  return kind == COHORT_TARGET_REAL && target->labels ? one_hot(graph, value, rows, target->width) : value;
}

/* The loss's own parameters: trained beside the model's, by a player of their own where the config names one. One that
 * ascends is seen by the optimizer with the other sign. */
static void add_parameters(const cohort_task *task, cohort_graph *graph, const cohort_loss *loss,
                           cohort_loss_fields *fields) {
  const int player = cohort_task_player(task, "loss");
  const int trained = task->settings->lora ? task->adapter.space : task->model_space;
  const int space = player < 0 ? trained : player;
  for (int i = 0; loss->parameters && loss->parameters[i].name; i++) {
    const cohort_loss_parameter *own = &loss->parameters[i];
    const cohort_value value = cohort_graph_parameter(graph, space, own->name, COHORT_SHAPE(1), COHORT_ROLE_SCALAR,
                                                      COHORT_INITIAL_NUMBER, own->initial);
    if (own->bounded) cohort_graph_bound(graph, value, own->minimum);
    const cohort_value number = cohort_graph_reshape(graph, value, COHORT_SCALAR_SHAPE);
    fields->parameter[i] = own->ascends ? cohort_graph_reverse_gradient(graph, number) : number;
  }
}

/* The fields that every loss may read. */
static cohort_loss_fields fields_of(const lane_inputs *in, cohort_graph *graph, const cohort_model_outputs *outputs,
                                    const cohort_loss_model *model, int loss, int64_t rows) {
  cohort_loss_fields fields = cohort_loss_no_fields(rows);
  fields.training = in->model.training;
  fields.output = head_of(in->task->own, outputs, loss);
  fields.target = wanted(in, graph, loss, rows);
  fields.weight = in->weight;
  fields.model = model;
  return fields;
}

static cohort_value objective(const lane_inputs *in, cohort_graph *graph, const cohort_model_outputs *outputs, int loss,
                              int64_t rows) {
  const cohort_choice *choice = &in->task->loss[loss];
  const cohort_method *method = choice->method;
  asked_model asked = {in, loss};
  const cohort_loss_model model = {&asked, forward, draw, random_rows};
  cohort_loss_fields fields = fields_of(in, graph, outputs, &model, loss, rows);
  if (method->needs & COHORT_LOSS_GROUPS) fields.group = in->group;
  if (method->needs & COHORT_LOSS_GROUPS) fields.counts = in->counts;
  if (method->needs & COHORT_LOSS_COUPLED) fields.lane = in->lane;
  if (method->needs & COHORT_LOSS_MODEL) fields.features = in->model.input;
  cohort_graph_enter(graph, loss ? "loss%d" : "loss", loss);
  cohort_loss_declare_states(method, choice->config, graph, &fields);
  add_parameters(in->task, graph, method->functions, &fields);
  cohort_graph_leave(graph);
  return cohort_loss_objective(method, choice->config, graph, &fields, NULL);
}

/* The loss at other inputs, for a strategy that moves them. */
static cohort_value loss_at(const cohort_federated_inputs *inputs, cohort_graph *graph, cohort_value input) {
  lane_inputs in = *(const lane_inputs *)inputs->implementation;
  const cohort_task *task = in.task;
  const cohort_model *model = task->model.method->functions;
  in.model.input = input;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &in.model);
  return objective(&in, graph, &outputs, 0, cohort_graph_shape(graph, input).size[0]);
}

static cohort_value moved_input(const lane_inputs *in, cohort_graph *graph) {
  const cohort_choice *mover = in->task->mover;
  if (!mover) return in->model.input;
  const cohort_federated_inputs inputs = {in->model.input, loss_at, in};
  return ((const cohort_federated *)mover->method->functions)->move(mover->config, graph, &inputs);
}

static cohort_value right(const lane_inputs *in, cohort_graph *graph, const cohort_model_outputs *outputs, int loss) {
  const cohort_supervised *own = in->task->own;
  const cohort_value target = own->target_of[loss] < 0 ? in->first : in->target[own->target_of[loss]];
  const cohort_value equal = cohort_graph_equal(graph, cohort_graph_argmax(graph, head_of(own, outputs, loss)), target);
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, equal, in->weight));
}

cohort_lane_outputs cohort_supervised_graph(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                            bool training) {
  const cohort_supervised *own = task->own;
  const int64_t rows = capacity * own->views;
  lane_inputs in = add_inputs(task, graph, rows, training);
  in.model.input = moved_input(&in, graph);
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &in.model);
  cohort_lane_outputs out = {.objectives = task->objectives, .row = COHORT_NO_VALUE};
  for (int i = 0; i < task->objectives; i++) out.objective[i] = objective(&in, graph, &outputs, i, rows);
  out.has_logits = own->first.labels != NULL;
  out.logits = outputs.logits;
  out.has_embedding = outputs.embedding != COHORT_NO_VALUE;
  out.embedding = outputs.embedding;
  out.weight = in.weight;
  for (int m = 0; m < task->metrics; m++) out.metric[out.metrics++] = right(&in, graph, &outputs, own->accuracy_of[m]);
  return out;
}

/* The distribution is that of the model as it is evaluated, without dropout, but for labels, which stand where the
 * step's own targets do. */
cohort_lane_outputs cohort_supervised_subject(const cohort_task *task, cohort_graph *graph, int64_t capacity,
                                              cohort_lane_subject subject, const cohort_task *before) {
  const cohort_supervised *own = task->own;
  const int64_t rows = capacity * own->views;
  const lane_inputs in = add_inputs(task, graph, rows, subject == COHORT_LANE_LABELS);
  const cohort_model *model = task->model.method->functions;
  const cohort_model_outputs outputs = model->build(task->model.config, graph, &task->model_data, &in.model);
  cohort_model_outputs from = outputs;
  cohort_model_inputs inputs = in.model;
  if (subject == COHORT_LANE_DIVERGENCE) {
    cohort_task_place_model(before, &inputs);
    cohort_graph_enter_space(graph, "before");
    from = model->build(task->model.config, graph, &task->model_data, &inputs);
    cohort_graph_leave(graph);
  }
  cohort_lane_outputs out = {.objectives = task->objectives, .row = COHORT_NO_VALUE};
  for (int i = 0; i < task->objectives; i++) {
    asked_model asked = {&in, i};
    const cohort_loss_model asks = {&asked, forward, draw, random_rows};
    const cohort_loss_fields fields = fields_of(&in, graph, &outputs, &asks, i, rows);
    const cohort_value other = subject == COHORT_LANE_DIVERGENCE ? head_of(own, &from, i) : COHORT_NO_VALUE;
    out.objective[i] = cohort_task_subject(&task->loss[i], graph, subject, &fields, other);
  }
  return out;
}
