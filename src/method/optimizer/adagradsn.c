/* AdaGrad-SN and Adam-SN: one second moment a subset of a tensor. By default the subsets of a matrix are its rows or
 * its columns, whichever are fewer numbers a row or column; a vector's rows are its elements. Columns are summed in one
 * pass and stepped in the next; runs of neighbours that cross rows see the whole tensor. */
#include "method/optimizer/optimizer_real.h"

typedef struct adagradsn_config {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  int64_t subset_size;
  bool bias_correction;
} adagradsn_config;

static const cohort_parameter parameters[] = {
    COHORT_LEARNING_RATE(adagradsn_config, "1e-2", 1e-4, 1, "step size"),
    COHORT_REAL_UNIT(adagradsn_config, beta1, "0", "decay of the gradient's average; 0: none is kept"),
    COHORT_REAL_RANGE(adagradsn_config, beta2, "1", 0, false, 1, false,
                      "decay of the average of a subset's squared norm; 1: a sum, which does not decay"),
    COHORT_INTEGER_RANGE(adagradsn_config, subset_size, "0", 0, 1e15,
                         "elements of a subset of a matrix, lowered until it divides their number; 0: rows or columns"),
    COHORT_REAL_ABOVE(adagradsn_config, epsilon, "1e-8", 0, "added to the root in the denominator"),
    COHORT_BOOLEAN(adagradsn_config, bias_correction, "false", "correct both averages as Adam does"),
    COHORT_DECOUPLED_DECAY(adagradsn_config, "0", .sweep_low = 1e-4, .sweep_high = 0.3, .sweep_log = true),
    {.name = NULL},
};

static int64_t columns_of(cohort_shape shape) { return cohort_shape_elements(shape) / shape.size[0]; }

typedef enum { ROWS, COLUMNS, RUNS } subsets;

static subsets subsets_of(const void *config, cohort_shape shape) {
  if (shape.axes < 2 || !cohort_shape_elements(shape)) return ROWS;
  if (((const adagradsn_config *)config)->subset_size > 0) return RUNS;
  return shape.size[0] >= columns_of(shape) ? ROWS : COLUMNS;
}

/* Elements of a run. */
static int64_t run_of(const void *config, cohort_shape shape) {
  const int64_t elements = cohort_shape_elements(shape), wanted = ((const adagradsn_config *)config)->subset_size;
  int64_t run = wanted < elements ? wanted : elements;
  while (elements % run) run--;
  return run;
}

static cohort_cut cut(const void *config, cohort_shape shape) {
  return subsets_of(config, shape) == RUNS ? COHORT_CUT_TENSOR : COHORT_CUT_ROW;
}

static int64_t first_size(const void *config, cohort_shape shape) {
  (void)shape;
  return ((const adagradsn_config *)config)->beta1 > 0;
}
static int64_t row_size(const void *config, cohort_shape shape) { return subsets_of(config, shape) == ROWS; }
static int64_t column_size(const void *config, cohort_shape shape) { return subsets_of(config, shape) == COLUMNS; }
static int64_t run_size(const void *config, cohort_shape shape) {
  return subsets_of(config, shape) == RUNS ? cohort_shape_elements(shape) / run_of(config, shape) : 0;
}

enum { FIRST, ROW, COLUMN, RUN, FACTOR };
static const cohort_state states[] = {
    [FIRST] = {.name = "first", .size = first_size, .meaning = "average of the gradient, with beta1"},
    [ROW] = {.name = "row", .owner = COHORT_OWNER_ROW, .size = row_size, .meaning = "the row's squared norm"},
    [COLUMN] = {.name = "column",
                .owner = COHORT_OWNER_COLUMN,
                .size = column_size,
                .meaning = "the column's squared norm"},
    [RUN] = {.name = "run", .owner = COHORT_OWNER_TENSOR, .size = run_size, .meaning = "each run's squared norm"},
    [FACTOR] = {.name = "column_factor",
                .owner = COHORT_OWNER_COLUMN,
                .size = column_size,
                .scratch = true,
                .meaning = "the step size of a column"},
    {.name = NULL},
};

static const cohort_pass_sum sums[] = {
    {.name = "columns", .pass = 0, .over = COHORT_OWNER_COLUMN},
    {.name = NULL},
};

static double joined(const adagradsn_config *config, double last, double square) {
  return config->beta2 < 1 ? config->beta2 * last + (1 - config->beta2) * square : last + square;
}

static double rate_of(const cohort_update *u, double square) {
  const adagradsn_config *config = u->config;
  double rate = u->learning_rate;
  if (config->bias_correction) {
    rate /= 1 - pow(config->beta1, (double)u->step);
    if (config->beta2 < 1) rate *= sqrt(1 - pow(config->beta2, (double)u->step));
  }
  return rate / (sqrt(square) + config->epsilon);
}

static void average_range(int64_t n, real beta1, real scale, const real *restrict gradient, real *restrict first) {
  for (int64_t i = 0; i < n; i++) first[i] = beta1 * first[i] + (1 - beta1) * (scale * gradient[i]);
}

