/* Zeroth-order gradients: a transform that makes a gradient of losses alone, along random directions or coordinate by
 * coordinate. Nothing is kept; a step costs a forward pass a query and one more. */
#include "method/optimizer/normalise_real.h"

typedef struct deepzero_config {
  int estimator;
  int64_t queries;
  double radius;
  const cohort_document *base;
} deepzero_config;

enum { RGE, CGE };
static const char *const estimators[] = {"rge", "cge", NULL};

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(deepzero_config, estimator, "rge", estimators,
                  "rge: differences along random directions; cge: along every coordinate, for small models"),
    COHORT_INTEGER_RANGE(deepzero_config, queries, "10", 1, 1e6, "random directions a step"),
    COHORT_REAL_ABOVE(deepzero_config, radius, "5e-3", 0, "length of a difference"),
    COHORT_METHOD_OF(deepzero_config, base, "sgd", "optimizer", "the update that takes the estimate"),
    {.name = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "direction", .meaning = "of the query"},
    {.name = "tried", .asked = true, .meaning = "the weights that are asked about"},
    {.name = NULL},
};

/* Each tensor's part of a direction is divided by its own norm. */
static void normalise_range(const cohort_update *u) { cohort_normalise_range(u, 0); }
static const cohort_optimizer normalise = {.update = normalise_range, .passes = 2, .sums = cohort_normalise_sums};
static const cohort_optimizer *const programs[] = {&normalise, NULL};

/* Adds what the loss changes along direction number `query`. */
static cohort_status add_query(cohort_driver *driver, const cohort_question *question, int64_t query, double start,
                               double share, cohort_error *error) {
  const deepzero_config *config = driver->config;
  const int direction = driver->first, tried = direction + 1, out = question->gradient;
  const cohort_question there = cohort_ask_loss(tried);
  cohort_answer answer;
  if (config->estimator == RGE) {
    driver->call->fill(driver, COHORT_FILL_NORMAL, direction, "u", (double)query);
    driver->call->run(driver, 0, 1, &direction, NULL);
  } else {
    driver->call->fill(driver, COHORT_FILL_UNIT, direction, NULL, (double)query);
  }
  driver->call->combine(driver, tried, 1, question->point, config->radius, direction);
  COHORT_TRY(driver->call->ask(driver, &there, &answer, error));
  driver->call->combine(driver, out, 1, out, share * (answer.loss - start) / config->radius, direction);
  return COHORT_DONE;
}

static cohort_status gradient(cohort_driver *driver, const cohort_question *question, cohort_answer *answer,
                              cohort_error *error) {
  const deepzero_config *config = driver->config;
  const int64_t queries = config->estimator == RGE ? config->queries : driver->call->parameters(driver);
  const double share = config->estimator == RGE ? 1 / (double)queries : 1;
  const cohort_question here = cohort_ask_loss(question->point);
  COHORT_TRY(driver->call->ask(driver, &here, answer, error));
  driver->call->fill(driver, COHORT_FILL_VALUE, question->gradient, NULL, 0);
  for (int64_t q = 0; q < queries && answer->finite; q++)
    COHORT_TRY(add_query(driver, question, q, answer->loss, share, error));
  return COHORT_DONE;
}

static const cohort_optimizer functions = {
    .gradient = gradient, .vectors = vectors, .programs = programs, .wants = COHORT_WANTS_LOSS};

static const cohort_method deepzero = {
    .family = "optimizer",
    .key = "deepzero",
    .summary = "gradients estimated from losses alone, for any base",
    .title = "DeepZero: Scaling up Zeroth-Order Optimization for Deep Model Training",
    .source = "Chen, Zhang, Jia et al., ICLR 2024, equations (1) and (2): the estimators without sparse masks",
    .formula =
        "rge: u normal, each tensor's part divided by its norm; g = mean over queries of (f(w + radius u) - f(w)) / "
        "radius u; cge: g_i = (f(w + radius e_i) - f(w)) / radius; the base takes g",
    .config_size = sizeof(deepzero_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(deepzero) = {&deepzero, NULL};
