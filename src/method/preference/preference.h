/* Family preference: losses on pairs (prompt, chosen, rejected) as graphs over summed log-probabilities. */
#ifndef COHORT_METHOD_PREFERENCE_PREFERENCE_H
#define COHORT_METHOD_PREFERENCE_PREFERENCE_H

#include "graph/graph.h"
#include "method/method.h"

/* All [P]: sums over the completion's tokens of log p, and how many tokens (real, at least 1). The reference's are
 * constants for the gradient; COHORT_NO_VALUE when the method does not declare COHORT_NEEDS_REFERENCE. */
typedef struct cohort_preference_inputs {
  cohort_value policy_chosen, policy_rejected;
  cohort_value reference_chosen, reference_rejected;
  cohort_value length_chosen, length_rejected;
} cohort_preference_inputs;

typedef struct cohort_preference_outputs {
  cohort_value loss;                           /* [P] */
  cohort_value reward_chosen, reward_rejected; /* [P], as logged by TRL */
} cohort_preference_outputs;

typedef struct cohort_preference {
  cohort_preference_outputs (*build)(const void *config, cohort_graph *graph, const cohort_preference_inputs *inputs);
} cohort_preference;

#endif
