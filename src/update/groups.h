/* Groups: which update serves which tensor, with what factor and decay. A group takes the tensors that its role and
 * name select; the last one, the optimizer's own base, takes the rest. */
#ifndef COHORT_UPDATE_GROUPS_H
#define COHORT_UPDATE_GROUPS_H

#include "update/updater.h"

typedef struct cohort_update_group {
  cohort_choice choice;
  const cohort_optimizer *functions;
  double learning_rate, weight_decay; /* of the method's settings times the group's factor */
  bool decay;                         /* whether any of its tensors may decay */
  bool frozen;                        /* its tensors stay as they begin: a factor of 0, and no gradient */
  const char *role, *name;            /* selectors; NULL: any */
  int states, sums, passes;
} cohort_update_group;

typedef struct cohort_parameter_groups {
  int count;                  /* 0: a driver moves the weights itself */
  cohort_update_group *group; /* the last one takes what no other takes */
  int passes;                 /* the most of any */
  int *of_tensor;             /* [tensors] */
  cohort_cut *cut;            /* [tensors] */
  double *cost;               /* [tensors] */
  int64_t workspace;          /* elements that one update may want */
} cohort_parameter_groups;

/* Reads `base` (of the rest) and `groups`; with `base` NULL there are none. Expands the groups into plan->expanded and
 * marks the tensors of the space that they freeze. */
cohort_status cohort_parameter_groups_create(const cohort_updater_options *options, const cohort_document *base,
                                             cohort_parameter_groups *out, cohort_faults *faults, cohort_error *error);
void cohort_parameter_groups_release(cohort_parameter_groups *groups);
/* A list of groups as the expanded config holds it; owned by the caller. */
cohort_document *cohort_groups_expand(const cohort_document *groups, cohort_faults *faults);

/* What the groups' list accepts, for listings. */
extern const cohort_parameter cohort_group_table[];

#endif
