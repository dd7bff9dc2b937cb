/* Clients of a probe whose losses are those of a perceptron on samples of their own: one hidden layer of relus, softmax
 * cross-entropy, the mean over a client's samples. For strategies that need tensors by name or a model's features. */
#ifndef COHORT_PROBE_FEDERATED_NETWORK_H
#define COHORT_PROBE_FEDERATED_NETWORK_H

#include "probe/engine.h"
#include "train/engine/clients.h"

enum { COHORT_NETWORK_TENSORS = 4 };

typedef struct cohort_probe_network cohort_probe_network;

/* Of the arrays problem/x, problem/y and the width of parameters; COHORT_BAD_DATA when that fits no hidden layer.
 * Destroy it also after a failure. */
cohort_status cohort_probe_network_create(cohort_probe_state *probe, cohort_probe_network **out, cohort_error *error);
void cohort_probe_network_destroy(cohort_probe_network *network); /* NULL is fine */
/* tensor[COHORT_NETWORK_TENSORS]: in the order in which they stand in parameters. Names stay the network's. */
void cohort_probe_network_tensors(const cohort_probe_network *network, cohort_probe_tensor *tensor);
/* Before it is asked: where tensors lie in vectors of the space. */
void cohort_probe_network_place(cohort_probe_network *network, const cohort_space *space);
/* The source of clients; `argument` is the network. Every batch is all samples. */
bool cohort_probe_network_ask(void *argument, const cohort_client_question *question, double *loss);

#endif
