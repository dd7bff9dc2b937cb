/* Family schedule: a factor on the learning rate, a function of the step. */
#ifndef COHORT_METHOD_SCHEDULE_SCHEDULE_H
#define COHORT_METHOD_SCHEDULE_SCHEDULE_H

#include "method/method.h"

typedef struct cohort_schedule {
  /* Factor, from 0 to 1, for step number `step` (from 0, the first) of `steps`; defined behind the end too, and where
   * `steps` is 0. */
  double (*factor)(const void *config, int64_t step, int64_t steps);
} cohort_schedule;

#endif
