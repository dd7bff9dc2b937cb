/* Probe of a schedule: its factor at given steps. */
#include "method/schedule/schedule.h"

#include "probe/probe.h"

/* Factors are float64, unless the steps are whole numbers written as float32. */
static cohort_status run(cohort_probe_state *probe, cohort_error *error) {
  (void)error;
  const cohort_schedule *functions = probe->choice.method->functions;
  const cohort_array *step = cohort_probe_input(probe, "step");
  const int64_t steps = cohort_probe_setting_value(probe, "steps");
  const bool single = probe->whole_type == COHORT_ARRAY_FLOAT32;
  const cohort_array_type type = single ? COHORT_ARRAY_FLOAT32 : COHORT_ARRAY_FLOAT64;
  void *value = cohort_arrays_add(&probe->out, "value", type, 1, step->size)->data;
  for (int64_t i = 0; i < step->size[0]; i++) {
    const double factor = functions->factor(probe->choice.config, (int64_t)cohort_array_get(step, i), steps);
    if (single)
      ((float *)value)[i] = (float)factor;
    else
      ((double *)value)[i] = factor;
  }
  return COHORT_DONE;
}

const cohort_probe_family cohort_probe_schedule = {.name = "schedule", .run = run};
