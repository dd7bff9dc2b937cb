/* Attack and defence in the rounds of a run: malicious clients (method/attack/attack.h) and the robust join of changes
 * (method/robust/robust.h), as modules of a round (train/engine/round.h). Either may be there alone: an attack that
 * must see all honest changes joins them by their weights where there is no defence, with the bits of the plain sum.
 *
 *   module "attack": apply -> a malicious client's change      columns attack/clients
 *   module "robust": joiner (train/robust/robust.h)            columns robust/chosen, robust/distance
 *
 * Intended usage:
 *   cohort_robust_rounds_create(&options, &faults, &rounds, &error);    NULL: the config has neither
 *   modules += cohort_robust_rounds_modules(rounds, &module[modules]);
 *   cohort_robust_rounds_relabel(rounds, client)    in a client's step: what its classes become */
#ifndef COHORT_TRAIN_ROBUST_ROBUST_ROUNDS_H
#define COHORT_TRAIN_ROBUST_ROBUST_ROUNDS_H

#include "lane/source.h"
#include "method/registry.h"
#include "train/engine/round.h"

typedef struct cohort_robust_rounds_options {
  cohort_comm *comm;
  int threads; /* of this rank */
  cohort_variant variant;
  int64_t elements;                       /* of a change */
  const cohort_document *attack, *robust; /* null: none */
  const cohort_document *place;           /* of the section federated, for faults */
  cohort_document *expanded;              /* of it; may be NULL */
  const cohort_choice *strategy;          /* stays the caller's; its method is NULL when an optimizer is the strategy */
  cohort_random_key key;                  /* of the federation */
  int64_t population;                     /* clients that there are */
  int64_t present;                        /* that usually take part in a round */
  int64_t classes;                        /* that clients train for; 0: the task has none */
  bool hidden;                            /* noise hides the clients' changes (federated.privacy) */
  bool plan_only;                         /* sizes alone */
} cohort_robust_rounds_options;

typedef struct cohort_robust_rounds cohort_robust_rounds;

cohort_status cohort_robust_rounds_create(const cohort_robust_rounds_options *options, cohort_faults *faults,
                                          cohort_robust_rounds **out, cohort_error *error);

/* Fills out[2] and returns how many there are. The first one's `release` ends the rounds. */
int cohort_robust_rounds_modules(cohort_robust_rounds *rounds, cohort_round_module *out);

/* Not collective, in any thread: for a client that trains with wrong classes, else NULL. */
const cohort_relabel *cohort_robust_rounds_relabel(const cohort_robust_rounds *rounds, int64_t client);

#endif
