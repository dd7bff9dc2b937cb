/* A complete schedule to start from: copy this file to src/method/schedule/NAME.c, build, and NAME is a method like any
 * other: in `cohort methods schedule`, in `cohort probe schedule NAME`, in configs, and under the contract tests. As it
 * stands the factor falls in a straight line from 1 to `final`. */
#include "method/schedule/schedule.h"

typedef struct own_config {
  double final;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_UNIT(own_config, final, "0", "factor that the line would reach behind the last step"),
    {.name = NULL},
};

/* A function of the step alone, defined also after the end and in a run without steps. */
static double factor(const void *config, int64_t step, int64_t steps) {
  const double final = ((const own_config *)config)->final;
  return step < steps ? 1 - (1 - final) * (double)step / (double)steps : final;
}

static const cohort_schedule functions = {.factor = factor};

static const cohort_method method = {
    .family = "schedule",
    .key = COHORT_FILE_KEY,
    .summary = "a straight line from 1 down (a template)",
    .source = "the template of the family schedule",
    .formula = "1 - (1 - final) step / steps",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(schedule, COHORT_FILE) = {&method, NULL};
