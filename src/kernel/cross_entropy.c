/* Softmax cross-entropy over rows of logits, with label smoothing (Szegedy et al. 2016, section 7). */
#include <string.h>

#include "base/real.h"
#include "kernel/function_real.h"
#include "kernel/kernel.h"
#include "kernel/row_real.h"

void COHORT_VARIED(cohort_kernel_softmax_cross_entropy)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_softmax_cross_entropy_backward)(const cohort_call *call);

typedef struct rows_job {
  const cohort_call *call;
  int64_t rows, columns, tile;
} rows_job;

/* out = exp(x - shift) for a vector's lanes. */
static inline void exponentials(const real *x, real shift, real *restrict out) {
#pragma omp simd
  for (int lane = 0; lane < COHORT_LANES; lane++) out[lane] = cohort_exponential(x[lane] - shift);
}

/* Up to a vector of values that end a row, and -infinity behind them: what is left of a row costs a vector too. */
static inline void pad(const real *x, int64_t n, real *restrict out) {
#pragma omp simd
  for (int lane = 0; lane < COHORT_LANES; lane++) out[lane] = lane < n ? x[lane] : (real)-INFINITY;
}

static real logsumexp(const real *x, int64_t n) {
  const real largest = cohort_row_max(x, n);
  cohort_simd sum = {0};
  real value[COHORT_LANES], rest[COHORT_LANES];
  int64_t j = 0;
  for (; j + COHORT_LANES <= n; j += COHORT_LANES) {
    exponentials(x + j, largest, value);
    sum = cohort_plus(sum, cohort_load(value));
  }
  if (j < n) {
    pad(x + j, n - j, rest);
    exponentials(rest, largest, value);
    sum = cohort_plus(sum, cohort_load(value));
  }
  return largest + (real)log((double)cohort_join_lanes(sum));
}

/* The same for up to a vector of rows that are no longer than a vector, a lane each: column by column. */
static void narrow_logsumexp(const real *x, int64_t rows, int64_t columns, real *lse) {
  real value[COHORT_LANES][COHORT_LANES], largest[COHORT_LANES], sum[COHORT_LANES] = {0};
  int32_t first[COHORT_LANES];
  for (int lane = 0; lane < COHORT_LANES; lane++) {
    first[lane] = (int32_t)(cohort_least(lane, rows - 1) * columns);
    largest[lane] = (real)-INFINITY;
  }
  for (int64_t j = 0; j < columns; j++) {
#pragma omp simd
    for (int lane = 0; lane < COHORT_LANES; lane++) {
      value[j][lane] = x[first[lane] + j];
      largest[lane] = cohort_larger(largest[lane], value[j][lane]);
    }
  }
  for (int64_t j = 0; j < columns; j++) {
#pragma omp simd
    for (int lane = 0; lane < COHORT_LANES; lane++) sum[lane] += cohort_exponential(value[j][lane] - largest[lane]);
  }
#pragma omp simd
  for (int lane = 0; lane < COHORT_LANES; lane++) sum[lane] = largest[lane] + cohort_logarithm(sum[lane]);
  for (int64_t r = 0; r < rows; r++) lse[r] = sum[r];
}

static void logsumexp_rows(const real *x, int64_t rows, int64_t columns, real *lse) {
  if (columns <= COHORT_LANES)
    for (int64_t r = 0; r < rows; r += COHORT_LANES)
      narrow_logsumexp(x + r * columns, cohort_least(COHORT_LANES, rows - r), columns, lse + r);
  else
    for (int64_t r = 0; r < rows; r++) lse[r] = logsumexp(x + r * columns, columns);
}

/* dx = scale (exp(x - shift) - share) over a row. */
static void gradient_row(const real *x, int64_t n, real scale, real shift, real share, real *restrict dx) {
  real value[COHORT_LANES], rest[COHORT_LANES];
  int64_t j = 0;
  for (; j + COHORT_LANES <= n; j += COHORT_LANES) {
    exponentials(x + j, shift, value);
#pragma omp simd
    for (int lane = 0; lane < COHORT_LANES; lane++) dx[j + lane] = scale * (value[lane] - share);
  }
  if (j == n) return;
  pad(x + j, n - j, rest);
  exponentials(rest, shift, value);
#pragma omp simd
  for (int lane = 0; lane < COHORT_LANES; lane++)
    if (lane < n - j) dx[j + lane] = scale * (value[lane] - share);
}

static void forward_tile(void *argument, int64_t tile) {
  const rows_job *job = argument;
  const cohort_call *call = job->call;
  const real smoothing = (real)call->attributes.reals[0];
  const int32_t *target = call->input[1].data;
  real *loss = call->output[0].data, *lse = call->output[1].data;
  const int64_t first = tile * job->tile, last = cohort_least(job->rows, first + job->tile);
  logsumexp_rows((const real *)call->input[0].data + first * job->columns, last - first, job->columns, lse + first);
  for (int64_t r = first; r < last; r++) {
    const real *x = (const real *)call->input[0].data + r * job->columns;
    if (target[r] < 0 || target[r] >= job->columns) {
      loss[r] = 0;
      continue;
    }
    const real mean = smoothing != 0 ? cohort_row_sum(x, job->columns) / (real)job->columns : 0;
    loss[r] = lse[r] - (1 - smoothing) * x[target[r]] - smoothing * mean;
  }
}

static void backward_tile(void *argument, int64_t tile) {
  const rows_job *job = argument;
  const cohort_call *call = job->call;
  const real smoothing = (real)call->attributes.reals[0], share = smoothing / (real)job->columns;
  const int32_t *target = call->input[1].data;
  const real *lse = call->input[2].data, *dloss = call->input[3].data;
  for (int64_t r = tile * job->tile; r < cohort_least(job->rows, (tile + 1) * job->tile); r++) {
    const real *x = (const real *)call->input[0].data + r * job->columns;
    real *restrict dx = (real *)call->output[0].data + r * job->columns;
    if (target[r] < 0 || target[r] >= job->columns) {
      memset(dx, 0, (size_t)job->columns * sizeof *dx);
      continue;
    }
    const real scale = dloss[r], shift = lse[r];
    gradient_row(x, job->columns, scale, shift, share, dx);
    dx[target[r]] -= scale * (1 - smoothing);
  }
}

static void run_rows(const cohort_call *call, cohort_tile_function function) {
  rows_job job = {call, cohort_shape_rows(call->input[0].shape), cohort_shape_columns(call->input[0].shape), 0};
  job.tile = cohort_tile_rows(job.columns);
  cohort_tiles_run(call, cohort_ceil_divide(job.rows, job.tile), function, &job);
}

void COHORT_VARIED(cohort_kernel_softmax_cross_entropy)(const cohort_call *call) { run_rows(call, forward_tile); }
void COHORT_VARIED(cohort_kernel_softmax_cross_entropy_backward)(const cohort_call *call) {
  run_rows(call, backward_tile);
}
