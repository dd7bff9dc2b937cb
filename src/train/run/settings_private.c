/* The section privacy of a config that is not federated. Costs nothing. */
#include <math.h>

#include "train/run/settings.h"

static const char *const accountants[] = {"rdp", "pld", NULL}; /* COHORT_ACCOUNTANT_... */

static const cohort_parameter budget_table[] = {
    COHORT_REAL_ABOVE(cohort_private_budget, epsilon, NULL, 0, "what may be spent; then the run ends"),
    COHORT_INTEGER_RANGE(cohort_private_budget, steps, NULL, 1, 1e12,
                         "for which it buys the noise, where the optimizer's is 0; as many as the run shall have",
                         .unit = "steps"),
    {.name = NULL},
};

const cohort_parameter cohort_private_table[] = {
    COHORT_REAL_RANGE(cohort_private_settings, delta, "1e-5", 0, true, 1, true, "with which epsilon may fail"),
    COHORT_CHOICE(cohort_private_settings, accountant, "rdp", accountants,
                  "what counts epsilon; pld is tighter and takes longer"),
    COHORT_SECTION(cohort_private_settings, budget, budget_settings, budget_table, "null",
                   "what may be spent: with noise 0 in the optimizer it sets the noise; it ends the run"),
    {.name = NULL},
};
