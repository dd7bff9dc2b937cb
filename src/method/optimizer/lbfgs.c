/* Limited-memory BFGS without a line search: a stepper without a base. Differences of gradients are taken on one batch:
 * every step asks at the last weights too. It keeps two vectors a pair and one more; a step costs two gradients and
 * four passes over the weights a pair. */
#include <math.h>

#include "method/optimizer/optimizer.h"

typedef struct lbfgs_config {
  double learning_rate;
  int64_t history;
} lbfgs_config;

enum { MOST_PAIRS = 20 };

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(lbfgs_config, "1", 1e-2, 1, "factor on the quasi-Newton step"),
    COHORT_INTEGER_RANGE(lbfgs_config, history, "10", 1, MOST_PAIRS, "pairs of differences that are kept"),
    {.name = NULL},
};

static int64_t history(const void *config) { return ((const lbfgs_config *)config)->history; }

static const cohort_driver_vector vectors[] = {
    {.name = "previous", .kept = true, .from_weights = true, .asked = true, .meaning = "the last step's weights"},
    {.name = "s", .kept = true, .count = history, .meaning = "differences of weights"},
    {.name = "y", .kept = true, .count = history, .meaning = "differences of gradients"},
    {.name = "gradient", .meaning = "of the step's batch at the weights"},
    {.name = "direction", .meaning = "of the step; before it the gradient at the last weights"},
    {.name = "difference", .meaning = "of weights; then the next weights"},
    {.name = NULL},
};

static const cohort_state states[] = {
    {.name = "pairs",
     .owner = COHORT_OWNER_SPACE,
     .type = COHORT_STATE_FLOAT64,
     .meaning = "pairs that were ever kept; the newest is number (pairs - 1) modulo history"},
    {.name = NULL},
};

typedef struct numbers {
  int previous, s, y, gradient, direction, difference;
  int64_t history;
} numbers;

static numbers numbers_of(const cohort_driver *driver) {
  const int64_t kept = history(driver->config);
  const int first = driver->first, many = (int)kept, scratch = first + 1 + 2 * many;
  return (numbers){first, first + 1, first + 1 + many, scratch, scratch + 1, scratch + 2, kept};
}

/* Takes the pair of this step in, where it bends the right way: y on this step's batch. */
static cohort_status take_pair(cohort_driver *driver, const numbers *own, cohort_error *error) {
  const int slot = (int)((int64_t)*driver->state[0] % own->history);
  const cohort_question before = cohort_ask_gradient(own->previous, own->direction);
  cohort_answer ignored;
  double bend;
  COHORT_TRY(driver->call->ask(driver, &before, &ignored, error));
  driver->call->combine(driver, own->direction, 1, own->gradient, -1, own->direction);
  driver->call->combine(driver, own->difference, 1, COHORT_VECTOR_WEIGHTS, -1, own->previous);
  driver->call->dots(driver, 1, &own->difference, &own->direction, &bend);
  if (!isfinite(bend) || bend <= 1e-10) return COHORT_DONE;
  driver->call->copy(driver, own->s + slot, own->difference);
  driver->call->copy(driver, own->y + slot, own->direction);
  *driver->state[0] += 1;
  return COHORT_DONE;
}

/* direction = -H gradient, by the two loops over the pairs. */
static void turn(cohort_driver *driver, const numbers *own) {
  const int64_t pairs = (int64_t)*driver->state[0], kept = pairs < own->history ? pairs : own->history;
  const int d = own->direction;
  double alpha[MOST_PAIRS], rho[MOST_PAIRS], products[2];
  driver->call->combine(driver, d, -1, own->gradient, 0, own->gradient);
  for (int64_t i = 0; i < kept; i++) {
    const int slot = (int)((pairs - 1 - i) % own->history), s = own->s + slot, y = own->y + slot;
    const int a[2] = {s, s}, b[2] = {y, d};
    driver->call->dots(driver, 2, a, b, products);
    rho[i] = 1 / products[0];
    alpha[i] = rho[i] * products[1];
    driver->call->combine(driver, d, 1, d, -alpha[i], y);
  }
  if (kept) {
    const int newest = own->y + (int)((pairs - 1) % own->history);
    driver->call->dots(driver, 1, &newest, &newest, products);
    driver->call->combine(driver, d, 1 / (rho[0] * products[0]), d, 0, d);
  }
  for (int64_t i = kept - 1; i >= 0; i--) {
    const int slot = (int)((pairs - 1 - i) % own->history), s = own->s + slot, y = own->y + slot;
    driver->call->dots(driver, 1, &y, &d, products);
    driver->call->combine(driver, d, 1, d, alpha[i] - rho[i] * products[0], s);
  }
}

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const numbers own = numbers_of(driver);
  const cohort_question here = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, own.gradient);
  cohort_answer answer;
  double square, length = driver->learning_rate;
  COHORT_TRY(driver->call->ask(driver, &here, &answer, error));
  driver->call->dots(driver, 1, &own.gradient, &own.gradient, &square);
  if (!isfinite(square) || !answer.finite) return COHORT_DONE;
  if (driver->step > 1) COHORT_TRY(take_pair(driver, &own, error));
  turn(driver, &own);
  if (driver->step == 1) {
    double sum; /* |g|_1 */
    driver->call->map(driver, COHORT_MAP_SIGN, own.difference, own.gradient, own.gradient, 0);
    driver->call->dots(driver, 1, &own.difference, &own.gradient, &sum);
    if (sum > 1) length /= sum;
  }
  driver->call->combine(driver, own.difference, 1, COHORT_VECTOR_WEIGHTS, length, own.direction);
  driver->call->copy(driver, own.gradient, COHORT_VECTOR_WEIGHTS);
  driver->call->move(driver, own.difference, applied);
  if (*applied) driver->call->copy(driver, own.previous, own.gradient);
  return COHORT_DONE;
}

static int64_t asks(const void *config) {
  (void)config;
  return 2;
}

static const cohort_optimizer functions = {
    .drive = drive, .vectors = vectors, .wants = COHORT_WANTS_GRADIENT, .asks = asks};

static const cohort_method lbfgs = {
    .family = "optimizer",
    .key = "lbfgs",
    .summary = "limited-memory BFGS, differences of gradients taken on one batch",
    .source =
        "Liu and Nocedal, On the limited memory BFGS method, Mathematical Programming 1989; as torch.optim.LBFGS "
        "with one iteration a step",
    .formula =
        "y = g(w) - g(w_previous) on this batch, s = w - w_previous, kept if <y, s> > 1e-10; d = -H g by the two-loop "
        "recursion from <s, y> / <y, y> of the newest pair; w += learning_rate d, in the first step min(1, 1 / |g|_1) "
        "of it",
    .config_size = sizeof(lbfgs_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

const cohort_method *const cohort_optimizer_lbfgs[] = {&lbfgs, NULL};
