/* Permutation of axes: runs are copied where the last axis stays last; else planes of (last axis of the input, last
 * axis of the output) are transposed block by block. */
#include <string.h>

#include "kernel/row_real.h"

enum { BLOCK = 32 };

typedef uint32_t word32 __attribute__((may_alias));
typedef uint64_t word64 __attribute__((may_alias));

/* The output's axes after merging: sizes and the input's strides, in elements. `plane` is the output axis that steps
 * through the input one by one (the last one when runs can be copied). */
typedef struct permute_work {
  const char *x;
  char *y;
  size_t element;
  int axes, plane;
  int64_t size[COHORT_MAX_AXES], stride[COHORT_MAX_AXES], output_stride[COHORT_MAX_AXES];
  int64_t outer, strips, rows;
} permute_work;

static void merge_axes(const cohort_call *call, permute_work *work) {
  const cohort_shape input = call->input[0].shape;
  int64_t stride[COHORT_MAX_AXES];
  int64_t step = 1;
  for (int axis = input.axes - 1; axis >= 0; axis--) {
    stride[axis] = step;
    step *= input.size[axis];
  }
  for (int k = 0; k < input.axes; k++) {
    const int64_t axis = call->attributes.integers[k];
    const int64_t size = input.size[axis];
    if (size == 1) continue;
    if (work->axes > 0 && work->stride[work->axes - 1] == stride[axis] * size) {
      work->size[work->axes - 1] *= size;
    } else {
      work->size[work->axes++] = size;
    }
    work->stride[work->axes - 1] = stride[axis];
  }
  if (work->axes == 0) {
    work->axes = 1;
    work->size[0] = work->stride[0] = 1;
  }
  step = 1;
  for (int axis = work->axes - 1; axis >= 0; axis--) {
    work->output_stride[axis] = step;
    step *= work->size[axis];
    if (work->stride[axis] == 1) work->plane = axis;
  }
}

/* Offsets of outer position `outer`, that is of all axes but the last and the plane's. */
static void outer_offsets(const permute_work *work, int64_t outer, int64_t *x, int64_t *y) {
  *x = *y = 0;
  for (int axis = work->axes - 2; axis >= 0; axis--) {
    if (axis == work->plane) continue;
    const int64_t index = outer % work->size[axis];
    outer /= work->size[axis];
    *x += index * work->stride[axis];
    *y += index * work->output_stride[axis];
  }
}

static void copy_rows(void *argument, int64_t tile) {
  const permute_work *work = argument;
  const size_t bytes = (size_t)work->size[work->axes - 1] * work->element;
  const int64_t last = cohort_least((tile + 1) * work->rows, work->outer);
  for (int64_t outer = tile * work->rows; outer < last; outer++) {
    int64_t x, y;
    outer_offsets(work, outer, &x, &y);
    memcpy(work->y + (size_t)y * work->element, work->x + (size_t)x * work->element, bytes);
  }
}

/* y[i * sy + j] = x[j * sx + i] */
static void transpose32(const word32 *x, int64_t sx, word32 *restrict y, int64_t sy, int64_t rows, int64_t columns) {
  if (rows == BLOCK && columns == BLOCK) {
    for (int64_t i = 0; i < BLOCK; i++) {
      for (int64_t j = 0; j < BLOCK; j++) y[i * sy + j] = x[j * sx + i];
    }
    return;
  }
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) y[i * sy + j] = x[j * sx + i];
  }
}

static void transpose64(const word64 *x, int64_t sx, word64 *restrict y, int64_t sy, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) y[i * sy + j] = x[j * sx + i];
  }
}

/* A tile is a strip of BLOCK positions of the plane's axis at one outer position. */
static void transpose_strips(void *argument, int64_t tile) {
  const permute_work *work = argument;
  const int inner = work->axes - 1;
  const int64_t last = cohort_least((tile + 1) * work->rows, work->outer * work->strips);
  for (int64_t strip = tile * work->rows; strip < last; strip++) {
    int64_t x, y;
    outer_offsets(work, strip / work->strips, &x, &y);
    const int64_t first = strip % work->strips * BLOCK;
    const int64_t rows = cohort_least(BLOCK, work->size[work->plane] - first);
    const int64_t sx = work->stride[inner], sy = work->output_stride[work->plane];
    for (int64_t j = 0; j < work->size[inner]; j += BLOCK) {
      const int64_t columns = cohort_least(BLOCK, work->size[inner] - j);
      const char *from = work->x + (size_t)(x + first + j * sx) * work->element;
      char *to = work->y + (size_t)(y + first * sy + j) * work->element;
      if (work->element == sizeof(word32)) {
        transpose32((const word32 *)from, sx, (word32 *)to, sy, rows, columns);
      } else {
        transpose64((const word64 *)from, sx, (word64 *)to, sy, rows, columns);
      }
    }
  }
}

void COHORT_VARIED(cohort_kernel_permute)(const cohort_call *call) {
  permute_work work = {
      .x = call->input[0].data, .y = call->output[0].data, .element = cohort_element_size(&call->input[0])};
  merge_axes(call, &work);
  const int64_t elements = cohort_shape_elements(call->input[0].shape);
  const int64_t columns = work.size[work.axes - 1];
  if (elements == 0) return;
  if (work.plane == work.axes - 1) {
    work.outer = elements / columns;
    work.rows = cohort_tile_rows(columns);
    cohort_tiles_run(call, cohort_ceil_divide(work.outer, work.rows), copy_rows, &work);
  } else {
    work.outer = elements / columns / work.size[work.plane];
    work.strips = cohort_ceil_divide(work.size[work.plane], BLOCK);
    work.rows = cohort_tile_rows(columns * cohort_least(BLOCK, work.size[work.plane]));
    cohort_tiles_run(call, cohort_ceil_divide(work.outer * work.strips, work.rows), transpose_strips, &work);
  }
}
