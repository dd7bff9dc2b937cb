/* Walks an output and inputs of other shapes together, row by row. Neighbouring axes that all tensors treat alike are
 * one axis; a row is a stretch along the last. Costs an addition of strides a row, and copies at memory's speed. */
#include <string.h>

#include "kernel/broadcast_real.h"

/* Strides of an input inside the output's axes. */
static void input_strides(cohort_shape input, cohort_shape output, int64_t *stride) {
  int64_t step = 1;
  for (int axis = output.axes - 1; axis >= 0; axis--) {
    const int own = axis - (output.axes - input.axes);
    const int64_t size = own >= 0 ? input.size[own] : 1;
    stride[axis] = size == 1 ? 0 : step;
    step *= size;
  }
}

static int may_merge(const cohort_broadcast *shape, int64_t (*stride)[COHORT_MAX_AXES], int axis, int64_t size) {
  for (int i = 0; i < shape->inputs; i++) {
    if (shape->stride[i][shape->axes - 1] != stride[i][axis] * size) return 0;
  }
  return 1;
}

cohort_broadcast COHORT_VARIED(cohort_broadcast_of)(const cohort_call *call) {
  cohort_broadcast shape = {.inputs = call->inputs};
  const cohort_shape output = call->output[0].shape;
  int64_t stride[COHORT_BROADCAST_INPUTS][COHORT_MAX_AXES] = {{0}};
  for (int i = 0; i < call->inputs; i++) input_strides(call->input[i].shape, output, stride[i]);
  shape.elements = cohort_shape_elements(output);
  for (int axis = 0; axis < output.axes; axis++) {
    const int64_t size = output.size[axis];
    if (size == 1) continue;
    if (shape.axes > 0 && may_merge(&shape, stride, axis, size)) {
      shape.size[shape.axes - 1] *= size;
    } else {
      shape.size[shape.axes++] = size;
    }
    for (int i = 0; i < call->inputs; i++) shape.stride[i][shape.axes - 1] = stride[i][axis];
  }
  if (shape.axes == 0) {
    shape.axes = 1;
    shape.size[0] = shape.elements;
  }
  return shape;
}

/* The offsets of the row that holds element `first`. */
static void find_row(const cohort_broadcast *shape, int64_t row, int64_t *index, int64_t *offset) {
  for (int axis = shape->axes - 2; axis >= 0; axis--) {
    index[axis] = row % shape->size[axis];
    row /= shape->size[axis];
    for (int i = 0; i < shape->inputs; i++) offset[i] += index[axis] * shape->stride[i][axis];
  }
}

static void next_row(const cohort_broadcast *shape, int64_t *index, int64_t *offset) {
  for (int axis = shape->axes - 2; axis >= 0; axis--) {
    for (int i = 0; i < shape->inputs; i++) offset[i] += shape->stride[i][axis];
    if (++index[axis] < shape->size[axis]) return;
    for (int i = 0; i < shape->inputs; i++) offset[i] -= shape->size[axis] * shape->stride[i][axis];
    index[axis] = 0;
  }
}

void COHORT_VARIED(cohort_broadcast_walk)(const cohort_broadcast *shape, int64_t first, int64_t last,
                                          cohort_broadcast_function function, const void *argument) {
  const int inner = shape->axes - 1;
  const int64_t columns = shape->size[inner];
  int64_t index[COHORT_MAX_AXES] = {0}, offset[COHORT_BROADCAST_INPUTS] = {0};
  find_row(shape, first / columns, index, offset);
  int64_t column = first % columns;
  while (first < last) {
    cohort_broadcast_run run = {.output = first, .count = cohort_least(columns - column, last - first)};
    for (int i = 0; i < shape->inputs; i++) run.offset[i] = offset[i] + column * shape->stride[i][inner];
    function(argument, &run);
    first += run.count;
    column = 0;
    next_row(shape, index, offset);
  }
}

typedef struct copy_work {
  cohort_broadcast shape;
  const char *x;
  char *y;
  size_t element;
} copy_work;

static void copy_run(const void *argument, const cohort_broadcast_run *run) {
  const copy_work *work = argument;
  const char *x = work->x + (size_t)run->offset[0] * work->element;
  char *y = work->y + (size_t)run->output * work->element;
  if (work->shape.stride[0][work->shape.axes - 1] == 1) {
    memcpy(y, x, (size_t)run->count * work->element);
  } else if (work->element == sizeof(int32_t)) {
    int32_t value;
    memcpy(&value, x, sizeof value);
    for (int64_t i = 0; i < run->count; i++) memcpy(y + (size_t)i * sizeof value, &value, sizeof value);
  } else {
    for (int64_t i = 0; i < run->count; i++) memcpy(y + (size_t)i * sizeof(real), x, sizeof(real));
  }
}

static void copy_tile(void *argument, int64_t tile) {
  const copy_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  COHORT_VARIED(cohort_broadcast_walk)
  (&work->shape, first, cohort_least(first + COHORT_TILE_ELEMENTS, work->shape.elements), copy_run, work);
}

void COHORT_VARIED(cohort_kernel_broadcast)(const cohort_call *call) {
  copy_work work = {COHORT_VARIED(cohort_broadcast_of)(call), call->input[0].data, call->output[0].data,
                    cohort_element_size(&call->output[0])};
  cohort_tiles_run(call, cohort_ceil_divide(work.shape.elements, COHORT_TILE_ELEMENTS), copy_tile, &work);
}
