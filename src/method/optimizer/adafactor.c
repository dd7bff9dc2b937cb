/* Adafactor: the second moment of a matrix as the product of averages over its rows and its columns; a vector's rows
 * are its elements. Cut by rows: a row's average lies with the row, a column's on every rank, so that an embedding is
 * spread over all ranks. Three passes: averages and the weights' norm; the step's norm; the step. */
#include "method/optimizer/optimizer_real.h"

typedef struct adafactor_config {
  double learning_rate, beta1, beta2_power, epsilon1, epsilon2, clip_threshold, weight_decay;
} adafactor_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(adafactor_config, "1e-2", 1e-4, 0.1, "largest step size, relative to the weights of a tensor"),
    COHORT_REAL_UNIT(adafactor_config, beta1, "0", "decay of the step's average; 0: none is kept"),
    COHORT_REAL_RANGE(adafactor_config, beta2_power, "0.8", 0, true, 1, false,
                      "the squares' average decays by 1 - step^-beta2_power"),
    COHORT_REAL_ATLEAST(adafactor_config, epsilon1, "1e-30", 0, "added to the squared gradient"),
    COHORT_REAL_ATLEAST(adafactor_config, epsilon2, "1e-3", 0,
                        "smallest root mean square of a tensor's weights that its step is scaled by"),
    COHORT_REAL_ABOVE(adafactor_config, clip_threshold, "1", 0, "largest root mean square of a tensor's direction"),
    COHORT_DECOUPLED_DECAY(adafactor_config, "0", .sweep_low = 1e-4, .sweep_high = 0.3, .sweep_log = true),
    {.name = NULL},
};

static int64_t momentum_size(const void *config, cohort_shape shape) {
  (void)shape;
  return ((const adafactor_config *)config)->beta1 > 0;
}

enum { ROW, COLUMN, INVERSE, MOMENTUM };
static const cohort_state states[] = {
    [ROW] = {.name = "row", .owner = COHORT_OWNER_ROW, .meaning = "average of the row's mean squared gradient"},
    [COLUMN] = {.name = "column", .owner = COHORT_OWNER_COLUMN, .meaning = "average of the column's mean square"},
    [INVERSE] = {.name = "column_inverse",
                 .owner = COHORT_OWNER_COLUMN,
                 .scratch = true,
                 .meaning = "1 / sqrt(column)"},
    [MOMENTUM] = {.name = "momentum", .size = momentum_size, .meaning = "average of the step, with beta1"},
    {.name = NULL},
};

enum { COLUMN_SQUARES, ROWS, WEIGHTS, DIRECTION };
static const cohort_pass_sum sums[] = {
    [COLUMN_SQUARES] = {.name = "columns", .pass = 0, .over = COHORT_OWNER_COLUMN},
    [ROWS] = {.name = "rows", .pass = 0, .over = COHORT_OWNER_TENSOR},
    [WEIGHTS] = {.name = "weights", .pass = 0, .over = COHORT_OWNER_TENSOR},
    [DIRECTION] = {.name = "direction", .pass = 1, .over = COHORT_OWNER_TENSOR},
    {.name = NULL},
};

static int64_t columns_of(cohort_shape shape) { return cohort_shape_elements(shape) / shape.size[0]; }

/* 1 - beta2 of this step. */
static double rest_of(const cohort_update *u) {
  return pow((double)u->step, -((const adafactor_config *)u->config)->beta2_power);
}

static double average(const cohort_update *u, double last, double square) {
  const double rest = rest_of(u);
  return (1 - rest) * last + rest * (square + ((const adafactor_config *)u->config)->epsilon1);
}

static void add_squares(int64_t n, double scale, const real *restrict gradient, double *restrict columns) {
  for (int64_t j = 0; j < n; j++) {
    const double g = scale * (double)gradient[j];
    columns[j] += g * g;
  }
}

static void average_rows(const cohort_update *u, int64_t columns) {
  const real *gradient = u->gradient;
  real *row = u->state[ROW];
  const double scale = u->gradient_scale;
  for (int64_t i = 0; i < u->elements / columns; i++, gradient += columns) {
    const double square = scale * scale * u->kernels->dot(gradient, gradient, columns);
    row[i] = (real)average(u, (double)row[i], square / (double)columns);
    *u->sum[ROWS] += (double)row[i];
    if (columns > 1) add_squares(columns, scale, gradient, u->sum[COLUMN_SQUARES]);
  }
  *u->sum[WEIGHTS] += u->kernels->dot(u->parameters, u->parameters, u->elements);
}

