/* The family asynchronous: its functions of the delay, and how `cohort probe` meets it. Costs a call an arrival. */
#include "method/asynchronous/asynchronous.h"

#include "method/federated/round_arrays.h"

const char *const cohort_staleness_names[] = {"constant", "polynomial", "hinge", NULL};

double cohort_staleness(int kind, double slope, double grace, int64_t delay) {
  if (kind == COHORT_STALENESS_POLYNOMIAL) return pow((double)delay + 1, -slope);
  if (kind == COHORT_STALENESS_HINGE && (double)delay > grace) return 1 / (slope * ((double)delay - grace) + 1);
  return 1;
}

static const cohort_probe_array inputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "the server's start"},
    COHORT_ROUND_QUADRATICS(),
    COHORT_ROUND_SAMPLES,
    COHORT_ROUND_STEPS(),
    COHORT_ROUND_PRESENT(),
    {"delay",
     COHORT_ARRAY_OF_INTEGER,
     {"rounds", "clients"},
     .constraint = "0 <= value",
     .meaning = "it began at the weights of so many steps ago, or at the first"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"rounds", "n"}, .meaning = "the server's parameters after every step"},
    {"weight", COHORT_ARRAY_OF_REAL, {"rounds", "clients"}, .meaning = "of each change; 0: it did not arrive"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"rounds", "1", "1", .meaning = "steps of the server"},
    {"local_steps", "1", "1", .meaning = "steps of a client, unless the array steps says"},
    {"client_learning_rate", "0.1", "0", .meaning = "of a client's gradient descent", .real = true},
    {"learning_rate", "1", "0", .meaning = "of the server", .real = true},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"rounds", 1, 3, NULL, .meaning = "steps of the server"},
    {"clients", 1, 4, NULL, .meaning = "clients"},
    {"n", 1, 6, NULL, .meaning = "parameters"},
    {.name = NULL},
};

const cohort_family cohort_family_asynchronous = {
    .name = "asynchronous",
    .noun = "asynchronous server",
    .summary = "a server that steps as changes arrive, whenever their clients began",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
};
