/* Softmax cross-entropy over rows of logits, with label smoothing (Szegedy et al. 2016, section 7). */
#include <string.h>

#include "base/real.h"
#include "kernel/function_real.h"
#include "kernel/kernel.h"
#include "kernel/row_real.h"

void COHORT_VARIED(cohort_run_softmax_cross_entropy)(const cohort_call *call);
void COHORT_VARIED(cohort_run_softmax_cross_entropy_backward)(const cohort_call *call);

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
  for (int lane = 0; lane < COHORT_LANES; lane++) out[lane] = (real)-INFINITY;
  memcpy(out, x, (size_t)n * sizeof *x);
}

static real logsumexp(const real *x, int64_t n) {
  const real largest = cohort_row_max(x, n);
  cohort_vector sum = {0};
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
  for (int64_t lane = 0; lane < n - j; lane++) dx[j + lane] = scale * (value[lane] - share);
}

static void forward_tile(void *argument, int64_t tile) {
  const rows_job *job = argument;
  const cohort_call *call = job->call;
  const real smoothing = (real)call->attributes.reals[0];
  const int32_t *target = call->input[1].data;
  real *loss = call->output[0].data, *lse = call->output[1].data;
  for (int64_t r = tile * job->tile; r < cohort_least(job->rows, (tile + 1) * job->tile); r++) {
    const real *x = (const real *)call->input[0].data + r * job->columns;
    lse[r] = logsumexp(x, job->columns);
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
  cohort_run_tiles(call, cohort_ceil_divide(job.rows, job.tile), function, &job);
}

void COHORT_VARIED(cohort_run_softmax_cross_entropy)(const cohort_call *call) { run_rows(call, forward_tile); }
void COHORT_VARIED(cohort_run_softmax_cross_entropy_backward)(const cohort_call *call) {
  run_rows(call, backward_tile);
}
