/* Sum and max over a set of axes. After merging neighbours the shape is [outer, reduced, inner] in nearly all cases: it
 * is cut along all three into tiles of fixed size whose results go to the workspace and are then joined in order.
 * Other sets of axes take a loop over the output's elements. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/elementwise_real.h"
#include "kernel/row_real.h"

enum { ROW_CHUNK = 32768, COLUMN_BLOCK = COHORT_SUM_COLUMNS };

typedef struct reduce_shape {
  int axes;
  int64_t size[COHORT_MAX_AXES];
  int reduced[COHORT_MAX_AXES];
} reduce_shape;

typedef struct reduce_work {
  const real *x;
  real *partial, *y; /* the same when there is one chunk */
  int64_t outer, reduced, inner;
  int64_t chunk, chunks, block, blocks, rows;
  int largest;
  reduce_shape shape;
} reduce_work;

static reduce_shape shape_of(const cohort_call *call) {
  reduce_shape shape = {0};
  const cohort_shape input = call->input[0].shape;
  for (int axis = 0; axis < input.axes; axis++) {
    const int reduced = (int)(call->attributes.integers[0] >> axis & 1);
    if (input.size[axis] == 1) continue;
    if (shape.axes > 0 && shape.reduced[shape.axes - 1] == reduced) {
      shape.size[shape.axes - 1] *= input.size[axis];
    } else {
      shape.reduced[shape.axes] = reduced;
      shape.size[shape.axes++] = input.size[axis];
    }
  }
  return shape;
}

/* Whether it is [outer, reduced, inner]; fills these in. */
static int plain_shape(reduce_work *work) {
  const reduce_shape *shape = &work->shape;
  int axis = 0;
  work->outer = work->reduced = work->inner = 1;
  if (axis < shape->axes && !shape->reduced[axis]) work->outer = shape->size[axis++];
  if (axis < shape->axes) work->reduced = shape->size[axis++];
  if (axis < shape->axes) work->inner = shape->size[axis++];
  return axis == shape->axes;
}

static void cut(const cohort_call *call, reduce_work *work) {
  const bool over_rows = call->attributes.integers[0] & 1;
  work->chunk = work->inner == 1
                    ? ROW_CHUNK
                    : cohort_sum_rows(over_rows ? cohort_call_planned(call, work->reduced) : work->reduced);
  work->chunks = cohort_most(1, cohort_ceil_divide(work->reduced, work->chunk));
  work->block = work->inner == 1 ? 1 : COLUMN_BLOCK;
  work->blocks = cohort_ceil_divide(work->inner, work->block);
  work->rows = cohort_tile_rows(cohort_least(work->chunk, work->reduced) * cohort_least(work->block, work->inner));
}

static inline real join(int largest, real a, real b) { return largest ? cohort_larger(a, b) : a + b; }

static real reduce_row(const reduce_work *work, const real *x, int64_t n) {
  return work->largest ? cohort_row_max(x, n) : cohort_row_sum(x, n);
}

/* y[j] = the join of x[i * stride + j] over rows i, in order. */
static void reduce_columns(int largest, const real *x, int64_t stride, int64_t rows, real *restrict y,
                           int64_t columns) {
  memcpy(y, x, (size_t)columns * sizeof(real));
  for (int64_t i = 1; i < rows; i++) {
    const real *row = x + i * stride;
    /* NOLINTNEXTLINE(bugprone-branch-clone): loops under a pragma look alike to it */
    if (largest) {
#pragma omp simd
      for (int64_t j = 0; j < columns; j++) y[j] = cohort_larger(y[j], row[j]);
    } else {
#pragma omp simd
      for (int64_t j = 0; j < columns; j++) y[j] += row[j];
    }
  }
}

static void reduce_tile(void *argument, int64_t tile) {
  const reduce_work *work = argument;
  const int64_t items = work->outer * work->chunks * work->blocks;
  const int64_t last = cohort_least((tile + 1) * work->rows, items);
  for (int64_t item = tile * work->rows; item < last; item++) {
    const int64_t block = item % work->blocks, chunk = item / work->blocks % work->chunks;
    const int64_t outer = item / work->blocks / work->chunks;
    const int64_t first = chunk * work->chunk, column = block * work->block;
    const int64_t count = cohort_least(work->chunk, work->reduced - first);
    const real *x = work->x + (outer * work->reduced + first) * work->inner + column;
    real *y = work->partial + (outer * work->chunks + chunk) * work->inner + column;
    if (work->inner == 1) {
      *y = reduce_row(work, x, count);
    } else {
      reduce_columns(work->largest, x, work->inner, count, y, cohort_least(work->block, work->inner - column));
    }
  }
}