static void step_range(int64_t n, real keep, real rate, real *restrict w, const real *restrict direction) {
  for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - rate * direction[i];
}

static void step_columns(int64_t n, real keep, real scale, real *restrict w, const real *restrict direction,
                         const real *restrict factor) {
  for (int64_t i = 0; i < n; i++) w[i] = keep * w[i] - factor[i] * (scale * direction[i]);
}

/* Subsets of `run` neighbours, with their squared norms. */
static void step_runs(const cohort_update *u, int64_t run, real *square) {
  const adagradsn_config *config = u->config;
  const real keep = (real)(1 - u->learning_rate * u->weight_decay), *gradient = u->gradient;
  real *w = u->parameters, *first = u->state[FIRST];
  for (int64_t i = 0, at = 0; at < u->elements; i++, at += run) {
    const double norm = u->gradient_scale * u->gradient_scale * u->kernels->dot(gradient + at, gradient + at, run);
    square[i] = (real)joined(config, (double)square[i], norm);
    const double rate = rate_of(u, (double)square[i]);
    if (config->beta1 > 0) {
      average_range(run, (real)config->beta1, (real)u->gradient_scale, gradient + at, first + at);
      step_range(run, keep, (real)rate, w + at, first + at);
    } else {
      step_range(run, keep, (real)(rate * u->gradient_scale), w + at, gradient + at);
    }
  }
}

static void add_columns(const cohort_update *u, int64_t columns) {
  const real *gradient = u->gradient;
  const double scale = u->gradient_scale;
  double *restrict sum = u->sum[0];
  for (int64_t at = 0; at < u->elements; at += columns)
    for (int64_t j = 0; j < columns; j++) {
      const double g = scale * (double)gradient[at + j];
      sum[j] += g * g;
    }
}

static void move_columns(const cohort_update *u, int64_t columns) {
  const adagradsn_config *config = u->config;
  const real keep = (real)(1 - u->learning_rate * u->weight_decay), *gradient = u->gradient;
  const real *factor = u->state[FACTOR], scale = (real)u->gradient_scale;
  real *w = u->parameters, *first = u->state[FIRST];
  if (config->beta1 > 0) average_range(u->elements, (real)config->beta1, scale, gradient, first);
  for (int64_t at = 0; at < u->elements; at += columns)
    step_columns(columns, keep, config->beta1 > 0 ? 1 : scale, w + at, config->beta1 > 0 ? first + at : gradient + at,
                 factor);
}

static void update(const cohort_update *u) {
  if (!u->elements) return;
  const subsets kind = subsets_of(u->config, u->shape);
  const int64_t columns = columns_of(u->shape);
  if (kind == COLUMNS && u->pass == 0)
    add_columns(u, columns);
  else if (kind == COLUMNS)
    move_columns(u, columns);
  else if (u->pass == 0)
    step_runs(u, kind == ROWS ? columns : run_of(u->config, u->shape), u->state[kind == ROWS ? ROW : RUN]);
}

static void finish_tensor(const cohort_update *u) {
  if (u->pass > 0 || subsets_of(u->config, u->shape) != COLUMNS) return;
  real *column = u->state[COLUMN], *factor = u->state[FACTOR];
  for (int64_t j = 0; j < columns_of(u->shape); j++) {
    column[j] = (real)joined(u->config, (double)column[j], u->sum[0][j]);
    factor[j] = (real)rate_of(u, (double)column[j]);
  }
}

static const cohort_optimizer functions = {
    .update = update, .passes = 2, .sums = sums, .finish_tensor = finish_tensor, .cut = cut};

static const cohort_method adagradsn = {
    .family = "optimizer",
    .key = "adagradsn",
    .summary = "AdaGrad, or Adam, with one second moment a row, column or run: the subset norm",
    .title =
        "Efficient Adaptive Optimization via Subset-Norm and Subspace-Momentum: Fast, Memory-Reduced Training with "
        "Convergence Guarantees",
    .source = "Nguyen and Nguyen, ICML 2025, Algorithm 1 and the authors' code; without the subspace momentum",
    .formula =
        "s += sum of g^2 over the subset (beta2 = 1), or s = beta2 s + (1 - beta2) sum of g^2; m = g, or with beta1 "
        "beta1 m + (1 - beta1) g; w *= 1 - learning_rate weight_decay; w -= learning_rate m / (sqrt(s) + epsilon), "
        "bias_correction: learning_rate sqrt(1 - beta2^t) / (1 - beta1^t); subsets: a matrix's rows if they are not "
        "fewer than its columns, else its columns; a vector's elements; tensors of more axes: [first, all others]",
    .config_size = sizeof(adagradsn_config),
    .parameters = parameters,
    .states = states,
    .cut = COHORT_CUT_ROW,
    .functions = &functions,
};

COHORT_OPTIMIZER_FILE(adagradsn) = {&adagradsn, NULL};
