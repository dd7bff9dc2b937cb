#include "method/schedule/schedule.h"

#include "train/probe/probe.h"

/* Factors are float64: there is no real input to take a type from. */
static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  (void)error;
  const cohort_schedule *functions = probe->choice.method->functions;
  const cohort_array *step = cohort_probe_input(probe, "step");
  const int64_t steps = cohort_probe_setting_value(probe, "steps");
  double *value = cohort_arrays_add(&probe->out, "value", COHORT_ARRAY_FLOAT64, 1, step->size)->data;
  for (int64_t i = 0; i < step->size[0]; i++)
    value[i] = functions->factor(probe->choice.config, (int64_t)cohort_array_get(step, i), steps);
  return COHORT_DONE;
}

const cohort_probe_family cohort_probe_schedule = {.name = "schedule", .run = run};
