/* The family federated: how `cohort probe` meets a strategy. Tables alone; costs nothing. */
#include "method/federated/federated.h"

#include "method/family.h"

static const cohort_probe_array inputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "the server's start"},
    {"deltas",
     COHORT_ARRAY_OF_REAL,
     {"rounds", "clients", "n"},
     .meaning = "client's result minus the server's parameters"},
    {"samples",
     COHORT_ARRAY_OF_INTEGER,
     {"rounds", "clients"},
     .constraint = "1 <= value",
     .whole = true,
     .meaning = "weight of each client; [clients] stands for every round"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"parameters", COHORT_ARRAY_OF_REAL, {"rounds", "n"}, .meaning = "the server's parameters after every round"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"rounds", 1, 3, NULL, "rounds"},
    {"clients", 1, 4, NULL, "clients a round"},
    {"n", 1, 6, NULL, "parameters"},
    {.name = NULL},
};

const cohort_family cohort_family_federated = {
    .name = "federated",
    .noun = "federated strategy",
    .summary = "a server's rule for the clients' changes",
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
};
