/* Samples that clients keep back from training, to be evaluated on. */
#ifndef COHORT_TRAIN_ENGINE_HELD_OUT_H
#define COHORT_TRAIN_ENGINE_HELD_OUT_H

#include "train/engine/population.h"

/* Of each client's samples `share` of them, rounded, are drawn and go to `held`, the others to `trained`: at least one
 * of two, never all. A function of (population, share, key). Both are released by the caller. */
void cohort_population_hold_out(const cohort_population *all, double share, cohort_random_key key,
                                cohort_population *trained, cohort_population *held);

#endif
