/* A complete stepper to start from: it takes the whole step, here by its base, and does what it likes before and after.
 * As it stands it keeps an average of the weights, which evaluation, generation and init_from take: average = decay
 * average + (1 - decay) w. A stepper may also ask for losses, products or gradients at other points, and may do without
 * a base (see optimizer.h, cohort_driver_functions). */
#include "method/optimizer/optimizer.h"

typedef struct own_config {
  double decay;
  const cohort_document *base;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_UNIT(own_config, decay, "0.99", "share of the last average that is kept"),
    COHORT_METHOD_OF(own_config, base, "adamw", "optimizer", "the optimizer whose weights are averaged"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"base=adamw", "adamw", ""},
    {.settings = NULL, .method = NULL},
};

enum { AVERAGE };
static const cohort_driver_vector vectors[] = {
    [AVERAGE] = {.name = "average", .kept = true, .from_weights = true, .meaning = "the average of the weights"},
    {.name = NULL},
};

/* *applied false: something was not finite and nothing has changed, so neither does the average. */
static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const own_config *config = driver->config;
  const int average = driver->first + AVERAGE;
  COHORT_TRY(driver->call->step(driver, applied, error));
  if (!*applied) return COHORT_DONE;
  driver->call->combine(driver, average, config->decay, average, 1 - config->decay, COHORT_VECTOR_WEIGHTS);
  return COHORT_DONE;
}

static const cohort_optimizer functions = {
    .drive = drive, .vectors = vectors, .evaluated = 1 + AVERAGE, .wants = COHORT_WANTS_GRADIENT};

static const cohort_method method = {
    .family = "optimizer",
    .key = COHORT_FILE_KEY,
    .summary = "any optimizer, evaluated at an average of its weights (a template)",
    .source = "the template of steppers",
    .formula = "the base steps w; average = decay average + (1 - decay) w",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

COHORT_METHOD_FILE(optimizer, COHORT_FILE) = {&method, NULL};
