/* The accountant by Renyi divergences. An account costs some hundred terms for each of 151 orders. */
#include "method/privacy/privacy.h"

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  (void)config;
  return cohort_rdp_epsilon(&cohort_law_gaussian, use, room);
}

static const cohort_privacy functions = {.epsilon = epsilon};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "Renyi accountant of the Gaussian mechanism under Poisson sampling",
    .title = "Renyi Differential Privacy of the Sampled Gaussian Mechanism",
    .source = "Mironov, Talwar and Zhang, 2019, section 3.3; conversion: Balle et al., AISTATS 2020, Theorem 21",
    .formula =
        "r(a) = log E[(1 - rate + rate exp((2 x - 1) / (2 noise^2)))^a] / (a - 1), x normal of deviation noise; "
        "epsilon = min over a of steps r(a) + log(1 - 1/a) - (log delta + log a) / (a - 1), "
        "a = 1.1 to 10.9 by 0.1, 12 to 63 by 1",
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
