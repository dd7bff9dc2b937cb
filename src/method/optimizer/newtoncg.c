/* Newton's method by conjugate gradients: a stepper without a base, which asks for Hessian-vector products along
 * directions of its own. Nothing is kept; a step costs a gradient and a product an iteration. */
#include <math.h>

#include "method/optimizer/conjugate_gradients.h"

typedef struct newtoncg_config {
  double learning_rate, tolerance, damping;
  int64_t iterations;
} newtoncg_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(newtoncg_config, "1", 0.1, 1, "factor on the Newton step"),
    COHORT_INTEGER_RANGE(newtoncg_config, iterations, "10", 1, 1e6, "products a step at most"),
    COHORT_REAL_ATLEAST(newtoncg_config, tolerance, "1e-3", 0, "residual, as a share of the gradient, that is enough"),
    COHORT_REAL_ATLEAST(newtoncg_config, damping, "1e-3", 0, "added to the Hessian's diagonal"),
    {.name = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "residual", .meaning = "the gradient, then what is left of it"},
    {.name = "direction", .asked = true, .meaning = "of the iteration"},
    {.name = "product", .meaning = "the damped Hessian times it"},
    {.name = "solution", .meaning = "the step so far, then the next weights"},
    {.name = NULL},
};

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const newtoncg_config *config = driver->config;
  const int residual = driver->first, direction = residual + 1, product = residual + 2, solution = residual + 3;
  const cohort_question here = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, residual);
  cohort_answer answer;
  double square;
  COHORT_TRY(driver->call->ask(driver, &here, &answer, error));
  driver->call->dots(driver, 1, &residual, &residual, &square);
  if (!isfinite(square) || !answer.finite) return COHORT_DONE;
  const double enough = config->tolerance * config->tolerance * square;
  /* Solves for minus the step: the right-hand side is the gradient itself. */
  const cohort_question question = {
      .point = COHORT_VECTOR_WEIGHTS, .gradient = COHORT_VECTOR_NONE, .direction = direction, .product = product};
  const cohort_conjugate_gradients solve = {question, residual, solution, config->damping, enough, config->iterations};
  COHORT_TRY(cohort_conjugate_gradients_solve(driver, &solve, square, error));
  driver->call->combine(driver, solution, 1, COHORT_VECTOR_WEIGHTS, -driver->learning_rate, solution);
  driver->call->move(driver, solution, applied);
  return COHORT_DONE;
}

static const cohort_optimizer functions = {
    .drive = drive, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT | COHORT_WANTS_PRODUCT};

static const cohort_method newtoncg = {
    .family = "optimizer",
    .key = "newtoncg",
    .summary = "Newton steps by conjugate gradients on exact Hessian-vector products",
    .source = "Nocedal and Wright, Numerical Optimization, Algorithm 7.1; Martens, ICML 2010, for networks",
    .formula =
        "conjugate gradients on (H + damping) d = -g from 0, at most `iterations`, until the residual is at most "
        "tolerance |g| or the direction has no positive curvature; w += learning_rate d",
    .config_size = sizeof(newtoncg_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_newtoncg[] = {&newtoncg, NULL};
