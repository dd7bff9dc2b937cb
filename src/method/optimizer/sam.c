/* SAM: a transform that asks for the gradient twice, at the point and at the worst point near it. It keeps nothing; a
 * step costs two gradients and two passes over a vector. */
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

static const cohort_driver_vector vectors[] = {
    {.name = "ascended", .asked = true, .meaning = "the worst nearby point"},
    {.name = NULL},
};

static cohort_status gradient(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                              cohort_error *error) {
  const sam_config *config = driver->config;
  const double tiny = 1e-12; /* of the authors' code: no division by a zero norm */
  const int ascended = driver->first, g = question->gradient;
  COHORT_TRY(driver->call->ask(driver, question, answer, error));
  double square;
  driver->call->dots(driver, 1, &g, &g, &square);
  if (!isfinite(square)) return COHORT_DONE; /* such a gradient is not stepped by */
  driver->call->combine(driver, ascended, 1, question->point, config->rho / (sqrt(square) + tiny), g);
  cohort_question second = *question;
  cohort_answer ignored;
  second.point = ascended;
  return driver->call->ask(driver, &second, &ignored, error);
}

static int64_t asks(const void *config) {
  (void)config;
  return 2;
}

static const cohort_optimizer functions = {
    .gradient = gradient, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT, .asks = asks};

static const cohort_method sam = {
    .family = "optimizer",
    .key = "sam",
    .summary = "sharpness-aware: any base update with the gradient at the worst nearby point",
    .title = "Sharpness-Aware Minimization for Efficiently Improving Generalization",
    .source = "Foret, Kleiner, Mobahi and Neyshabur, ICLR 2021, Algorithm 1",
    .formula = "e = rho g(w) / (|g(w)| + 1e-12); base update of w with the gradient g(w + e)",
    .config_size = sizeof(sam_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_sam[] = {&sam, NULL};
