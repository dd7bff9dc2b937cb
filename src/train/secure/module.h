/* Secure aggregation as a module of a federation's rounds (train/engine/round.h): it is the joiner, so that the server
 * gets the sum of the changes alone. Columns: secure/bound, secure/clipped, secure/delivered (cohort_secure_report).
 *
 * A refused round: with `refused: stop` the run ends with a line; with skip the joined change is NAN, so that no
 * optimizer steps by it, and the module's refusal says why.
 *
 * Intended usage:
 *   cohort_secure_module_open(&options, most, &modules, module, &faults, &error);    module.release(module.argument)
 * ends it
 */
#ifndef COHORT_TRAIN_SECURE_MODULE_H
#define COHORT_TRAIN_SECURE_MODULE_H

#include "train/engine/federated.h"
#include "train/secure/secure.h"

/* Of a run's config: adds the module to those that there are, if federated.secure is given, for at most
 * `most` clients a round. With plan_only no memory is
 * taken, and no round runs. */
cohort_status cohort_secure_module_open(const cohort_federation_options *options, int64_t most, int *modules,
                                        cohort_round_module *module, cohort_faults *faults, cohort_error *error);

#endif
