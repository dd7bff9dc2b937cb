/* Lookahead: a stepper that follows its base from afar. It keeps one vector, the slow weights, and costs two passes
 * over the weights every `interval` steps. */
#include "method/optimizer/optimizer.h"

typedef struct lookahead_config {
  int64_t interval;
  double alpha;
  const cohort_document *base;
} lookahead_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(lookahead_config, interval, "5", 1, 1e9, "steps of the base between two of the slow weights"),
    COHORT_REAL_RANGE(lookahead_config, alpha, "0.5", 0, true, 1, false,
                      "share of the way to the base's weights that the slow weights go"),
    COHORT_METHOD_OF(lookahead_config, base, "adamw", "optimizer", "the optimizer of the fast weights"),
    {.name = NULL},
};

static const cohort_identity identities[] = {
    {"alpha=1 base=sgd", "sgd", ""},
    {"alpha=1 base=adamw", "adamw", ""},
    {.settings = NULL, .method = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "slow", .kept = true, .from_weights = true, .meaning = "the slow weights"},
    {.name = NULL},
};

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const lookahead_config *config = driver->config;
  const int slow = driver->first;
  COHORT_TRY(driver->call->step(driver, applied, error));
  if (!*applied || driver->step % config->interval) return COHORT_DONE;
  driver->call->combine(driver, slow, 1 - config->alpha, slow, config->alpha, COHORT_VECTOR_WEIGHTS);
  driver->call->move(driver, slow, applied);
  return COHORT_DONE;
}

static const cohort_optimizer functions = {.drive = drive, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT};

static const cohort_method lookahead = {
    .family = "optimizer",
    .key = "lookahead",
    .summary = "any optimizer, whose weights are drawn back to a slow average every few steps",
    .title = "Lookahead Optimizer: k steps forward, 1 step back",
    .source = "Zhang, Lucas, Hinton and Ba, NeurIPS 2019, Algorithm 1",
    .formula = "every `interval` steps of the base: slow += alpha (w - slow); w = slow; the base's state stays",
    .config_size = sizeof(lookahead_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_lookahead[] = {&lookahead, NULL};
