/* The family asynchronous: its functions of the delay, and how `cohort probe` meets it. Costs a call an arrival. */
#include "method/asynchronous/asynchronous.h"

#include "method/family.h"

const char *const cohort_staleness_names[] = {"constant", "polynomial", "hinge", NULL};

double cohort_staleness(int kind, double slope, double grace, int64_t delay) {
  if (kind == COHORT_STALENESS_POLYNOMIAL) return pow((double)delay + 1, -slope);
  if (kind == COHORT_STALENESS_HINGE && (double)delay > grace) return 1 / (slope * ((double)delay - grace) + 1);
  return 1;
}

static const cohort_probe_array inputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "the server's start"},
    {"problem/A",
     COHORT_ARRAY_OF_REAL,
     {"clients", "n", "n"},
     .meaning = "a client's loss is w'Aw/2 - b'w + c; it takes steps of gradient descent on it"},
    {"problem/b", COHORT_ARRAY_OF_REAL, {"clients", "n"}, .meaning = "see problem/A"},
    {"problem/c", COHORT_ARRAY_OF_REAL, {"clients"}, .optional = true, .meaning = "see problem/A; else 0"},
    {"samples",
     COHORT_ARRAY_OF_INTEGER,
     {"rounds", "clients"},
     .constraint = "1 <= value",
     .whole = true,
     .meaning = "weight of each client; [clients] stands for every round"},
    {"steps",
     COHORT_ARRAY_OF_INTEGER,
     {"rounds", "clients"},
     .optional = true,
     .constraint = "1 <= value",
     .meaning = "local steps of each client; else local_steps"},
    {"present",
     COHORT_ARRAY_OF_INTEGER,
     {"rounds", "clients"},
     .optional = true,
     .constraint = "0 <= value < 2",
     .meaning = "1: the client's change arrives for this step of the server; else all do"},
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
