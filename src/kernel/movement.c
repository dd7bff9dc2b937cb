/* Slice, pad, concat and flip: copies of runs along one axis, of any element type. */
#include <string.h>

#include "kernel/row_real.h"

/* An axis of a tensor: [outer, size, inner], inner in bytes. */
typedef struct axis_view {
  char *data;
  int64_t outer, size;
  size_t inner;
} axis_view;

static axis_view view_of(const cohort_tensor *tensor, int64_t axis) {
  axis_view view = {tensor->data, 1, tensor->shape.size[axis], cohort_element_size(tensor)};
  for (int64_t k = 0; k < axis; k++) view.outer *= tensor->shape.size[k];
  for (int64_t k = axis + 1; k < tensor->shape.axes; k++) view.inner *= (size_t)tensor->shape.size[k];
  return view;
}

static inline char *at(const axis_view *view, int64_t outer, int64_t position) {
  return view->data + (size_t)(outer * view->size + position) * view->inner;
}

/* Rows [0, outer) of `count` positions: from `from` of x to `to` of y; the rest of y's row is zeroed when asked. */
typedef struct move_work {
  axis_view x, y;
  int64_t from, to, count, rows;
  int zero, flip;
} move_work;

static void flip_row(const move_work *work, int64_t outer) {
  for (int64_t i = 0; i < work->count; i++) {
    memcpy(at(&work->y, outer, work->count - 1 - i), at(&work->x, outer, i), work->x.inner);
  }
}

static void move_tile(void *argument, int64_t tile) {
  const move_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * work->rows, work->x.outer);
  for (int64_t outer = tile * work->rows; outer < last; outer++) {
    if (work->flip) {
      flip_row(work, outer);
      continue;
    }
    if (work->zero) {
      const int64_t end = work->to + work->count;
      memset(at(&work->y, outer, 0), 0, (size_t)work->to * work->y.inner);
      memset(at(&work->y, outer, end), 0, (size_t)(work->y.size - end) * work->y.inner);
    }
    memcpy(at(&work->y, outer, work->to), at(&work->x, outer, work->from), (size_t)work->count * work->x.inner);
  }
}

static void run_move(const cohort_call *call, move_work *work) {
  const int64_t bytes = work->y.size * (int64_t)work->y.inner;
  work->rows = cohort_tile_rows(bytes / (int64_t)sizeof(real));
  cohort_tiles_run(call, cohort_ceil_divide(work->x.outer, work->rows), move_tile, work);
}

void COHORT_VARIED(cohort_kernel_slice)(const cohort_call *call) {
  const int64_t *i = call->attributes.integers;
  move_work work = {
      .x = view_of(&call->input[0], i[0]), .y = view_of(&call->output[0], i[0]), .from = i[1], .count = i[2]};
  run_move(call, &work);
}

void COHORT_VARIED(cohort_kernel_pad)(const cohort_call *call) {
  const int64_t *i = call->attributes.integers;
  move_work work = {.x = view_of(&call->input[0], i[0]), .y = view_of(&call->output[0], i[0]), .to = i[1], .zero = 1};
  work.count = work.x.size;
  run_move(call, &work);
}

void COHORT_VARIED(cohort_kernel_concat)(const cohort_call *call) {
  const int64_t axis = call->attributes.integers[0];
  move_work work = {.y = view_of(&call->output[0], axis)};
  for (int k = 0; k < call->inputs; k++) {
    work.x = view_of(&call->input[k], axis);
    work.count = work.x.size;
    run_move(call, &work);
    work.to += work.count;
  }
}

void COHORT_VARIED(cohort_kernel_flip)(const cohort_call *call) {
  const int64_t axis = call->attributes.integers[0];
  move_work work = {.x = view_of(&call->input[0], axis), .y = view_of(&call->output[0], axis), .flip = 1};
  work.count = work.x.size;
  run_move(call, &work);
}
