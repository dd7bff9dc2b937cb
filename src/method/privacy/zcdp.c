/* The accountant of zero-concentrated privacy. Costs a search in one number. */
#include "method/privacy/privacy.h"

typedef struct zcdp_config {
  int conversion;
} zcdp_config;

enum { LEAST, SIMPLE };
static const char *const conversions[] = {"least", "simple", NULL};

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(zcdp_config, conversion, "least", conversions,
                  "from rho to epsilon: the least over all orders, or simple: rho + 2 sqrt(rho log(1/delta))"),
    {.name = NULL},
};

static double epsilon(const void *config, const cohort_privacy_use *use, cohort_privacy_room *room) {
  (void)room;
  const zcdp_config *own = config;
  return cohort_zcdp_epsilon(use, own->conversion == SIMPLE);
}

static bool samples(const void *config) {
  (void)config;
  return false;
}

static const cohort_privacy functions = {.epsilon = epsilon, .samples = samples};

static const cohort_method method = {
    .family = "privacy",
    .key = COHORT_FILE_KEY,
    .summary = "zero-concentrated accountant of the Gaussian mechanism; sampling at any rate costs as much as rate 1",
    .title = "Concentrated Differential Privacy: Simplifications, Extensions, and Lower Bounds",
    .source =
        "Bun and Steinke, TCC 2016, Propositions 1.3 and 1.6; Canonne, Kamath and Steinke, NeurIPS 2020, "
        "Proposition 12",
    .formula =
        "rho = steps / (2 noise^2); epsilon = min over a > 1 of a rho + log(1 - 1/a) - (log delta + log a) / (a - 1)",
    .config_size = sizeof(zcdp_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(privacy, COHORT_FILE) = {&method, NULL};