/* Joins the chunks of one block of columns of one outer position. */
static void join_tile(void *argument, int64_t tile) {
  const reduce_work *work = argument;
  const int64_t outer = tile / work->blocks, column = tile % work->blocks * work->block;
  reduce_columns(work->largest, work->partial + outer * work->chunks * work->inner + column, work->inner, work->chunks,
                 work->y + outer * work->inner + column, cohort_least(work->block, work->inner - column));
}

/* The join over all reduced axes from `axis` on, for the input's element x + ...; kept axes are at `index`. */
static real reduce_any(const reduce_work *work, const real *x, int axis, const int64_t *index) {
  const reduce_shape *shape = &work->shape;
  int64_t step = 1;
  for (int k = axis + 1; k < shape->axes; k++) step *= shape->size[k];
  if (axis == shape->axes) return *x;
  if (!shape->reduced[axis]) return reduce_any(work, x + index[axis] * step, axis + 1, index);
  if (axis + 1 == shape->axes) return reduce_row(work, x, shape->size[axis]);
  real result = reduce_any(work, x, axis + 1, index);
  for (int64_t i = 1; i < shape->size[axis]; i++) {
    result = join(work->largest, result, reduce_any(work, x + i * step, axis + 1, index));
  }
  return result;
}

static void any_tile(void *argument, int64_t tile) {
  const reduce_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->rows, work->outer);
  for (int64_t output = tile * work->rows; output < last; output++) {
    int64_t index[COHORT_MAX_AXES] = {0};
    int64_t rest = output;
    for (int axis = work->shape.axes - 1; axis >= 0; axis--) {
      if (work->shape.reduced[axis]) continue;
      index[axis] = rest % work->shape.size[axis];
      rest /= work->shape.size[axis];
    }
    work->y[output] = reduce_any(work, work->x, 0, index);
  }
}

static void run_reduce(const cohort_call *call, int largest) {
  reduce_work work = {.x = call->input[0].data, .y = call->output[0].data, .largest = largest, .shape = shape_of(call)};
  const int64_t outputs = cohort_shape_elements(call->output[0].shape);
  const int64_t elements = cohort_shape_elements(call->input[0].shape);
  if (elements == 0) {
    for (int64_t i = 0; i < outputs; i++) work.y[i] = largest ? (real)-INFINITY : 0;
    return;
  }
  if (!plain_shape(&work)) {
    work.outer = outputs;
    work.rows = cohort_tile_rows(elements / outputs);
    cohort_tiles_run(call, cohort_ceil_divide(outputs, work.rows), any_tile, &work);
    return;
  }
  cut(call, &work);
  work.partial = work.chunks == 1 ? work.y : call->workspace;
  const int64_t items = work.outer * work.chunks * work.blocks;
  cohort_tiles_run(call, cohort_ceil_divide(items, work.rows), reduce_tile, &work);
  if (work.chunks > 1) cohort_tiles_run(call, work.outer * work.blocks, join_tile, &work);
}

static size_t workspace(const cohort_call *call) {
  reduce_work work = {.shape = shape_of(call)};
  if (!plain_shape(&work)) return 0;
  cut(call, &work);
  return work.chunks == 1 ? 0 : cohort_workspace_reals(work.outer * work.chunks * work.inner);
}

void COHORT_VARIED(cohort_kernel_sum)(const cohort_call *call) { run_reduce(call, 0); }
void COHORT_VARIED(cohort_kernel_max)(const cohort_call *call) { run_reduce(call, 1); }
size_t COHORT_VARIED(cohort_workspace_sum)(const cohort_call *call) { return workspace(call); }
size_t COHORT_VARIED(cohort_workspace_max)(const cohort_call *call) { return workspace(call); }

void COHORT_VARIED(cohort_sum_elements)(const real *x, int64_t start, int64_t first, int64_t count, int64_t columns,
                                        real *partial) {
  int64_t column = (first - start) % columns;
  for (int64_t done = 0; done < count;) {
    const int64_t run = cohort_least(columns - column, count - done);
    const real *row = x + done;
    real *restrict y = partial + column;
    if (first + done - start < columns) {
      memcpy(y, row, (size_t)run * sizeof(real));
    } else {
#pragma omp simd
      for (int64_t j = 0; j < run; j++) y[j] += row[j];
    }
    done += run;
    column = 0;
  }
}

void COHORT_VARIED(cohort_sum_join)(const real *x, int64_t rows, int64_t stride, int64_t columns, real *y) {
  reduce_columns(0, x, stride, rows, y, columns);
}
