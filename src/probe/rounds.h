/* Whole rounds of clients whose losses are quadratic, by the engine of clients that trains (train/engine/clients.h),
 * and the server's optimizer on recorded changes: what the probes of strategies and of asynchronous servers share.
 * Arrays as in method/federated/federated.c; with `delay` a client begins at the weights of so many rounds ago. */
#ifndef COHORT_PROBE_ROUNDS_H
#define COHORT_PROBE_ROUNDS_H

#include "probe/probe.h"

/* `asynchronous`, or NULL: gives the changes their weights, which become the output `weight` [rounds, clients]. */
cohort_status cohort_probe_rounds(cohort_probe_state *probe, const cohort_choice *strategy,
                                  const cohort_choice *asynchronous, cohort_error *error);
/* Weights given once stand for every round: `bind` of these probes. */
void cohort_probe_repeat_samples(cohort_probe_state *probe);

#endif
