/* State of updates: slots (one per name, compact over the tensors that have it), where each tensor's part lies, and who
 * owns what. Sizes follow config and shape; every reader asks cohort_state_elements. */
#ifndef COHORT_UPDATE_STATE_H
#define COHORT_UPDATE_STATE_H

#include "update/groups.h"

/* A state of one tensor, or of a group's space. */
typedef struct cohort_state_place {
  char *values;  /* NULL when only planned */
  int64_t each;  /* numbers an owner has */
  size_t number; /* bytes of a number */
} cohort_state_place;

typedef struct cohort_update_state {
  int slots;
  cohort_slot *slot;
  cohort_state_place *tensor; /* [tensors][COHORT_MAX_STATES] */
  cohort_state_place *space;  /* [groups][COHORT_MAX_STATES]: of owner space */
} cohort_update_state;

/* Numbers that a state has in a tensor: owners times size. */
int64_t cohort_state_elements(const cohort_state *state, const void *config, cohort_shape shape);

/* Lays the slots out, deals and (unless plan->plan_only) allocates them. `updates` marks the pieces that are updated
 * here. COHORT_BUG for a state that its method's cut cannot have. */
cohort_status cohort_update_state_create(const cohort_updater_options *options, const cohort_parameter_groups *groups,
                                         const cohort_shards *shards, cohort_update_state *out, cohort_error *error);
void cohort_update_state_release(cohort_update_state *state);

/* Initial values of what is held here, of all but copies of the weights. `fresh` memory is zero: what begins at zero
 * stays untouched. */
void cohort_update_state_reset(const cohort_updater_options *options, const cohort_parameter_groups *groups,
                               const bool *updates, bool fresh, cohort_update_state *state);
/* And those, from the weights. */
void cohort_update_state_take_weights(const cohort_updater_options *options, const cohort_parameter_groups *groups,
                                      const bool *updates, cohort_update_state *state);

#endif
