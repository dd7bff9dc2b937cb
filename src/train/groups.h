/* Groups: which update serves which tensor, with what factor and decay, and where its state lies. */
#ifndef COHORT_TRAIN_GROUPS_H
#define COHORT_TRAIN_GROUPS_H

#include "method/optimizer/optimizer.h"
#include "train/player.h"

typedef struct cohort_group {
  cohort_choice choice;
  const cohort_optimizer *functions;
  double learning_rate, weight_decay; /* of the method's settings times the group's factor */
  bool decay;                         /* whether any of its tensors may decay */
  const char *role, *name;            /* selectors; NULL: any */
  int states;
} cohort_group;

typedef struct cohort_tensor_state {
  float *state[COHORT_MAX_STATES];
  bool per_element[COHORT_MAX_STATES];
} cohort_tensor_state;

typedef struct cohort_groups {
  int count;
  cohort_group *group;        /* the last one takes what no other takes */
  int *of_tensor;             /* [tensors] */
  cohort_tensor_state *state; /* [tensors] */
  cohort_cut *cut;            /* [tensors] */
  double *cost;               /* [tensors] */
  int64_t workspace;          /* elements that one update may want */
  int slots;
  cohort_slot *slot;
} cohort_groups;

/* Reads `optimizer` (of the rest) and `groups`; expands both into settings->expanded when `expand`. */
cohort_status cohort_groups_create(const cohort_player_plan *plan, const cohort_document *optimizer,
                                   const cohort_document *groups, cohort_document *expanded, cohort_groups *out,
                                   cohort_faults *faults, cohort_error *error);
/* After the shards are known: allocates the state vectors and their shards; `updates` marks the pieces whose state is
 * held here. */
cohort_status cohort_groups_allocate(const cohort_player_plan *plan, const cohort_shards *shards, const bool *updates,
                                     cohort_groups *groups, cohort_error *error);
void cohort_groups_release(cohort_groups *groups);

/* Whether a tensor of this role decays by default: matrices, kernels, embeddings and heads do; norms and biases do not.
 */
bool cohort_role_decays(cohort_role role);

#endif
