/* Reductions and scans of rows: argmax, logsumexp, cumulative sums. */
#include <math.h>

#include "kernel/function_real.h"
#include "kernel/row_real.h"

enum { CHUNK = 256 };

typedef struct row_work {
  const real *x;
  void *y;
  int64_t rows, columns, tile_rows;
} row_work;

static row_work work_of(const cohort_call *call) {
  row_work work = {call->input[0].data, call->output[0].data, cohort_shape_rows(call->input[0].shape),
                   cohort_shape_columns(call->input[0].shape), 0};
  work.tile_rows = cohort_tile_rows(work.columns);
  return work;
}

/* The first of the largest, or of NaN where there is any. */
static int32_t argmax(const real *x, int64_t n) {
  const real best = cohort_row_max(x, n);
  int32_t i = 0;
  while (i + 1 < n && !(x[i] == best || (best != best && x[i] != x[i]))) i++;
  return i;
}

/* The same for up to a vector of short rows, a lane each: nobody can foretell where a row's search ends. */
static void narrow_argmax(const real *x, int64_t rows, int64_t columns, int32_t *y) {
  real best[COHORT_LANES];
  int32_t first[COHORT_LANES], at[COHORT_LANES] = {0};
  for (int lane = 0; lane < COHORT_LANES; lane++) {
    first[lane] = (int32_t)(cohort_least(lane, rows - 1) * columns);
    best[lane] = x[first[lane]];
  }
  for (int32_t j = 1; j < columns; j++) {
#pragma omp simd
    for (int lane = 0; lane < COHORT_LANES; lane++) {
      const real value = x[first[lane] + j];
      const int better = (value > best[lane]) | ((value != value) & (best[lane] == best[lane]));
      best[lane] = better ? value : best[lane];
      at[lane] = better ? j : at[lane];
    }
  }
  for (int64_t r = 0; r < rows; r++) y[r] = at[r];
}

static void argmax_tile(void *argument, int64_t tile) {
  const row_work *work = argument;
  const int64_t columns = work->columns, last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  const int64_t step = columns <= COHORT_LANES ? COHORT_LANES : 1;
  for (int64_t row = tile * work->tile_rows; row < last; row += step) {
    const real *x = work->x + row * columns;
    int32_t *y = (int32_t *)work->y + row;
    if (step == 1)
      *y = argmax(x, columns);
    else
      narrow_argmax(x, cohort_least(step, last - row), columns, y);
  }
}

void COHORT_VARIED(cohort_kernel_argmax)(const cohort_call *call) {
  row_work work = work_of(call);
  cohort_tiles_run(call, cohort_ceil_divide(work.rows, work.tile_rows), argmax_tile, &work);
}

static real row_logsumexp(const real *x, int64_t n) {
  const real largest = cohort_row_max(x, n);
  if (largest - largest != 0) return largest; /* infinite or NaN */
  real sum = 0, part[CHUNK];
  for (int64_t i = 0; i < n; i += CHUNK) {
    const int64_t count = cohort_least(CHUNK, n - i);
#pragma omp simd
    for (int64_t j = 0; j < count; j++) part[j] = cohort_exponential(x[i + j] - largest);
    sum += cohort_row_sum(part, count);
  }
  return largest + cohort_logarithm(sum);
}

static void logsumexp_tile(void *argument, int64_t tile) {
  const row_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  for (int64_t row = tile * work->tile_rows; row < last; row++) {
    ((real *)work->y)[row] = row_logsumexp(work->x + row * work->columns, work->columns);
  }
}

void COHORT_VARIED(cohort_kernel_logsumexp)(const cohort_call *call) {
  row_work work = work_of(call);
  cohort_tiles_run(call, cohort_ceil_divide(work.rows, work.tile_rows), logsumexp_tile, &work);
}

/* [outer, size, inner]; a tile is a block of columns of some outer positions. */
typedef struct scan_work {
  const real *x;
  real *y;
  int64_t outer, size, inner, block, blocks, items;
  int reverse;
} scan_work;

static void scan_item(const scan_work *work, int64_t item) {
  const int64_t column = item % work->blocks * work->block, outer = item / work->blocks;
  const int64_t columns = cohort_least(work->block, work->inner - column);
  const int64_t origin = outer * work->size * work->inner + column;
  const int64_t step = work->reverse ? -work->inner : work->inner;
  const int64_t start = origin + (work->reverse ? (work->size - 1) * work->inner : 0);
  const real *x = work->x + start;
  real *y = work->y + start;
  for (int64_t j = 0; j < columns; j++) y[j] = x[j];
  for (int64_t i = 1; i < work->size; i++) {
    const real *row = x + i * step, *before = y + (i - 1) * step;
    real *restrict sum = y + i * step;
#pragma omp simd
    for (int64_t j = 0; j < columns; j++) sum[j] = before[j] + row[j];
  }
}

static void scan_tile(void *argument, int64_t tile) {
  const scan_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->items, work->outer * work->blocks);
  for (int64_t item = tile * work->items; item < last; item++) scan_item(work, item);
}

void COHORT_VARIED(cohort_kernel_cumsum)(const cohort_call *call) {
  const cohort_shape shape = call->input[0].shape;
  const int64_t axis = call->attributes.integers[0];
  scan_work work = {.x = call->input[0].data,
                    .y = call->output[0].data,
                    .outer = 1,
                    .inner = 1,
                    .reverse = call->attributes.integers[1] == 1};
  if (cohort_shape_elements(shape) == 0) return;
  work.size = shape.size[axis];
  for (int64_t k = 0; k < axis; k++) work.outer *= shape.size[k];
  for (int64_t k = axis + 1; k < shape.axes; k++) work.inner *= shape.size[k];
  work.block = cohort_least(work.inner, CHUNK);
  work.blocks = cohort_ceil_divide(work.inner, work.block);
  work.items = cohort_tile_rows(work.size * work.block);
  cohort_tiles_run(call, cohort_ceil_divide(work.outer * work.blocks, work.items), scan_tile, &work);
}
