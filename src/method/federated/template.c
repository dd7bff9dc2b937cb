/* A complete strategy to start from: copy this file to src/method/federated/NAME.c, build, and NAME is a method like
 * any other: in `cohort methods federated`, in `cohort probe federated NAME`, in configs, and under the contract tests.
 * As it stands the server steps by the clients' weighted mean change, with decay. */
#include <stdio.h>

#include "method/federated/federated.h"

typedef struct own_config {
  double learning_rate, weight_decay;
} own_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(own_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true, .meaning = "the server's step size", .sweep_low = 1e-2, .sweep_high = 1, .sweep_log = true},
    COHORT_REAL_ATLEAST(own_config, weight_decay, "0", 0, "decay of the server's weights, times the step size"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"weight_decay=0", "fedavg", ""},
    {.settings = NULL, .method = NULL},
};

/* The server is any optimizer; its gradient is minus the weighted mean of what the clients changed. */
static void settings(const void *config, char *out, size_t size) {
  const own_config *own = config;
  snprintf(out, size, "learning_rate=%.17g weight_decay=%.17g", own->learning_rate, own->weight_decay);
}

static const cohort_federated functions = {.server = "sgd", .settings = settings};

static const cohort_method method = {
    .family = "federated",
    .key = COHORT_FILE_KEY,
    .summary = "federated averaging with decay at the server (a template)",
    .source = "the template of the family federated",
    .formula = "D = sum_i n_i delta_i / sum_i n_i; w = (1 - learning_rate weight_decay) w + learning_rate D",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

COHORT_METHOD_FILE(federated, COHORT_FILE) = {&method, NULL};
