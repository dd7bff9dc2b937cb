/* Prodigy: Adam that estimates the distance to the solution and takes it for its step size. Two passes: averages and
 * the estimate's two sums over all tensors; then the step with the new estimate. */
#include "method/optimizer/optimizer_real.h"

typedef struct prodigy_config {
  double learning_rate, beta1, beta2, beta3, epsilon, weight_decay, initial_distance, distance_factor, growth_rate;
  bool bias_correction, safeguard_warmup;
} prodigy_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(prodigy_config, "1", 0.25, 4, "factor on the estimated step size; what schedules change"),
    COHORT_REAL_UNIT(prodigy_config, beta1, "0.9", "decay of the gradient's average"),
    COHORT_REAL_UNIT(prodigy_config, beta2, "0.999", "decay of the squared gradient's average"),
    COHORT_REAL_UNIT(prodigy_config, beta3, "0", "decay of the estimate's sums; 0: sqrt(beta2)"),
    COHORT_REAL_ABOVE(prodigy_config, epsilon, "1e-8", 0, "added, times the distance, to the root in the denominator"),
    {COHORT_FIELD(prodigy_config, weight_decay, COHORT_PARAMETER_REAL), .standard = "0", .minimum = 0,
     .maximum = INFINITY, .maximum_open = true, .meaning = "decoupled decay, multiplied by the estimated step size",
     .sweep_low = 1e-4, .sweep_high = 0.3, .sweep_log = true},
    {COHORT_FIELD(prodigy_config, initial_distance, COHORT_PARAMETER_REAL), .standard = "1e-6", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true, .meaning = "first estimate; rather too small",
     .sweep_low = 1e-8, .sweep_high = 1e-4, .sweep_log = true},
    {COHORT_FIELD(prodigy_config, distance_factor, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true, .meaning = "factor on the estimate",
     .sweep_low = 0.5, .sweep_high = 2, .sweep_log = true},
    COHORT_REAL_RANGE(prodigy_config, growth_rate, "1e30", 1, false, INFINITY, true,
                      "by how much the estimate may grow in a step; 1.02 is a kind of warm-up"),
    COHORT_BOOLEAN(prodigy_config, bias_correction, "false", "correct both averages as Adam does"),
    COHORT_BOOLEAN(prodigy_config, safeguard_warmup, "false",
                   "leave the learning rate out of the estimate's denominator, for schedules with a warm-up"),
    {.name = NULL},
};

enum { FIRST, SECOND, SUM, START, NUMERATOR, DISTANCE, LARGEST, RATE };
static const cohort_state states[] = {
    [FIRST] = {.name = "first", .meaning = "average of the gradient times the distance"},
    [SECOND] = {.name = "second", .meaning = "average of its square"},
    [SUM] = {.name = "sum", .meaning = "weighted sum of the gradients"},
    [START] = {.name = "start", .from_weights = true, .meaning = "the weights at the start"},
    [NUMERATOR] = {.name = "numerator",
                   .owner = COHORT_OWNER_SPACE,
                   .type = COHORT_STATE_FLOAT64,
                   .meaning = "weighted sum of <g, start - w>"},
    [DISTANCE] = {.name = "distance",
                  .owner = COHORT_OWNER_SPACE,
                  .type = COHORT_STATE_FLOAT64,
                  .initial_parameter = "initial_distance",
                  .meaning = "the estimate"},
    [LARGEST] = {.name = "largest",
                 .owner = COHORT_OWNER_SPACE,
                 .type = COHORT_STATE_FLOAT64,
                 .initial_parameter = "initial_distance",
                 .meaning = "the largest that was found"},
    [RATE] = {.name = "rate",
              .owner = COHORT_OWNER_SPACE,
              .type = COHORT_STATE_FLOAT64,
              .scratch = true,
              .meaning = "the step size of the estimate before this step's"},
    {.name = NULL},
};

enum { INNER, ABSOLUTE };
static const cohort_pass_sum sums[] = {
    [INNER] = {.name = "inner", .pass = 0, .over = COHORT_OWNER_SPACE},
    [ABSOLUTE] = {.name = "absolute", .pass = 0, .over = COHORT_OWNER_SPACE},
    {.name = NULL},
};

static const char *const reports[] = {"optimizer/distance", NULL};

/* What the learning rate is multiplied by, beside the distance. */
static double correction(const cohort_update *u) {
  const prodigy_config *config = u->config;
  if (!config->bias_correction) return 1;
  return sqrt(1 - pow(config->beta2, (double)u->step)) / (1 - pow(config->beta1, (double)u->step));
}

static double beta3_of(const prodigy_config *config) { return config->beta3 > 0 ? config->beta3 : sqrt(config->beta2); }

typedef struct constants {
  real beta1, rest1, beta2, rest2, beta3, rest3, scale, epsilon, keep, rate;
} constants;

