/* A linear rise, then constant. */
#include "method/schedule/schedule.h"

typedef struct warmup_config {
  int64_t warmup;
} warmup_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(warmup_config, warmup, "100", 0, 1e15, "length of the linear rise; 0: none", .unit = "steps"),
    {.name = NULL},
};

static double factor(const void *config, int64_t step, int64_t steps) {
  const warmup_config *own = config;
  (void)steps;
  return step + 1 < own->warmup ? (double)(step + 1) / (double)own->warmup : 1;
}

static const cohort_schedule functions = {.factor = factor};

static const cohort_method warmup = {
    .family = "schedule",
    .key = "warmup",
    .summary = "a linear rise to the learning rate, then constant",
    .source = "folklore; Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2",
    .formula = "factor = min(1, (step + 1) / warmup), step from 0",
    .config_size = sizeof(warmup_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_schedule_warmup[] = {&warmup, NULL};
