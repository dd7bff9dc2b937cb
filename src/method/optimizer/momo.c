/* MoMo: momentum whose step size comes from a model of the loss made of averages. Two passes: averages and
 * inner products over all tensors; from these and the step's loss one step size for all; the step. */
#include "method/optimizer/optimizer_real.h"

typedef struct momo_config {
  double learning_rate, beta, lower_bound, weight_decay;
  bool bias_correction;
} momo_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(momo_config, "1", 1e-2, 10, "largest step size"),
    COHORT_REAL_UNIT(momo_config, beta, "0.9", "decay of the averages"),
    COHORT_REAL_ANY(momo_config, lower_bound, "0", "what the loss cannot fall below"),
    COHORT_BOOLEAN(momo_config, bias_correction, "false", "averages begin at zero, not at their first values"),
    COHORT_REAL_ATLEAST(momo_config, weight_decay, "0", 0, "decay, as a proximal step"),
    {.name = NULL},
};

enum { AVERAGE, LOSS, INNER, STEP };
static const cohort_state states[] = {
    [AVERAGE] = {.name = "average", .meaning = "average of the gradient"},
    [LOSS] = {.name = "loss",
              .owner = COHORT_OWNER_SPACE,
              .type = COHORT_STATE_FLOAT64,
              .meaning = "average of the loss"},
    [INNER] = {.name = "inner",
               .owner = COHORT_OWNER_SPACE,
               .type = COHORT_STATE_FLOAT64,
               .meaning = "average of <g, w>"},
    [STEP] = {.name = "step",
              .owner = COHORT_OWNER_SPACE,
              .type = COHORT_STATE_FLOAT64,
              .scratch = true,
              .meaning = "the step's size"},
    {.name = NULL},
};

/* Decayed tensors weigh 1 / q, q = 1 + learning_rate weight_decay: the minimum of the model plus the decay. */
enum { GRADIENT_WEIGHTS, AVERAGE_WEIGHTS, SQUARE };
static const cohort_pass_sum sums[] = {
    [GRADIENT_WEIGHTS] = {.name = "gradient_weights", .pass = 0, .over = COHORT_OWNER_SPACE},
    [AVERAGE_WEIGHTS] = {.name = "average_weights", .pass = 0, .over = COHORT_OWNER_SPACE},
    [SQUARE] = {.name = "square", .pass = 0, .over = COHORT_OWNER_SPACE},
    {.name = NULL},
};

static const char *const reports[] = {"optimizer/step_size", NULL};

/* Averages that begin at their first values take those whole. */
static double rest_of(const cohort_update *u) {
  const momo_config *config = u->config;
  return u->step == 1 && !config->bias_correction ? 1 : 1 - config->beta;
}

static void average_range(int64_t n, real beta, real rest, real scale, const real *restrict gradient,
                          real *restrict average) {
  for (int64_t i = 0; i < n; i++) average[i] = beta * average[i] + rest * (scale * gradient[i]);
}

static void step_range(int64_t n, real keep, real rate, real *restrict w, const real *restrict average) {
  for (int64_t i = 0; i < n; i++) w[i] = keep * (w[i] - rate * average[i]);
}

static void update(const cohort_update *u) {
  real *w = u->parameters, *average = u->state[AVERAGE];
  const double keep = 1 / (1 + u->learning_rate * u->weight_decay), rest = rest_of(u);
  if (u->pass) {
    step_range(u->elements, (real)keep, (real) * (const double *)u->state[STEP], w, average);
    return;
  }
  average_range(u->elements, (real)(1 - rest), (real)rest, (real)u->gradient_scale, u->gradient, average);
  *u->sum[GRADIENT_WEIGHTS] += u->gradient_scale * u->kernels->dot(u->gradient, w, u->elements);
  *u->sum[AVERAGE_WEIGHTS] += keep * u->kernels->dot(average, w, u->elements);
  *u->sum[SQUARE] += keep * u->kernels->dot(average, average, u->elements);
}

static void finish(const cohort_update *u) {
  if (u->pass) return;
  const momo_config *config = u->config;
  double *loss = u->state[LOSS], *inner = u->state[INNER], *step = u->state[STEP];
  const double rest = rest_of(u);
  const double share = config->bias_correction ? 1 - pow(config->beta, (double)u->step) : 1;
  *loss = (1 - rest) * *loss + rest * u->loss;
  *inner = (1 - rest) * *inner + rest * *u->sum[GRADIENT_WEIGHTS];
  const double above = *loss - share * config->lower_bound + *u->sum[AVERAGE_WEIGHTS] - *inner;
  const double largest = u->learning_rate / share, down = *u->sum[SQUARE] > 0 ? above / *u->sum[SQUARE] : 0;
  *step = down < 0 ? 0 : down < largest ? down : largest;
  u->report[0] = *step;
}

static const cohort_optimizer functions = {
    .update = update, .passes = 2, .sums = sums, .finish = finish, .reports = reports};

static const cohort_method momo = {
    .family = "optimizer",
    .key = "momo",
    .summary = "momentum with a step size from the loss: as far as a model of it falls to a lower bound",
    .title = "MoMo: Momentum Models for Adaptive Learning Rates",
    .source = "Schaipp, Ohana, Eickenberg, Defazio and Gower, ICML 2024, Algorithm 1",
    .formula =
        "m, F, G = averages of g, f, <g, w> with beta, from their first values, r = 1 (bias_correction: from 0, "
        "r = 1 - beta^t); q = 1 + learning_rate weight_decay; "
        "h = max(0, F - r lower_bound + <m, w / q> - G) / <m, m / q>; w = (w - min(learning_rate / r, h) m) / q; "
        "q = 1 for tensors that do not decay",
    .config_size = sizeof(momo_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(momo) = {&momo, NULL};
