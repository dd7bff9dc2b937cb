/* Trust region policy optimization as an optimizer: the longest step along the natural gradient that keeps the outputs'
 * distribution within a radius. A stepper without a base; nothing is kept. A step costs a gradient, a product with
 * Fisher's matrix an iteration, and a forward pass and a divergence (two passes) for each length that is tried. */
#include <math.h>

#include "method/optimizer/conjugate_gradients.h"

typedef struct trpo_config {
  double learning_rate, radius, damping, shrink;
  int64_t iterations;
} trpo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(trpo_config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .maximum = 1,
     .meaning = "share of the longest step that is tried first"},
    COHORT_REAL_ABOVE(trpo_config, radius, "0.01", 0, "divergence of the outputs that a step may cause"),
    COHORT_INTEGER_RANGE(trpo_config, iterations, "10", 1, 1e6, "products a step"),
    COHORT_REAL_ATLEAST(trpo_config, damping, "0.1", 0, "added to the diagonal of Fisher's matrix"),
    COHORT_REAL_RANGE(trpo_config, shrink, "0.5", 0, true, 1, true, "factor on a step that went too far"),
    {.name = NULL},
};

static const cohort_driver_vector vectors[] = {
    {.name = "gradient", .meaning = "of the step's batch"},
    {.name = "residual", .meaning = "what the iterations have left of it"},
    {.name = "direction", .asked = true, .meaning = "of the iteration; then the weights that are tried"},
    {.name = "product", .meaning = "the damped matrix times it"},
    {.name = "way", .meaning = "the step so far, with the other sign"},
    {.name = NULL},
};

enum { MOST_ATTEMPTS = 10 };

/* Tries lengths from the longest; where none will do, the weights stay. */
static cohort_status search(cohort_driver *driver, double size, double start, bool *applied, cohort_error *error) {
  const trpo_config *config = driver->config;
  const int tried = driver->first + 2, way = driver->first + 4;
  cohort_question there = cohort_ask_loss(tried);
  cohort_answer answer = {.finite = false};
  bool found = false;
  there.divergence = true;
  for (int attempt = 0; attempt < MOST_ATTEMPTS && !found; attempt++, size *= config->shrink) {
    driver->call->combine(driver, tried, 1, COHORT_VECTOR_WEIGHTS, -size, way);
    COHORT_TRY(driver->call->ask(driver, &there, &answer, error));
    found = answer.finite && answer.divergence <= config->radius && answer.loss < start;
  }
  if (!found) driver->call->copy(driver, tried, COHORT_VECTOR_WEIGHTS);
  driver->call->move(driver, tried, applied);
  driver->report[0] = found ? answer.divergence : 0;
  return COHORT_DONE;
}

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const trpo_config *config = driver->config;
  const int gradient = driver->first, residual = gradient + 1, way = gradient + 4;
  const cohort_question here = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, gradient);
  const cohort_question fisher = {.point = COHORT_VECTOR_WEIGHTS,
                                  .gradient = COHORT_VECTOR_NONE,
                                  .direction = gradient + 2,
                                  .product = gradient + 3,
                                  .fisher = true};
  const cohort_conjugate_gradients solve = {fisher, residual, way, config->damping, 0, config->iterations};
  const int a[2] = {way, way}, b[2] = {gradient, residual};
  cohort_answer answer;
  double square, products[2];
  COHORT_TRY(driver->call->ask(driver, &here, &answer, error));
  driver->call->dots(driver, 1, &gradient, &gradient, &square);
  if (!isfinite(square) || !answer.finite) return COHORT_DONE;
  driver->call->copy(driver, residual, gradient);
  COHORT_TRY(cohort_conjugate_gradients_solve(driver, &solve, square, error));
  driver->call->dots(driver, 2, a, b, products);
  const double bend = products[0] - products[1]; /* d' M d: M d = b less the residual */
  const double longest = bend > 0 ? sqrt(2 * config->radius / bend) : 0;
  return search(driver, driver->learning_rate * longest, answer.loss, applied, error);
}

static const char *const reports[] = {"optimizer/divergence", NULL};

static const cohort_optimizer functions = {
    .drive = drive,
    .vectors = vectors,
    .wants = COHORT_WANTS_GRADIENT | COHORT_WANTS_LOSS | COHORT_WANTS_FISHER | COHORT_WANTS_DIVERGENCE,
    .reports = reports};

static const cohort_method trpo = {
    .family = "optimizer",
    .key = "trpo",
    .summary = "the natural gradient's longest step within a trust region of the outputs' distribution",
    .title = "Trust Region Policy Optimization",
    .source =
        "Schulman, Levine, Moritz, Jordan and Abbeel, ICML 2015, appendix C; here for any loss that is a likelihood",
    .formula =
        "conjugate gradients on (F + damping) d = -g from 0, F the Hessian of the outputs' mean KL divergence; s = "
        "learning_rate sqrt(2 radius / (d' (F + damping) d)); while KL(w, w + s d) > radius or the loss has not "
        "fallen: "
        "s *= shrink, at most 10 times, else w stays; w += s d",
    .config_size = sizeof(trpo_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_trpo[] = {&trpo, NULL};
