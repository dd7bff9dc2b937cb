/* The family federated: how `cohort probe` meets a strategy, and what clients and server keep. Tables alone; costs
 * nothing. */
#include "method/federated/federated.h"

#include <string.h>

#include "method/federated/round_arrays.h"

/* Whether tensors by name, a model's features or inputs are needed; else a client's loss is quadratic. */
static bool takes_network(const cohort_method *method) {
  const cohort_federated *functions = method->functions;
  return functions->personal || functions->term || functions->move;
}

static bool takes_quadratics(const cohort_method *method) { return !takes_network(method); }

static bool is_kept(const cohort_federated_vector *vector) {
  return vector->side == COHORT_SIDE_CLIENT || vector->side == COHORT_SIDE_SERVER;
}

static bool keeps(const cohort_method *method) {
  bool any = false;
  const cohort_federated *functions = method->functions;
  for (const cohort_federated_vector *v = functions->vectors; v && v->name; v++) any = any || is_kept(v);
  return any;
}

/* Whether what clients leave can be clipped and hidden; strategies that have such parameters do it themselves. */
static bool may_hide(const cohort_method *method) {
  const cohort_federated *functions = method->functions;
  bool leaves = functions->weigh || takes_network(method);
  for (const cohort_federated_vector *v = functions->vectors; v && v->name; v++)
    leaves = leaves || v->side == COHORT_SIDE_UPLOAD;
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    leaves = leaves || strcmp(p->name, "clip") == 0 || strcmp(p->name, "noise") == 0;
  return !leaves;
}

/* Whether clients' changes are all that the server gets, by samples, and there is no more to a round. */
static bool takes_changes(const cohort_method *method) {
  const cohort_federated *functions = method->functions;
  return !functions->receive && !functions->serve && !functions->weigh && !functions->leave && !functions->uniform &&
         !takes_network(method) && !keeps(method);
}

static bool takes_momentum(const cohort_method *method) {
  return ((const cohort_federated *)method->functions)->steps != COHORT_STEPS_PLAIN;
}

static const cohort_probe_array inputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "the server's start"},
    {"deltas",
     COHORT_ARRAY_OF_REAL,
     {"rounds", "clients", "n"},
     .when = takes_changes,
     .either = "recorded",
     .meaning = "client's result minus the server's parameters"},
    COHORT_ROUND_QUADRATICS(.when = takes_quadratics, .either = "quadratic"),
    {"problem/x",
     COHORT_ARRAY_OF_REAL,
     {"clients", "rows", "features"},
     .when = takes_network,
     .meaning = "samples of each client"},
    {"problem/y",
     COHORT_ARRAY_OF_INTEGER,
     {"clients", "rows"},
     .when = takes_network,
     .constraint = "value < classes",
     .ignores = true,
     .meaning = "their classes, below 0: there is no such sample. A client's loss is the mean of the softmax "
                "cross-entropy of a network: logits = head.weight relu(layer0.weight x + layer0.bias) + head.bias; it "
                "takes steps of gradient descent on it. parameters are layer0.weight [hidden, features], layer0.bias, "
                "head.weight [classes, hidden] and head.bias, one after another, n = hidden (features + 1) + classes "
                "(hidden + 1)"},
    COHORT_ROUND_SAMPLES,
    COHORT_ROUND_STEPS(.when = takes_quadratics, .either = "quadratic"),
    COHORT_ROUND_STEPS(.when = takes_network),
    COHORT_ROUND_PRESENT(.when = takes_quadratics, .either = "quadratic"),
    COHORT_ROUND_PRESENT(.when = takes_network),
    {"delay",
     COHORT_ARRAY_OF_INTEGER,
     {"rounds", "clients"},
     .optional = true,
     .when = takes_quadratics,
     .either = "quadratic",
     .constraint = "0 <= value",
     .meaning = "the client begins at the weights of so many rounds ago, or at the first; else 0"},
    {"draws/noise",
     COHORT_ARRAY_OF_REAL,
     {"rounds", "n"},
     .optional = true,
     .when = may_hide,
     .either = "quadratic",
     .meaning = "normal numbers of deviation 1, instead of noise that is drawn"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"rounds", "n"}, .meaning = "the server's parameters after every round"},
    {"state/<slot>",
     COHORT_ARRAY_OF_REAL,
     {"shape"},
     .when = keeps,
     .meaning =
         "what the strategy keeps after the last round: [n] of the server, [clients, n] of the clients, or fewer "
         "numbers"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"rounds", "1", "1", .meaning = "rounds on a problem; recorded changes have their own"},
    {"local_steps", "1", "1", .meaning = "steps of a client in a round, unless the array steps says"},
    {"client_learning_rate", "0.1", "0", .meaning = "of a client's gradient descent", .real = true},
    {"classes", "2", "2", .when = takes_network, .meaning = "that the network tells apart"},
    {"client_momentum", "0", "0", .when = takes_momentum, .meaning = "of a client's gradient descent", .real = true},
    {"clip", "0", "0", .when = may_hide,
     .meaning =
         "largest norm of a client's change, as under privacy: {gaussian: {}}: changes weigh the same, and their "
         "sum is divided by `expected`; 0: no privacy",
     .real = true},
    {"noise", "0", "0", .when = may_hide,
     .meaning = "with clip: its multiplier of the noise on the sum; without: deviation of the noise on "
                "the joined change; 0: none, or with draws/noise 1",
     .real = true},
    {"expected", "0", "0", .when = may_hide, .meaning = "with clip: clients of a round on average; 0: all",
     .real = true},
    {"seed", "0", "0", .when = may_hide, .meaning = "with noise: of its draws"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"rounds", 1, 3, NULL, .meaning = "rounds"},
    {"clients", 1, 4, NULL, .meaning = "clients a round"},
    {"n", 1, 6, takes_quadratics, .meaning = "parameters"},
    {"n", 5, 12, takes_network, .meaning = "parameters of the network"},
    {"rows", 1, 5, takes_network, .meaning = "samples of a client at most"},
    {"features", 1, 2, takes_network, .meaning = "numbers of a sample"},
    {"classes", 2, 2, takes_network, .meaning = "classes"},
    {.name = NULL},
};

/* What a strategy keeps: of the server an element has one number, of the clients each has all; or so many numbers. */
static bool state(const cohort_method *method, int index, cohort_described_state *out) {
  const cohort_federated *functions = method->functions;
  for (const cohort_federated_vector *v = functions->vectors; v && v->name; v++) {
    if (!is_kept(v) || index-- > 0) continue;
    const cohort_owner server = v->layout == COHORT_LIKE_NUMBERS ? COHORT_OWNER_SPACE : COHORT_OWNER_ELEMENT;
    *out = (cohort_described_state){.name = v->name,
                                    .owner = v->side == COHORT_SIDE_CLIENT ? COHORT_OWNER_CLIENT : server,
                                    .sized = v->layout != COHORT_LIKE_WEIGHTS,
                                    .meaning = v->meaning};
    return true;
  }
  return false;
}

const cohort_family cohort_family_federated = {
    .name = "federated",
    .noun = "federated strategy",
    .summary = "a rule for clients and server of a federation",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .state = state,
};
