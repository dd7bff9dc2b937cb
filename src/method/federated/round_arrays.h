/* Rows of a family's table of arrays for `cohort probe` that describe rounds of clients: those of the families
 * federated and asynchronous. What stands in the parentheses is added to each row: whom it is for (when, either). */
#ifndef COHORT_METHOD_FEDERATED_ROUND_ARRAYS_H
#define COHORT_METHOD_FEDERATED_ROUND_ARRAYS_H

#include "method/family.h"

#define COHORT_ROUND_QUADRATICS(...)                                                                                  \
  {"problem/A",                                                                                                       \
   COHORT_ARRAY_OF_REAL,                                                                                              \
   {"clients", "n", "n"},                                                                                             \
   .meaning = "a client's loss is w'Aw/2 - b'w + c; it takes steps of gradient descent on it",                        \
   __VA_ARGS__},                                                                                                      \
      {"problem/b", COHORT_ARRAY_OF_REAL, {"clients", "n"}, .meaning = "see problem/A", __VA_ARGS__}, {               \
    "problem/c", COHORT_ARRAY_OF_REAL, {"clients"}, .optional = true, .meaning = "see problem/A; else 0", __VA_ARGS__ \
  }

#define COHORT_ROUND_SAMPLES                                                 \
  {                                                                          \
    "samples", COHORT_ARRAY_OF_INTEGER, {"rounds", "clients"},               \
        .constraint = "1 <= value", .whole = true,                           \
        .meaning = "weight of each client; [clients] stands for every round" \
  }

#define COHORT_ROUND_STEPS(...)                                                                                  \
  {                                                                                                              \
    "steps", COHORT_ARRAY_OF_INTEGER, {"rounds", "clients"},                                                     \
        .optional = true, .constraint = "1 <= value", .meaning = "local steps of each client; else local_steps", \
        __VA_ARGS__                                                                                              \
  }

#define COHORT_ROUND_PRESENT(...)                                                           \
  {                                                                                         \
    "present", COHORT_ARRAY_OF_INTEGER, {"rounds", "clients"},                              \
        .optional = true, .constraint = "0 <= value < 2",                                   \
        .meaning = "1: the client's change is part of the round; else all are", __VA_ARGS__ \
  }

#endif
