/* Warm-up, stable, decay (Hu et al., 2024). */
#include <math.h>

#include "method/schedule/schedule.h"

typedef struct wsd_config {
  int64_t warmup;
  double decay, floor;
  int shape;
} wsd_config;

enum { LINEAR, ROOT };
static const char *const shapes[] = {"linear", "root", NULL};

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(wsd_config, warmup, "0", 0, 1e15, "length of the linear rise before; 0: none",
                         .unit = "steps"),
    {COHORT_FIELD(wsd_config, decay, COHORT_PARAMETER_REAL), .standard = "0.2", .minimum = 0, .maximum = 1,
     .meaning = "share of all steps that the decay takes, at the end", .sweep_low = 0.05, .sweep_high = 0.5},
    COHORT_CHOICE(wsd_config, shape, "root", shapes, "form of the decay: linear 1 - p, root 1 - sqrt(p)"),
    COHORT_REAL_RANGE(wsd_config, floor, "0", 0, false, 1, false, "factor that the decay ends at"),
    {.name = NULL},
};

static double factor(const void *config, int64_t step, int64_t steps) {
  const wsd_config *own = config;
  if (step < own->warmup) return (double)(step + 1) / (double)own->warmup;
  const double length = rint(own->decay * (double)steps);
  const double passed = (double)step - ((double)steps - length);
  if (passed <= 0) return 1;
  const double progress = fmin(1, length > 0 ? passed / length : 1);
  return own->floor + (1 - own->floor) * (1 - (own->shape == LINEAR ? progress : sqrt(progress)));
}

static const cohort_schedule functions = {.factor = factor};

static const cohort_method wsd = {
    .family = "schedule",
    .key = "wsd",
    .summary = "warm-up, stable, decay: a linear rise, a plateau, and a fall at the end",
    .title = "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations",
    .source = "Hu et al., MiniCPM, 2024; Haegele et al., NeurIPS 2024, equation 1 and the form 1 - sqrt",
    .formula =
        "step < warmup: (step + 1) / warmup; step <= steps - d: 1, d = round(decay steps); "
        "then floor + (1 - floor) (1 - f(p)), p = min(1, (step - (steps - d)) / d), f(p) = p (linear) or "
        "sqrt(p) (root), step from 0",
    .config_size = sizeof(wsd_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_schedule_wsd[] = {&wsd, NULL};
