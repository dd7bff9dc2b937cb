/* A method of the tests: a transform that takes the gradient of one objective alone, whatever the aggregator says. */
#include "method/optimizer/optimizer.h"

typedef struct own_config {
  int64_t objective;
  const cohort_document *base;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(own_config, objective, "1", 1, 16, "number of the objective, from 1"),
    COHORT_METHOD_OF(own_config, base, "sgd", "optimizer", "the update that takes its gradient"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"objective=1 base=sgd", "sgd", ""}, /* where it is the only one */
    {.settings = NULL, .method = NULL},
};

static cohort_status gradient(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                              cohort_error *error) {
  cohort_question alone = *question;
  alone.objective = (int)((const own_config *)driver->config)->objective;
  return driver->call->ask(driver, &alone, answer, error);
}

static const cohort_optimizer functions = {.gradient = gradient, .wants = COHORT_WANTS_GRADIENT | COHORT_WANTS_EACH};

static const cohort_method method = {
    .family = "optimizer",
    .key = COHORT_FILE_KEY,
    .summary = "the gradient of one objective alone, for any base",
    .source = "folklore",
    .formula = "g = gradient of L_objective; the base takes g",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .identities = identities,
    .functions = &functions,
};

COHORT_METHOD_FILE(optimizer, COHORT_FILE) = {&method, NULL};
