/* For strategies whose clients keep some tensors to themselves (a head of their own): which these are, and the row that
 * holds them. */
#ifndef COHORT_METHOD_FEDERATED_HEADS_H
#define COHORT_METHOD_FEDERATED_HEADS_H

#include <fnmatch.h>

#include "method/federated/federated.h"

/* The row. */
enum { COHORT_HEAD = COHORT_FEDERATED_VECTORS };
#define COHORT_HEAD_VECTOR                                                                                     \
  {                                                                                                            \
    "head", COHORT_SIDE_CLIENT, .layout = COHORT_LIKE_PERSONAL, .from_weights = true, .evaluated = true,       \
                                .meaning = "the client's own tensors: those that `tensors` or `names` selects" \
  }

/* What a strategy's config begins with, and the entries of its parameter table. */
typedef struct cohort_head_config {
  int64_t tensors;
  const char *names;
} cohort_head_config;
#define COHORT_HEAD_PARAMETERS                                                                                      \
  COHORT_INTEGER_RANGE(cohort_head_config, tensors, "2", 0, 1e6,                                                    \
                       "how many of the model's last tensors stay with their client, unless names is given: 2 are " \
                       "the last layer's matrix and bias; 0: none"),                                                \
      COHORT_TEXT(cohort_head_config, names, "null",                                                                \
                  "instead: tensors of this name stay with their client; * stands for anything (\"head*\")")

/* Which tensors these are: the strategy's `personal`. */
static inline bool cohort_head_has(const void *config, const cohort_parameter_tensor *tensor, int number, int tensors) {
  const cohort_head_config *own = config;
  return own->names ? fnmatch(own->names, tensor->name, 0) == 0 : number >= tensors - own->tensors;
}

/* Before its steps a client takes its own tensors up, and puts them back after them. */
static inline cohort_status cohort_head_take(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, COHORT_CLIENT_LOCAL, 1, COHORT_HEAD, 0, COHORT_HEAD);
  return COHORT_DONE;
}

static inline cohort_status cohort_head_leave(cohort_federated_client *client, cohort_error *error) {
  (void)error;
  client->call->combine(client, COHORT_HEAD, 1, COHORT_CLIENT_LOCAL, 0, COHORT_CLIENT_LOCAL);
  return COHORT_DONE;
}

#endif
