/* Layer norm (Ba et al., 2016) and RMS norm (Zhang and Sennrich, 2019) over rows, and their derivatives. RMS norm is
 * the same without a mean and a bias. */
#include "kernel/function_real.h"
#include "kernel/row_real.h"

enum { GRADIENT_BLOCKS = 64, GRADIENT_ROWS = 16, JOIN_COLUMNS = 512 };

typedef struct norm_work {
  const real *x, *gain, *bias, *mean, *rstd, *dy;
  real *y, *mean_out, *rstd_out; /* y is dx when backward */
  real *dgain, *dbias, *partial; /* partial [blocks][2][columns]: dgain, dbias of a block of rows */
  int64_t rows, columns, tile_rows, blocks;
  double epsilon;
  int centred;
} norm_work;

static real inverse_root(real x) {
  return COHORT_REAL_IS_DOUBLE ? (real)(1 / sqrt((double)x)) : (real)(1 / sqrtf((float)x));
}

/* The sum of (x - mean)^2. */
static real squares(const real *x, real mean, int64_t n) {
  cohort_simd even = {0}, odd = {0};
  int64_t i = 0;
  for (; i + 2 * COHORT_LANES <= n; i += 2 * COHORT_LANES) {
    const cohort_simd a = cohort_less_each(cohort_load(x + i), mean);
    const cohort_simd b = cohort_less_each(cohort_load(x + i + COHORT_LANES), mean);
    even = cohort_plus_product(even, a, a);
    odd = cohort_plus_product(odd, b, b);
  }
  real tail = 0;
  for (; i < n; i++) tail += (x[i] - mean) * (x[i] - mean);
  return cohort_join_lanes(cohort_plus(even, odd)) + tail;
}

static void norm_row(const norm_work *work, int64_t row) {
  const int64_t n = work->columns;
  const real *x = work->x + row * n, *gain = work->gain, *bias = work->bias;
  real *restrict y = work->y + row * n;
  const real mean = work->centred ? cohort_row_sum(x, n) / (real)n : 0;
  const real rstd = inverse_root(squares(x, mean, n) / (real)n + (real)work->epsilon);
  if (work->centred) {
    work->mean_out[row] = mean;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) y[j] = (x[j] - mean) * rstd * gain[j] + bias[j];
  } else {
#pragma omp simd
    for (int64_t j = 0; j < n; j++) y[j] = x[j] * rstd * gain[j];
  }
  work->rstd_out[row] = rstd;
}

static void norm_tile(void *argument, int64_t tile) {
  const norm_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  for (int64_t row = tile * work->tile_rows; row < last; row++) norm_row(work, row);
}

static void run_norm(const cohort_call *call, norm_work *work) {
  work->x = call->input[0].data;
  work->gain = call->input[1].data;
  work->y = call->output[0].data;
  work->rows = cohort_shape_rows(call->input[0].shape);
  work->columns = cohort_shape_columns(call->input[0].shape);
  work->epsilon = call->attributes.reals[0];
  work->tile_rows = cohort_tile_rows(work->columns);
  cohort_tiles_run(call, cohort_ceil_divide(work->rows, work->tile_rows), norm_tile, work);
}

void COHORT_VARIED(cohort_kernel_layer_norm)(const cohort_call *call) {
  norm_work work = {
      .centred = 1, .bias = call->input[2].data, .mean_out = call->output[1].data, .rstd_out = call->output[2].data};
  run_norm(call, &work);
}

void COHORT_VARIED(cohort_kernel_rms_norm)(const cohort_call *call) {
  norm_work work = {.rstd_out = call->output[1].data};
  run_norm(call, &work);
}

/* The sums of g dy and of g dy xhat over a row. */
static void backward_sums(const real *x, const real *gain, const real *dy, real mean, real rstd, int64_t n, real *plain,
                          real *weighted) {
  cohort_simd sum = {0}, product = {0};
  int64_t j = 0;
  for (; j + COHORT_LANES <= n; j += COHORT_LANES) {
    const cohort_simd g = cohort_times(cohort_load(gain + j), cohort_load(dy + j));
    sum = cohort_plus(sum, g);
    product = cohort_plus_product(product, g, cohort_less_each(cohort_load(x + j), mean));
  }
  real tail = 0, tail_product = 0;
  for (; j < n; j++) {
    tail += gain[j] * dy[j];
    tail_product += gain[j] * dy[j] * (x[j] - mean);
  }
  *plain = cohort_join_lanes(sum) + tail;
  *weighted = (cohort_join_lanes(product) + tail_product) * rstd;
}

