/* Reading an optimizer's nest of drivers; for src/update alone. */
#ifndef COHORT_UPDATE_NEST_H
#define COHORT_UPDATE_NEST_H

#include "update/updater_state.h"

/* Fills updater->node and declares vectors; *base is the document of the innermost update, NULL where a stepper moves
 * the weights by itself. */
void cohort_update_read_nest(cohort_updater *updater, const cohort_document **base, cohort_faults *faults);

#endif
