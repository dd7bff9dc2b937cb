/* Perceptron clients of a probe: the model mlp and the strategy's term of its features, built by the functions that
 * training uses, planned once, run for a client at a time. A question costs a pass over the client's samples. */
#include "probe/federated_network.h"

#include <string.h>

#include "graph/decompose.h"
#include "graph/executor.h"
#include "graph/gradient.h"
#include "method/federated/federated.h"
#include "method/model/model.h"

enum { SPACES = 1 + COHORT_MAX_FEATURE_POINTS };

struct cohort_probe_network {
  cohort_probe_state *probe;
  const cohort_array *x, *y;
  int64_t rows, features, classes, hidden;
  const cohort_federated *strategy;
  cohort_choice model;
  cohort_graph *graph;
  cohort_plan *plan;
  cohort_executor *executor;
  void **memory; /* by value */
  cohort_value loss, tensor[SPACES][COHORT_NETWORK_TENSORS], gradient[COHORT_NETWORK_TENSORS];
  cohort_parameter_tensor declared[COHORT_NETWORK_TENSORS];
  int64_t offset[COHORT_NETWORK_TENSORS];
  void *input, *inverse;
  int32_t *target;
  void *weight;
};

static void *bind(cohort_probe_network *own, cohort_value value, size_t bytes) {
  return own->memory[value] = cohort_probe_memory(own->probe, bytes);
}

/* n = hidden (features + 1) + classes (hidden + 1). */
static cohort_status find_sizes(cohort_probe_network *own, cohort_error *error) {
  cohort_probe_state *probe = own->probe;
  const int64_t n = cohort_probe_size_of(probe, "n");
  own->x = cohort_probe_input(probe, "problem/x");
  own->y = cohort_probe_input(probe, "problem/y");
  own->rows = own->x->size[1];
  own->features = own->x->size[2];
  own->classes = cohort_probe_size_of(probe, "classes");
  own->hidden = (n - own->classes) / (own->features + 1 + own->classes);
  if (own->hidden < 1 || own->hidden * (own->features + 1 + own->classes) + own->classes != n)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: array parameters has %lld numbers, which are no network of %lld features and %lld classes; "
                       "give hidden (features + 1) + classes (hidden + 1)",
                       probe->request->input, (long long)n, (long long)own->features, (long long)own->classes);
  return COHORT_DONE;
}

typedef struct network_inputs {
  cohort_value input, target, weight, positions, ids, inverse;
} network_inputs;

static network_inputs add_inputs(const cohort_probe_network *own) {
  cohort_graph *graph = own->graph;
  const cohort_shape rows = COHORT_SHAPE(own->rows);
  return (network_inputs){
      .input = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, COHORT_SHAPE(own->rows, own->features)),
      .target = cohort_graph_input(graph, "target", COHORT_TYPE_INTEGER, rows),
      .weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, rows),
      .positions = cohort_graph_input(graph, "positions", COHORT_TYPE_INTEGER, rows),
      .ids = cohort_graph_input(graph, "ids", COHORT_TYPE_INTEGER, rows),
      .inverse = cohort_graph_input(graph, "inverse_count", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE)};
}

static cohort_model_outputs build_model(const cohort_probe_network *own, const network_inputs *in, int space) {
  const cohort_model *functions = own->model.method->functions;
  const cohort_model_data data = {.axes = 1, .size = {own->features}, .outputs = own->classes};
  const cohort_model_inputs inputs = {.space = space,
                                      .training = true,
                                      .input = in->input,
                                      .weight = in->weight,
                                      .positions = in->positions,
                                      .ids = in->ids,
                                      .tokens = COHORT_NO_VALUE,
                                      .segments = COHORT_NO_VALUE};
  cohort_model_outputs outputs = functions->build(own->model.config, own->graph, &data, &inputs);
  /* cppcheck-suppress returnDanglingLifetime ; it keeps nothing of `data` */
  return outputs;
}

/* What a strategy that moves inputs asks. */
typedef struct asked_network {
  const cohort_probe_network *own;
  const network_inputs *in;
} asked_network;

static cohort_value loss_at(const cohort_federated_inputs *inputs, cohort_graph *graph, cohort_value input) {
  const asked_network *asked = inputs->implementation;
  network_inputs in = *asked->in;
  in.input = input;
  const cohort_model_outputs outputs = build_model(asked->own, &in, 0);
  return cohort_graph_sum_all(graph, cohort_graph_softmax_cross_entropy(graph, outputs.logits, in.target, 0));
}

/* The mean over real rows of the cross-entropy, at the inputs that the strategy moves, and of the strategy's term. */
static network_inputs build(cohort_probe_network *own) {
  cohort_graph *graph = own->graph = cohort_graph_create();
  const network_inputs in = add_inputs(own);
  network_inputs moved = in;
  const asked_network asked = {own, &in};
  const cohort_federated_inputs inputs = {in.input, loss_at, &asked};
  if (own->strategy->move) moved.input = own->strategy->move(own->probe->choice.config, graph, &inputs);
  const cohort_model_outputs outputs = build_model(own, &moved, 0);
  cohort_value rows = cohort_graph_softmax_cross_entropy(graph, outputs.logits, in.target, 0);
  cohort_value other[COHORT_MAX_FEATURE_POINTS];
  for (int k = 0; k < own->strategy->feature_points; k++)
    other[k] = cohort_graph_stop_gradient(graph, build_model(own, &in, 1 + k).embedding);
  if (own->strategy->term) {
    const cohort_value term = own->strategy->term(own->probe->choice.config, graph, outputs.embedding, other);
    rows = cohort_graph_add(graph, rows, cohort_graph_multiply(graph, term, in.weight));
  }
  own->loss = cohort_graph_multiply(graph, cohort_graph_sum_all(graph, rows), in.inverse);
  int count[SPACES] = {0};
  for (int t = 0; t < cohort_graph_parameters(graph); t++) {
    cohort_value value;
    const cohort_parameter_tensor *declared = cohort_graph_parameter_at(graph, t, &value);
    const int space = declared->space, at = count[space]++;
    if (at >= COHORT_NETWORK_TENSORS) continue;
    own->tensor[space][at] = value;
    if (space == 0) own->declared[at] = *declared;
  }
  cohort_graph_gradient(graph, own->loss, COHORT_NO_VALUE, COHORT_NETWORK_TENSORS, own->tensor[0], own->gradient);
  return in;
}

