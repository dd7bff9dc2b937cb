/* A factor that stays 1. */
#include "method/schedule/schedule.h"

static double factor(const void *config, int64_t step, int64_t steps) {
  (void)config;
  (void)step;
  (void)steps;
  return 1;
}

static const cohort_schedule functions = {.factor = factor};

static const cohort_method constant = {
    .family = "schedule",
    .key = "constant",
    .summary = "the learning rate as given, at every step",
    .source = "folklore",
    .formula = "factor = 1",
    .functions = &functions,
};

const cohort_method *const cohort_schedule_constant[] = {&constant, NULL};
