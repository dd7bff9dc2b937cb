/* FAL (Li, Song and Yang, 2022): federated averaging of clients that train against an adversary. Each of their batches
 * is moved, by projected gradient ascent of the loss within a box around each sample, before a step is taken on it. It
 * keeps nothing; a step costs a forward and a backward pass more for each iteration. */
#include "graph/gradient.h"
#include "method/federated/federated.h"

typedef struct fal_config {
  double learning_rate, radius, step;
  int64_t iterations;
} fal_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(fal_config),
    COHORT_REAL_ATLEAST(fal_config, radius, "0.1", 0, "how far the adversary may move each input; 0: fedavg",
                        .sweep_low = 1e-2, .sweep_high = 0.5, .sweep_log = true),
    COHORT_REAL_ATLEAST(fal_config, step, "0.025", 0, "how far one iteration moves an input"),
    COHORT_INTEGER_RANGE(fal_config, iterations, "10", 0, 100, "of the adversary"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"radius=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* Steps by the sign of the gradient, from the sample itself, cut to the box. */
static cohort_value move(const void *config, cohort_graph *graph, const cohort_federated_inputs *inputs) {
  const fal_config *own = config;
  if (own->radius <= 0) return inputs->input;
  const cohort_value low = cohort_graph_shift(graph, inputs->input, -own->radius),
                     high = cohort_graph_shift(graph, inputs->input, own->radius);
  cohort_value moved = inputs->input;
  for (int64_t i = 0; i < own->iterations; i++) {
    cohort_value gradient = COHORT_NO_VALUE;
    const cohort_value loss = inputs->loss(inputs, graph, moved);
    cohort_graph_gradient(graph, loss, COHORT_NO_VALUE, 1, &moved, &gradient);
    const cohort_value direction = cohort_graph_unary(graph, COHORT_OP_SIGN, gradient);
    moved = cohort_graph_add(graph, moved, cohort_graph_scale(graph, direction, own->step));
    moved =
        cohort_graph_binary(graph, COHORT_OP_MINIMUM, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, moved, low), high);
    moved = cohort_graph_stop_gradient(graph, moved);
  }
  return moved;
}

static const cohort_federated functions = {.move = move};

static const cohort_method fal = {
    .family = "federated",
    .key = "fal",
    .summary = "federated adversarial training: clients step on the worst inputs near their samples",
    .title = "Federated Adversarial Learning: A Framework with Convergence Analysis",
    .source = "Li, Song and Yang, 2022, with the box of projected gradient descent (Madry et al., 2018)",
    .formula =
        "x' = x, then iterations times x' += step sign(d loss / dx'), cut to radius around x; a client's steps follow "
        "the gradient at x'; D = sum_i n_i delta_i / sum_i n_i; w += learning_rate D",
    .config_size = sizeof(fal_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_fal[] = {&fal, NULL};