static void backward_row(const norm_work *work, int64_t row, real *restrict dgain, real *restrict dbias) {
  const int64_t n = work->columns;
  const real *x = work->x + row * n, *dy = work->dy + row * n, *gain = work->gain;
  real *restrict dx = work->y + row * n;
  const real mean = work->centred ? work->mean[row] : 0, rstd = work->rstd[row];
  real plain, weighted;
  backward_sums(x, gain, dy, mean, rstd, n, &plain, &weighted);
  plain = work->centred ? plain / (real)n : 0;
  weighted /= (real)n;
#pragma omp simd
  for (int64_t j = 0; j < n; j++) {
    const real normal = (x[j] - mean) * rstd;
    dx[j] = rstd * (gain[j] * dy[j] - plain - normal * weighted);
    dgain[j] += dy[j] * normal;
    dbias[j] += dy[j];
  }
}

static void backward_tile(void *argument, int64_t block) {
  const norm_work *work = argument;
  real *dgain = work->partial + block * 2 * work->columns, *dbias = dgain + work->columns;
  for (int64_t j = 0; j < 2 * work->columns; j++) dgain[j] = 0;
  const int64_t last = cohort_least((block + 1) * work->tile_rows, work->rows);
  for (int64_t row = block * work->tile_rows; row < last; row++) backward_row(work, row, dgain, dbias);
}

static void join_blocks(const norm_work *work, const real *partial, real *restrict y, int64_t first, int64_t last) {
  for (int64_t j = first; j < last; j++) y[j] = 0;
  for (int64_t block = 0; block < work->blocks; block++) {
    const real *row = partial + block * 2 * work->columns;
#pragma omp simd
    for (int64_t j = first; j < last; j++) y[j] += row[j];
  }
}

static void join_tile(void *argument, int64_t tile) {
  const norm_work *work = argument;
  const int64_t first = tile * JOIN_COLUMNS, last = cohort_least(first + JOIN_COLUMNS, work->columns);
  join_blocks(work, work->partial, work->dgain, first, last);
  if (work->centred) join_blocks(work, work->partial + work->columns, work->dbias, first, last);
}

static void cut_backward(const cohort_call *call, norm_work *work) {
  work->rows = cohort_shape_rows(call->input[0].shape);
  work->columns = cohort_shape_columns(call->input[0].shape);
  work->tile_rows =
      cohort_most(GRADIENT_ROWS, cohort_ceil_divide(cohort_call_planned(call, work->rows), GRADIENT_BLOCKS));
  work->blocks = cohort_ceil_divide(work->rows, work->tile_rows);
}

static void run_backward(const cohort_call *call, norm_work *work) {
  work->x = call->input[0].data;
  work->gain = call->input[1].data;
  work->y = call->output[0].data;
  work->dgain = call->output[1].data;
  work->partial = call->workspace;
  cut_backward(call, work);
  cohort_tiles_run(call, work->blocks, backward_tile, work);
  cohort_tiles_run(call, cohort_ceil_divide(work->columns, JOIN_COLUMNS), join_tile, work);
}

static size_t backward_workspace(const cohort_call *call) {
  norm_work work = {0};
  cut_backward(call, &work);
  return cohort_workspace_reals(work.blocks * 2 * work.columns);
}

void COHORT_VARIED(cohort_kernel_layer_norm_backward)(const cohort_call *call) {
  norm_work work = {.centred = 1,
                    .mean = call->input[2].data,
                    .rstd = call->input[3].data,
                    .dy = call->input[4].data,
                    .dbias = call->output[2].data};
  run_backward(call, &work);
}

void COHORT_VARIED(cohort_kernel_rms_norm_backward)(const cohort_call *call) {
  norm_work work = {.rstd = call->input[2].data, .dy = call->input[3].data};
  run_backward(call, &work);
}

size_t COHORT_VARIED(cohort_workspace_layer_norm_backward)(const cohort_call *call) { return backward_workspace(call); }
size_t COHORT_VARIED(cohort_workspace_rms_norm_backward)(const cohort_call *call) { return backward_workspace(call); }
