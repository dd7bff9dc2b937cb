/* WAFL (Nguyen et al., 2022): federated averaging of clients that train on the worst distribution near theirs, in the
 * sense of Wasserstein: each sample is moved by gradient ascent of the loss minus what the way costs. It keeps nothing;
 * a step costs a forward and a backward pass more for each iteration. */
#include "graph/gradient.h"
#include "method/federated/federated.h"

typedef struct wafl_config {
  double learning_rate, gamma, rate;
  int64_t iterations;
} wafl_config;

static const cohort_parameter parameters[] = {
    COHORT_SERVER_LEARNING_RATE(wafl_config),
    COHORT_REAL_ATLEAST(wafl_config, gamma, "1", 0, "what a sample's squared way costs, halved", .sweep_low = 0.05,
                        .sweep_high = 10, .sweep_log = true),
    COHORT_REAL_ATLEAST(wafl_config, rate, "0.1", 0, "of the ascent; below 2 / gamma, or it does not settle",
                        .sweep_low = 1e-2, .sweep_high = 1, .sweep_log = true),
    COHORT_INTEGER_RANGE(wafl_config, iterations, "10", 0, 100, "of the ascent; 0: fedavg"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"iterations=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* Ascent of loss(z) - gamma/2 |z - x|^2, from the sample itself. */
static cohort_value move(const void *config, cohort_graph *graph, const cohort_federated_inputs *inputs) {
  const wafl_config *own = config;
  cohort_value moved = inputs->input;
  for (int64_t i = 0; i < own->iterations; i++) {
    cohort_value gradient = COHORT_NO_VALUE;
    const cohort_value loss = inputs->loss(inputs, graph, moved);
    cohort_graph_gradient(graph, loss, COHORT_NO_VALUE, 1, &moved, &gradient);
    const cohort_value way = cohort_graph_subtract(graph, moved, inputs->input);
    gradient = cohort_graph_subtract(graph, gradient, cohort_graph_scale(graph, way, own->gamma));
    moved = cohort_graph_add(graph, moved, cohort_graph_scale(graph, gradient, own->rate));
    moved = cohort_graph_stop_gradient(graph, moved);
  }
  return moved;
}

static const cohort_federated functions = {.move = move};

static const cohort_method wafl = {
    .family = "federated",
    .key = "wafl",
    .summary = "federated averaging on the worst distributions near the clients', by Wasserstein's distance",
    .title = "On the Generalization of Wasserstein Robust Federated Learning",
    .source = "Nguyen, Nguyen, Le, Dinh and Tran, 2022, and the authors' code (dual-grp/WAFL)",
    .formula =
        "z = x, then iterations times z += rate (d loss / dz - gamma (z - x)); a client's steps follow the gradient "
        "at z; D = sum_i n_i delta_i / sum_i n_i; w += learning_rate D",
    .config_size = sizeof(wafl_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_federated_wafl[] = {&wafl, NULL};