/* direction = gradient / sqrt(V), V = row column / mean of the rows; with a single column V = row. */
static void direct_row(int64_t n, real inverse, const real *restrict gradient, const real *restrict columns,
                       real *restrict direction) {
  for (int64_t j = 0; j < n; j++) direction[j] = inverse * gradient[j] * columns[j];
}

static void step_row(int64_t n, real keep, real rate, real *restrict w, const real *restrict direction) {
  for (int64_t j = 0; j < n; j++) w[j] = keep * w[j] - rate * direction[j];
}

static void step_momentum(int64_t n, real keep, real rate, real beta1, real *restrict w, const real *restrict direction,
                          real *restrict momentum) {
  for (int64_t j = 0; j < n; j++) {
    const real m = beta1 * momentum[j] + (1 - beta1) * (rate * direction[j]);
    momentum[j] = m;
    w[j] = keep * w[j] - m;
  }
}

/* The step's size on a direction whose root mean square is at most clip_threshold. */
static double rate_of(const cohort_update *u) {
  const adafactor_config *config = u->config;
  const double elements = (double)cohort_shape_elements(u->shape), relative = 1 / sqrt((double)u->step);
  const double weights = sqrt(*u->sum[WEIGHTS] / elements), direction = sqrt(*u->sum[DIRECTION] / elements);
  const double size = u->learning_rate < relative ? u->learning_rate : relative;
  const double over = direction / config->clip_threshold;
  return (weights > config->epsilon2 ? weights : config->epsilon2) * size / (over > 1 ? over : 1);
}

static void move_rows(const cohort_update *u, int64_t columns) {
  const adafactor_config *config = u->config;
  const real *gradient = u->gradient, *row = u->state[ROW];
  real *w = u->parameters, *momentum = u->state[MOMENTUM], *direction = u->workspace;
  const double mean = *u->sum[ROWS] / (double)u->shape.size[0];
  const real keep = (real)(1 - u->learning_rate * u->weight_decay), beta1 = (real)config->beta1;
  const real rate = u->pass == 2 ? (real)rate_of(u) : 0;
  for (int64_t i = 0, at = 0; at < u->elements; i++, at += columns) {
    const double inverse = u->gradient_scale / sqrt(columns > 1 ? (double)row[i] / mean : (double)row[i]);
    if (columns > 1)
      direct_row(columns, (real)inverse, gradient + at, u->state[INVERSE], direction);
    else
      direction[0] = (real)(inverse * (double)gradient[at]);
    if (u->pass == 1)
      *u->sum[DIRECTION] += u->kernels->dot(direction, direction, columns);
    else if (config->beta1 > 0)
      step_momentum(columns, keep, rate, beta1, w + at, direction, momentum + at);
    else
      step_row(columns, keep, rate, w + at, direction);
  }
}

static void update(const cohort_update *u) {
  if (!u->elements) return;
  if (u->pass == 0)
    average_rows(u, columns_of(u->shape));
  else
    move_rows(u, columns_of(u->shape));
}

static void finish_tensor(const cohort_update *u) {
  if (u->pass > 0) return;
  real *column = u->state[COLUMN], *inverse = u->state[INVERSE];
  for (int64_t j = 0; j < columns_of(u->shape); j++) {
    column[j] = (real)average(u, (double)column[j], u->sum[COLUMN_SQUARES][j] / (double)u->shape.size[0]);
    inverse[j] = (real)(1 / sqrt((double)column[j]));
  }
}

static int64_t workspace(const void *config, cohort_shape shape) {
  (void)config;
  return shape.axes && shape.size[0] ? columns_of(shape) : 0;
}

static const cohort_optimizer functions = {
    .update = update, .passes = 3, .sums = sums, .finish_tensor = finish_tensor, .workspace = workspace};

static const cohort_method adafactor = {
    .family = "optimizer",
    .key = "adafactor",
    .summary = "second moments by rows and columns, steps relative to the weights",
    .title = "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
    .source = "Shazeer and Stern, ICML 2018, Algorithms 4 and 5; momentum as in section 6",
    .formula =
        "b = 1 - t^-beta2_power; R, C = b R, C + (1 - b) (mean over the row, column of g^2 + epsilon1); "
        "u = g / sqrt(R C / mean(R)), a vector: g / sqrt(R); u /= max(1, rms(u) / clip_threshold); "
        "s = max(epsilon2, rms(w)) min(learning_rate, 1 / sqrt(t)) u; w *= 1 - learning_rate weight_decay; "
        "w -= s, with beta1: m = beta1 m + (1 - beta1) s, w -= m; tensors of more axes: [first, all others]",
    .config_size = sizeof(adafactor_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ROW,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(adafactor) = {&adafactor, NULL};
