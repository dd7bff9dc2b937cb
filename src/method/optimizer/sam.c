#include <math.h>

#include "method/optimizer/optimizer.h"

typedef struct sam_config {
  double rho;
  const cohort_document *base;
} sam_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(sam_config, rho, COHORT_PARAMETER_REAL), .standard = "0.05", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true, .meaning = "radius of the ascent step, in the norm over all parameters", .sweep_low = 1e-2,
     .sweep_high = 0.5, .sweep_log = true},
    COHORT_METHOD_OF(sam_config, base, "sgd", "optimizer", "the update that takes the gradient at the ascended point"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"rho=0 base=sgd", "sgd", ""},
    {"rho=0 base=adamw", "adamw", ""},
    {.settings = NULL, .method = NULL},
};

static cohort_status drive(cohort_driver *driver, cohort_error *error) {
  const sam_config *config = driver->config;
  const double tiny = 1e-12; /* of the authors' code: no division by a zero norm */
  COHORT_TRY(driver->ask(driver, COHORT_VECTOR_WEIGHTS, COHORT_VECTOR_GRADIENT, error));
  const double norm = sqrt(driver->dot(driver, COHORT_VECTOR_GRADIENT, COHORT_VECTOR_GRADIENT));
  if (!isfinite(norm)) return cohort_fail(error, COHORT_DIVERGED, "sam: the gradient's norm is %g", norm);
  driver->combine(driver, COHORT_VECTOR_SHADOW, 1, COHORT_VECTOR_WEIGHTS, config->rho / (norm + tiny),
                  COHORT_VECTOR_GRADIENT);
  COHORT_TRY(driver->ask(driver, COHORT_VECTOR_SHADOW, COHORT_VECTOR_GRADIENT, error));
  return driver->update(driver, COHORT_VECTOR_GRADIENT, error);
}

static const cohort_optimizer functions = {.drive = drive, .asks = 2, .shadows = 1};

static const cohort_method sam = {
    .family = "optimizer",
    .key = "sam",
    .summary = "sharpness-aware: any base update with the gradient at the worst nearby point",
    .title = "Sharpness-Aware Minimization for Efficiently Improving Generalization",
    .source = "Foret, Kleiner, Mobahi and Neyshabur, ICLR 2021, Algorithm 1",
    .formula = "e = rho g(w) / (|g(w)| + 1e-12); base update of w with the gradient g(w + e)",
    .config_size = sizeof(sam_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_GRADIENT,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_sam[] = {&sam, NULL};