static void average_range(int64_t n, constants c, const real *restrict gradient, real *restrict first,
                          real *restrict second, real *restrict sum) {
  for (int64_t i = 0; i < n; i++) {
    const real g = c.scale * gradient[i];
    first[i] = c.beta1 * first[i] + c.rest1 * g;
    second[i] = c.beta2 * second[i] + c.rest2 * (g * g);
    sum[i] = c.beta3 * sum[i] + c.rest3 * g;
  }
}

static void compare_range(int64_t n, const real *restrict w, const real *restrict start, const real *restrict sum,
                          real *restrict moved, real *restrict sign) {
  for (int64_t i = 0; i < n; i++) {
    moved[i] = start[i] - w[i];
    sign[i] = sum[i] < 0 ? (real)-1 : (real)1;
  }
}

static void step_range(int64_t n, constants c, real *restrict w, const real *restrict first,
                       const real *restrict second) {
  for (int64_t i = 0; i < n; i++) w[i] = c.keep * w[i] - c.rate * first[i] / (COHORT_SQRT(second[i]) + c.epsilon);
}

/* Averages with the distance before this step, and what the next is made of. */
static void collect(const cohort_update *u) {
  enum { BLOCK = 1024 };
  const prodigy_config *config = u->config;
  const double distance = *(const double *)u->state[DISTANCE], rate = distance * u->learning_rate * correction(u);
  const double share = distance / config->initial_distance;
  const constants c = {.beta1 = (real)config->beta1,
                       .rest1 = (real)(distance * (1 - config->beta1)),
                       .beta2 = (real)config->beta2,
                       .rest2 = (real)(distance * distance * (1 - config->beta2)),
                       .beta3 = (real)beta3_of(config),
                       .rest3 = (real)(share * (config->safeguard_warmup ? distance : rate)),
                       .scale = (real)u->gradient_scale};
  const real *gradient = u->gradient, *w = u->parameters, *start = u->state[START];
  real *first = u->state[FIRST], *second = u->state[SECOND], *sum = u->state[SUM], moved[BLOCK], sign[BLOCK];
  for (int64_t at = 0; at < u->elements; at += BLOCK) {
    const int64_t n = u->elements - at < BLOCK ? u->elements - at : BLOCK;
    average_range(n, c, gradient + at, first + at, second + at, sum + at);
    compare_range(n, w + at, start + at, sum + at, moved, sign);
    *u->sum[INNER] += u->gradient_scale * u->kernels->dot(gradient + at, moved, n);
    *u->sum[ABSOLUTE] += u->kernels->dot(sum + at, sign, n);
  }
}

static void update(const cohort_update *u) {
  if (u->pass == 0) {
    collect(u);
    return;
  }
  const prodigy_config *config = u->config;
  const double distance = *(const double *)u->state[DISTANCE], rate = *(const double *)u->state[RATE];
  const constants c = {
      .keep = (real)(1 - u->weight_decay * rate), .rate = (real)rate, .epsilon = (real)(distance * config->epsilon)};
  step_range(u->elements, c, u->parameters, u->state[FIRST], u->state[SECOND]);
}

static void finish(const cohort_update *u) {
  const prodigy_config *config = u->config;
  double *numerator = u->state[NUMERATOR], *distance = u->state[DISTANCE], *largest = u->state[LARGEST];
  double *rate = u->state[RATE];
  *rate = *distance * u->learning_rate * correction(u);
  *numerator = beta3_of(config) * *numerator + *distance / config->initial_distance * *rate * *u->sum[INNER];
  /* Where no gradient has been, there is nothing to learn. */
  const double found = *u->sum[ABSOLUTE] > 0 ? config->distance_factor * *numerator / *u->sum[ABSOLUTE] : 0;
  double next = *distance;
  if (next == config->initial_distance && found > next) next = found;
  if (found > *largest) *largest = found;
  const double most = next * config->growth_rate;
  *distance = *largest < most ? *largest : most;
  u->report[0] = *distance;
}

static const cohort_optimizer functions = {
    .update = update, .passes = 2, .sums = sums, .finish = finish, .reports = reports};

static const cohort_method prodigy = {
    .family = "optimizer",
    .key = "prodigy",
    .summary = "Adam that finds its own step size: an estimate of the distance to the solution",
    .title = "Prodigy: An Expeditiously Adaptive Parameter-Free Learner",
    .source = "Mishchenko and Defazio, ICML 2024, Algorithm 4, and the authors' code",
    .formula =
        "d begins at initial_distance d0; e = d learning_rate (bias_correction: times sqrt(1 - beta2^t) / "
        "(1 - beta1^t)); N = beta3 N + d / d0 e <g, w0 - w>; s = beta3 s + d / d0 e g (safeguard_warmup: d for e); "
        "m = beta1 m + d (1 - beta1) g; v = beta2 v + d^2 (1 - beta2) g^2; f = distance_factor N / |s|_1; "
        "if d = d0: d = max(d, f); D = max(D, f); d = min(D, d growth_rate); "
        "w = (1 - weight_decay e) w - e m / (sqrt(v) + d epsilon)",
    .config_size = sizeof(prodigy_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ELEMENT,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(prodigy) = {&prodigy, NULL};
