/* A complete transform to start from: it answers for the gradient and leaves the step to its base. As it stands the
 * gradient gains a pull to the weights at the start: g + strength (w - start). Every vector is laid out and sharded
 * like the weights, and a driver speaks of vectors by number alone; what is kept is saved and resumed by the engine. */
#include "method/optimizer/optimizer.h"

typedef struct own_config {
  double strength;
  const cohort_document *base;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ATLEAST(own_config, strength, "1e-3", 0, "of the pull; 0: the base alone"),
    COHORT_METHOD_OF(own_config, base, "sgd", "optimizer", "the update that takes the gradient"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"strength=0 base=adamw", "adamw", ""},
    {.settings = NULL, .method = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "start", .kept = true, .from_weights = true, .meaning = "the weights before the first step"},
    {.name = NULL},
};

/* The engine judges whether the answer is finite. Kept vectors and states may change in `commit` alone, which is called
 * when the step was applied; this transform has none that change. */
static cohort_status gradient(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                              cohort_error *error) {
  const own_config *config = driver->config;
  const int start = driver->first, out = question->gradient;
  COHORT_TRY(driver->call->ask(driver, question, answer, error));
  driver->call->combine(driver, out, 1, out, config->strength, question->point);
  driver->call->combine(driver, out, 1, out, -config->strength, start);
  return COHORT_DONE;
}

static const cohort_optimizer functions = {.gradient = gradient, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT};

static const cohort_method method = {
    .family = "optimizer",
    .key = COHORT_FILE_KEY,
    .summary = "any base, pulled to the weights at the start (a template)",
    .source = "the template of transforms",
    .formula = "g = gradient + strength (w - start); the base steps by g",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

COHORT_METHOD_FILE(optimizer, COHORT_FILE) = {&method, NULL};
