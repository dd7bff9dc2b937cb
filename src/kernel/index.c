/* Gather, scatter_add, segment_sum, take_along and put_along. An index outside the table counts as none. */
#include <string.h>

#include "kernel/row_real.h"

enum { SCATTER_TILES = 32 };

typedef struct index_work {
  const char *x;
  const char *base; /* of a scatter: where the sums start, NULL: at 0 */
  const int32_t *index;
  char *y;
  size_t element;
  int64_t rows, columns; /* of the gathered or scattered rows */
  int64_t table;         /* rows of the table */
  int64_t tile_rows;
} index_work;

static inline int inside(const index_work *work, int32_t index) { return index >= 0 && index < work->table; }

static void gather_tile(void *argument, int64_t tile) {
  const index_work *work = argument;
  const size_t bytes = (size_t)work->columns * work->element;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  for (int64_t row = tile * work->tile_rows; row < last; row++) {
    const int32_t index = work->index[row];
    char *y = work->y + (size_t)row * bytes;
    if (inside(work, index)) {
      memcpy(y, work->x + (size_t)index * bytes, bytes);
    } else {
      memset(y, 0, bytes);
    }
  }
}

void COHORT_VARIED(cohort_kernel_gather)(const cohort_call *call) {
  const cohort_tensor *table = &call->input[0];
  index_work work = {.x = table->data,
                     .index = call->input[1].data,
                     .y = call->output[0].data,
                     .element = cohort_element_size(table),
                     .rows = cohort_shape_elements(call->input[1].shape),
                     .table = table->shape.size[0],
                     .columns = 1};
  for (int axis = 1; axis < table->shape.axes; axis++) work.columns *= table->shape.size[axis];
  work.tile_rows = cohort_tile_rows(work.columns);
  cohort_tiles_run(call, cohort_ceil_divide(work.rows, work.tile_rows), gather_tile, &work);
}

/* A tile owns a range of the table's rows: it sets them to where the sums start, then adds what the index sends there,
 * in order. */
static void scatter_tile(void *argument, int64_t tile) {
  const index_work *work = argument;
  const int64_t columns = work->columns;
  const int64_t first = tile * work->tile_rows, last = cohort_least(first + work->tile_rows, work->table);
  real *table = (real *)work->y;
  const size_t start = (size_t)(first * columns) * sizeof(real),
               bytes = (size_t)((last - first) * columns) * sizeof(real);
  if (!work->base) {
    memset(work->y + start, 0, bytes);
  } else if (work->base != work->y) {
    memcpy(work->y + start, work->base + start, bytes);
  }
  for (int64_t row = 0; row < work->rows; row++) {
    const int64_t index = work->index[row];
    if (index < first || index >= last) continue;
    const real *x = (const real *)work->x + row * columns;
    real *restrict y = table + index * columns;
#pragma omp simd
    for (int64_t j = 0; j < columns; j++) y[j] += x[j];
  }
}

static void run_scatter(const cohort_call *call) {
  const cohort_shape output = call->output[0].shape;
  index_work work = {.x = call->input[0].data,
                     .base = call->inputs == 3 ? call->input[2].data : NULL,
                     .index = call->input[1].data,
                     .y = call->output[0].data,
                     .rows = cohort_shape_elements(call->input[1].shape),
                     .table = output.size[0],
                     .columns = 1};
  for (int axis = 1; axis < output.axes; axis++) work.columns *= output.size[axis];
  work.tile_rows = cohort_most(cohort_tile_rows(work.columns), cohort_ceil_divide(work.table, SCATTER_TILES));
  cohort_tiles_run(call, cohort_ceil_divide(work.table, work.tile_rows), scatter_tile, &work);
}

void COHORT_VARIED(cohort_kernel_scatter_add)(const cohort_call *call) { run_scatter(call); }
void COHORT_VARIED(cohort_kernel_segment_sum)(const cohort_call *call) { run_scatter(call); }

static void take_tile(void *argument, int64_t tile) {
  const index_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  for (int64_t row = tile * work->tile_rows; row < last; row++) {
    const int32_t index = work->index[row];
    char *y = work->y + (size_t)row * work->element;
    if (inside(work, index)) {
      memcpy(y, work->x + (size_t)(row * work->columns + index) * work->element, work->element);
    } else {
      memset(y, 0, work->element);
    }
  }
}

void COHORT_VARIED(cohort_kernel_take_along)(const cohort_call *call) {
  const cohort_tensor *x = &call->input[0];
  index_work work = {.x = x->data,
                     .index = call->input[1].data,
                     .y = call->output[0].data,
                     .element = cohort_element_size(x),
                     .rows = cohort_shape_rows(x->shape),
                     .columns = cohort_shape_columns(x->shape),
                     .tile_rows = COHORT_TILE_ELEMENTS / 4};
  work.table = work.columns;
  cohort_tiles_run(call, cohort_ceil_divide(work.rows, work.tile_rows), take_tile, &work);
}

static void put_tile(void *argument, int64_t tile) {
  const index_work *work = argument;
  const size_t bytes = (size_t)work->columns * work->element;
  const int64_t last = cohort_least((tile + 1) * work->tile_rows, work->rows);
  memset(work->y + (size_t)(tile * work->tile_rows) * bytes, 0, (size_t)(last - tile * work->tile_rows) * bytes);
  for (int64_t row = tile * work->tile_rows; row < last; row++) {
    const int32_t index = work->index[row];
    if (!inside(work, index)) continue;
    memcpy(work->y + (size_t)row * bytes + (size_t)index * work->element, work->x + (size_t)row * work->element,
           work->element);
  }
}

void COHORT_VARIED(cohort_kernel_put_along)(const cohort_call *call) {
  const cohort_tensor *v = &call->input[0];
  index_work work = {.x = v->data,
                     .index = call->input[1].data,
                     .y = call->output[0].data,
                     .element = cohort_element_size(v),
                     .rows = cohort_shape_elements(v->shape),
                     .columns = cohort_shape_columns(call->output[0].shape)};
  work.table = work.columns;
  work.tile_rows = cohort_tile_rows(work.columns);
  cohort_tiles_run(call, cohort_ceil_divide(work.rows, work.tile_rows), put_tile, &work);
}
