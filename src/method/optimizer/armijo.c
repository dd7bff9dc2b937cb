/* Armijo's line search along the step's gradient: a stepper without a base. It keeps the last step size; a step costs a
 * gradient and a forward pass a trial. */
#include <math.h>

#include "method/optimizer/optimizer.h"

typedef struct armijo_config {
  double learning_rate, c, shrink, growth;
  bool restart;
} armijo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(armijo_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true, .meaning = "step size that is tried first",
     .sweep_low = 0.1, .sweep_high = 10, .sweep_log = true},
    COHORT_REAL_RANGE(armijo_config, c, "0.1", 0, true, 1, true,
                      "share of the predicted decrease that must be reached"),
    COHORT_REAL_RANGE(armijo_config, shrink, "0.9", 0, true, 1, true, "factor on a step size that was refused"),
    COHORT_REAL_ATLEAST(armijo_config, growth, "2", 1, "factor on the last step size, where the next step begins"),
    COHORT_BOOLEAN(armijo_config, restart, "false", "begin every step at learning_rate instead"),
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "step_size",
     .owner = COHORT_OWNER_SPACE,
     .type = COHORT_STATE_FLOAT64,
     .initial_parameter = "learning_rate",
     .meaning = "the step size accepted last"},
    {.name = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "gradient", .meaning = "of the step's batch"},
    {.name = "tried", .asked = true, .meaning = "the weights that are tried"},
    {.name = NULL},
};

enum { MOST_ATTEMPTS = 100 };

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const armijo_config *config = driver->config;
  const int gradient = driver->first, tried = gradient + 1;
  const cohort_question here = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, gradient), there = cohort_ask_loss(tried);
  cohort_answer start, answer;
  double square, size = config->restart ? driver->learning_rate : config->growth * *driver->state[0];
  COHORT_TRY(driver->call->ask(driver, &here, &start, error));
  driver->call->dots(driver, 1, &gradient, &gradient, &square);
  if (!isfinite(square) || !start.finite) return COHORT_DONE;
  for (int attempt = 0; attempt < MOST_ATTEMPTS; attempt++, size *= config->shrink) {
    driver->call->combine(driver, tried, 1, COHORT_VECTOR_WEIGHTS, -size, gradient);
    COHORT_TRY(driver->call->ask(driver, &there, &answer, error));
    if (answer.finite && answer.loss <= start.loss - config->c * size * square) break;
  }
  driver->call->move(driver, tried, applied);
  if (*applied) *driver->state[0] = driver->report[0] = size;
  return COHORT_DONE;
}

static const char *const reports[] = {"optimizer/armijo_step_size", NULL};

static const cohort_optimizer functions = {
    .drive = drive, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT | COHORT_WANTS_LOSS, .reports = reports};

static const cohort_method armijo = {
    .family = "optimizer",
    .key = "armijo",
    .summary = "stochastic gradient descent with a line search on the step's own batch",
    .title = "Painless Stochastic Gradient: Interpolation, Line-Search, and Convergence Rates",
    .source = "Vaswani, Mishkin, Laradji, Schmidt, Gidel and Lacoste-Julien, NeurIPS 2019, section 3, and their code",
    .formula =
        "s = growth times the last step size (restart: learning_rate); while f(w - s g) > f(w) - c s |g|^2: s *= "
        "shrink; w -= s g",
    .config_size = sizeof(armijo_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_armijo[] = {&armijo, NULL};