static cohort_status make_plan(cohort_probe_network *own, const network_inputs *in, cohort_error *error) {
  cohort_probe_state *probe = own->probe;
  const size_t real = cohort_probe_real_size(probe), rows = (size_t)own->rows;
  COHORT_TRY(cohort_graph_status(own->graph, error));
  cohort_plan_output output[1 + COHORT_NETWORK_TENSORS] = {{own->loss, false}};
  for (int t = 0; t < COHORT_NETWORK_TENSORS; t++) output[1 + t] = (cohort_plan_output){own->gradient[t], false};
  own->memory = cohort_probe_memory(probe, (size_t)cohort_graph_values(own->graph) * sizeof *own->memory);
  own->input = bind(own, in->input, rows * (size_t)own->features * real);
  own->target = bind(own, in->target, rows * sizeof(int32_t));
  own->weight = bind(own, in->weight, rows * real);
  own->inverse = bind(own, in->inverse, real);
  bind(own, in->positions, rows * sizeof(int32_t));
  bind(own, in->ids, rows * sizeof(int32_t));
  COHORT_TRY(cohort_plan_create(own->graph, probe->kernels, 1 + COHORT_NETWORK_TENSORS, output, &own->plan, error));
  return cohort_executor_create(cohort_plan_arena_bytes(own->plan), 1, 1, &own->executor, error);
}

cohort_status cohort_probe_network_create(cohort_probe_state *probe, cohort_probe_network **out, cohort_error *error) {
  cohort_probe_network *own = *out = cohort_probe_memory(probe, sizeof *own);
  own->probe = probe;
  own->strategy = probe->choice.method->functions;
  COHORT_TRY(find_sizes(own, error));
  const cohort_choice_number number[2] = {{"hidden", (double)own->hidden}, {"layers", 1}};
  COHORT_TRY(cohort_choice_make(probe->variant, "model", "mlp", 2, number, &own->model, error));
  const network_inputs in = build(own);
  return make_plan(own, &in, error);
}

void cohort_probe_network_destroy(cohort_probe_network *network) {
  if (!network) return;
  cohort_executor_destroy(network->executor);
  cohort_plan_destroy(network->plan);
  cohort_graph_destroy(network->graph);
  cohort_choice_release(&network->model);
}

void cohort_probe_network_tensors(const cohort_probe_network *network, cohort_probe_tensor *tensor) {
  for (int t = 0; t < COHORT_NETWORK_TENSORS; t++)
    tensor[t] = (cohort_probe_tensor){network->declared[t].name, network->declared[t].shape, network->declared[t].role};
}

void cohort_probe_network_place(cohort_probe_network *network, const cohort_space *space) {
  for (int t = 0; t < COHORT_NETWORK_TENSORS; t++) network->offset[t] = space->tensor[t].offset;
}

static void feed(const cohort_probe_network *own, int64_t client) {
  const cohort_probe_state *probe = own->probe;
  int64_t count = 0;
  for (int64_t r = 0; r < own->rows; r++) {
    own->target[r] = (int32_t)cohort_array_get(own->y, client * own->rows + r);
    count += own->target[r] >= 0;
    cohort_probe_set(probe, own->weight, r, own->target[r] >= 0);
  }
  for (int64_t i = 0; i < own->rows * own->features; i++)
    cohort_probe_set(probe, own->input, i, cohort_array_get(own->x, client * own->rows * own->features + i));
  cohort_probe_set(probe, own->inverse, 0, count ? 1 / (double)count : 0);
}

bool cohort_probe_network_ask(void *argument, const cohort_client_question *question, double *loss) {
  const cohort_probe_network *own = argument;
  const size_t real = cohort_probe_real_size(own->probe);
  feed(own, question->client);
  for (int s = 0; s <= own->strategy->feature_points; s++) {
    const char *point = s ? question->other[s - 1] : question->point;
    for (int t = 0; t < COHORT_NETWORK_TENSORS; t++)
      own->memory[own->tensor[s][t]] = (void *)(uintptr_t)(point + (size_t)own->offset[t] * real);
  }
  const cohort_bindings bindings = {.memory = own->memory, .random_key = cohort_random_key_from_seed(0)};
  cohort_executor_run(own->executor, own->plan, 0, 0, &bindings);
  *loss = cohort_probe_get(own->probe, cohort_executor_value(own->executor, own->plan, 0, own->loss, &bindings), 0);
  for (int t = 0; t < COHORT_NETWORK_TENSORS && question->gradient; t++)
    memcpy((char *)question->gradient + (size_t)own->offset[t] * real,
           cohort_executor_value(own->executor, own->plan, 0, own->gradient[t], &bindings),
           (size_t)cohort_shape_elements(own->declared[t].shape) * real);
  return true;
}
