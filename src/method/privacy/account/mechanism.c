/* Tables of the sections that all mechanisms share. Cost nothing. */
#include "method/privacy/mechanism.h"

const cohort_parameter cohort_privacy_budget_table[] = {
    {COHORT_FIELD(cohort_privacy_budget, epsilon, COHORT_PARAMETER_REAL), .standard = "8", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true, .meaning = "that may be spent"},
    {COHORT_FIELD(cohort_privacy_budget, delta, COHORT_PARAMETER_REAL), .standard = "0", .minimum = 0, .maximum = 1,
     .maximum_open = true, .meaning = "with which epsilon may fail; 0: the mechanism's delta"},
    COHORT_INTEGER_RANGE(cohort_privacy_budget, rounds, "0", 0, 1e12,
                         "over which it is spent, when it sets the noise; 0: steps of the run", .unit = "rounds"),
    {.name = NULL},
};

const cohort_parameter cohort_privacy_adaptive_table[] = {
    COHORT_REAL_RANGE(cohort_privacy_adaptive, quantile, "0.5", 0, false, 1, false,
                      "share of clients whose changes are to stay under the bound"),
    COHORT_REAL_ATLEAST(cohort_privacy_adaptive, learning_rate, "0.2", 0,
                        "of the bound's geometric steps: it is multiplied by exp(-learning_rate (share - quantile))"),
    COHORT_REAL_ATLEAST(cohort_privacy_adaptive, count_noise, "0", 0,
                        "deviation of the noise on the count of clients under the bound; 0: a twentieth of the "
                        "clients of a round",
                        .unit = "clients"),
    {.name = NULL},
};
