/* A linear rise, then half a cosine down to a floor (Loshchilov and Hutter, 2017). */
#include <math.h>

#include "method/schedule/schedule.h"

typedef struct cosine_config {
  int64_t warmup;
  double floor;
} cosine_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(cosine_config, warmup, "0", 0, 1e15, "length of the linear rise before; 0: none",
                         .unit = "steps"),
    COHORT_REAL_RANGE(cosine_config, floor, "0", 0, false, 1, false, "factor that the decay ends at"),
    {.name = NULL},
};

static double factor(const void *config, int64_t step, int64_t steps) {
  const cosine_config *own = config;
  if (step < own->warmup) return (double)(step + 1) / (double)own->warmup;
  const double length = steps > own->warmup ? (double)(steps - own->warmup) : 1;
  const double progress = fmin(1, (double)(step - own->warmup) / length);
  return own->floor + (1 - own->floor) * 0.5 * (1 + cos(3.14159265358979323846 * progress));
}

static const cohort_schedule functions = {.factor = factor};

static const cohort_method cosine = {
    .family = "schedule",
    .key = "cosine",
    .summary = "a linear rise, then half a cosine down to a floor",
    .title = "SGDR: Stochastic Gradient Descent with Warm Restarts",
    .source = "Loshchilov and Hutter, ICLR 2017, equation 5, without restarts",
    .formula =
        "step < warmup: (step + 1) / warmup; then floor + (1 - floor) (1 + cos(pi p)) / 2, "
        "p = min(1, (step - warmup) / (steps - warmup)), step from 0",
    .config_size = sizeof(cosine_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_schedule_cosine[] = {&cosine, NULL};
