/* The family schedule, and its probe: the factor at given steps. Costs a call a step. */
#include "method/schedule/schedule.h"

#include "method/family.h"

static const cohort_probe_array inputs[] = {
    {"step",
     COHORT_ARRAY_OF_INTEGER,
     {"n"},
     .whole = true,
     .constraint = "0 <= value",
     .meaning = "step numbers from 0"},
    {.name = NULL},
};

static const cohort_probe_array outputs[] = {
    {"value", COHORT_ARRAY_OF_REAL, {"n"}, .meaning = "factor on the learning rate at each step (float64)"},
    {.name = NULL},
};

static const cohort_probe_setting settings[] = {
    {"steps", "1000", "1", NULL, .meaning = "length of the run in steps"},
    {.name = NULL},
};

static const cohort_probe_symbol symbols[] = {
    {"n", 1, 10, NULL, .meaning = "how many steps are asked for"},
    {.name = NULL},
};

static cohort_status probe(const cohort_probe_call *call, cohort_error *error) {
  (void)error;
  const cohort_schedule *functions = call->method->functions;
  const double *step = call->input(call, "step");
  double *value = call->output(call, "value");
  const int64_t count = call->size(call, "n"), steps = call->setting(call, "steps");
  for (int64_t i = 0; i < count; i++) value[i] = functions->factor(call->config, (int64_t)step[i], steps);
  return COHORT_DONE;
}

const cohort_family cohort_family_schedule = {
    .name = "schedule",
    .summary = "a factor on the learning rate by step",
    .inputs = inputs,
    .outputs = outputs,
    .settings = settings,
    .symbols = symbols,
    .probe = probe,
};
