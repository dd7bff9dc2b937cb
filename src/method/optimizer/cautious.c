/* Cautious: of a base's step only what the gradient agrees with. A stepper: the base moves a copy of the weights, one
 * program counts and masks the displacement tensor by tensor, then the base's decay is applied, which is not masked. It
 * keeps nothing; a step costs the base's and four passes over a vector. */
#include "method/optimizer/optimizer_real.h"

typedef struct cautious_config {
  int scale;
  const cohort_document *base;
} cautious_config;

enum { MEAN, COUNT };
static const char *const scales[] = {"mean", "count", NULL};

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(cautious_config, scale, "mean", scales,
                  "factor on what is left: mean 1 / max(share left, 1e-3), count elements / (number left + 1)"),
    COHORT_METHOD_OF(cautious_config, base, "adamw", "optimizer", "the update whose step is masked"),
    {.name = NULL},
};

enum { GRADIENT, MOVED };
static const cohort_driver_vector vectors[] = {
    [GRADIENT] = {.name = "gradient", .meaning = "the step's gradient"},
    [MOVED] = {.name = "moved", .meaning = "where the base goes"},
    {.name = NULL},
};

static const cohort_pass_sum sums[] = {
    {.name = "agreeing", .pass = 0, .over = COHORT_OWNER_TENSOR},
    {.name = NULL},
};

static bool agrees(real w, real moved, real gradient) { return (w - moved) * gradient > 0; }

/* state: the gradient, where the base goes, the weights. */
static void mask(const cohort_update *u) {
  const cautious_config *config = u->config;
  const real *gradient = u->state[0], *w = u->state[2];
  real *moved = u->state[1];
  if (u->pass == 0) {
    int64_t agreeing = 0;
    for (int64_t i = 0; i < u->elements; i++) agreeing += agrees(w[i], moved[i], gradient[i]);
    *u->sum[0] += (double)agreeing;
    return;
  }
  const double elements = (double)cohort_shape_elements(u->shape), agreeing = *u->sum[0], share = agreeing / elements;
  const double factor = config->scale == COUNT ? elements / (agreeing + 1) : 1 / (share > 1e-3 ? share : 1e-3);
  const real scale = (real)factor;
  for (int64_t i = 0; i < u->elements; i++)
    moved[i] = agrees(w[i], moved[i], gradient[i]) ? w[i] - scale * (w[i] - moved[i]) : w[i];
}

static const cohort_optimizer program = {.update = mask, .passes = 2, .sums = sums};
static const cohort_optimizer *const programs[] = {&program, NULL};

static cohort_status drive(cohort_driver *driver, bool *applied, cohort_error *error) {
  const int gradient = driver->first + GRADIENT, moved = driver->first + MOVED;
  const cohort_question question = cohort_ask_gradient(COHORT_VECTOR_WEIGHTS, gradient);
  cohort_answer answer;
  COHORT_TRY(driver->call->ask(driver, &question, &answer, error));
  driver->call->copy(driver, moved, COHORT_VECTOR_WEIGHTS);
  COHORT_TRY(driver->call->update(driver, moved, gradient, false, applied, error));
  if (!*applied) return COHORT_DONE;
  const int vector[] = {gradient, moved, COHORT_VECTOR_WEIGHTS};
  driver->call->run(driver, 0, 3, vector, driver->report);
  driver->call->decay(driver, moved, COHORT_VECTOR_WEIGHTS);
  driver->call->move(driver, moved, applied);
  return COHORT_DONE;
}

static const cohort_optimizer functions = {
    .drive = drive, .vectors = vectors, .programs = programs, .wants = COHORT_WANTS_GRADIENT};

static const cohort_method cautious = {
    .family = "optimizer",
    .key = "cautious",
    .summary = "any base update without the elements that move against the gradient",
    .title = "Cautious Optimizers: Improving Training with One Line of Code",
    .source = "Liang, Chen, Liu and Liu, 2024, Algorithm 1, and the authors' code",
    .formula =
        "u: the base's step without its decay; mask = 1 where u g > 0, else 0; scale mean: s = 1 / max(mean(mask), "
        "1e-3), count: s = n / (sum(mask) + 1), of the tensor; w *= 1 - learning_rate weight_decay; w -= s mask u",
    .config_size = sizeof(cautious_config),
    .parameters = parameters,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(cautious) = {&cautious, NULL};
