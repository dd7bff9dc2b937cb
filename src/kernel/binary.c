/* Elementwise operations of two and three inputs that are broadcast to the output's shape. */
#include <string.h>

#include "kernel/broadcast_real.h"
#include "kernel/function_real.h"

typedef void (*binary_row)(const real *a, int64_t stride_a, const real *b, int64_t stride_b, real *y, int64_t n);

typedef struct binary_work {
  cohort_broadcast shape;
  const real *a, *b;
  real *y;
  binary_row row;
} binary_work;

static void binary_run(const void *argument, const cohort_run *run) {
  const binary_work *work = argument;
  const int inner = work->shape.axes - 1;
  work->row(work->a + run->offset[0], work->shape.stride[0][inner], work->b + run->offset[1],
            work->shape.stride[1][inner], work->y + run->output, run->count);
}

static void binary_tile(void *argument, int64_t tile) {
  const binary_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  COHORT_VARIED(cohort_broadcast_walk)
  (&work->shape, first, cohort_least(first + COHORT_TILE_ELEMENTS, work->shape.elements), binary_run, work);
}

static void run_binary(const cohort_call *call, binary_row row) {
  binary_work work = {COHORT_VARIED(cohort_broadcast_of)(call), call->input[0].data, call->input[1].data,
                      call->output[0].data, row};
  cohort_run_tiles(call, cohort_ceil_divide(work.shape.elements, COHORT_TILE_ELEMENTS), binary_tile, &work);
}

static inline real power_of(real x, real y) {
  return COHORT_REAL_IS_DOUBLE ? (real)pow((double)x, (double)y) : (real)powf((float)x, (float)y);
}

/* A loop for each way the inputs may step. */
#define LOOPS(type, expression)                           \
  if (stride_a && stride_b) {                             \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
      const type a = given_a[i], b = given_b[i];          \
      y[i] = expression;                                  \
    }                                                     \
  } else if (stride_a) {                                  \
    const type b = given_b[0];                            \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
      const type a = given_a[i];                          \
      y[i] = expression;                                  \
    }                                                     \
  } else {                                                \
    const type a = given_a[0];                            \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
      const type b = given_b[i * stride_b];               \
      y[i] = expression;                                  \
    }                                                     \
  }

#define BINARY(name, expression)                                                                       \
  static void name##_row(const real *given_a, int64_t stride_a, const real *given_b, int64_t stride_b, \
                         real *restrict y, int64_t n) {                                                \
    LOOPS(real, expression)                                                                            \
  }                                                                                                    \
  void COHORT_VARIED(cohort_run_##name)(const cohort_call *call) { run_binary(call, name##_row); }

BINARY(add, a + b)
BINARY(subtract, a - b)
BINARY(multiply, a *b)
BINARY(divide, a / b)
BINARY(power, power_of(a, b))
BINARY(minimum, cohort_smaller(a, b))
BINARY(maximum, cohort_larger(a, b))
BINARY(relu_backward, a > 0 ? b : 0)

#define COMPARE(name, type, expression)                                                                \
  static void name##_row(const type *given_a, int64_t stride_a, const type *given_b, int64_t stride_b, \
                         real *restrict y, int64_t n) {                                                \
    LOOPS(type, (real)(expression))                                                                    \
  }

COMPARE(less_real, real, a < b)
COMPARE(less_equal_real, real, a <= b)
COMPARE(equal_real, real, a == b)
COMPARE(less_integer, int32_t, a < b)
COMPARE(less_equal_integer, int32_t, a <= b)
COMPARE(equal_integer, int32_t, a == b)

typedef void (*compare_row)(const int32_t *a, int64_t stride_a, const int32_t *b, int64_t stride_b, real *y, int64_t n);

typedef struct compare_work {
  cohort_broadcast shape;
  const int32_t *a, *b;
  real *y;
  compare_row row;
} compare_work;

static void compare_run(const void *argument, const cohort_run *run) {
  const compare_work *work = argument;
  const int inner = work->shape.axes - 1;
  work->row(work->a + run->offset[0], work->shape.stride[0][inner], work->b + run->offset[1],
            work->shape.stride[1][inner], work->y + run->output, run->count);
}

static void compare_tile(void *argument, int64_t tile) {
  const compare_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  COHORT_VARIED(cohort_broadcast_walk)
  (&work->shape, first, cohort_least(first + COHORT_TILE_ELEMENTS, work->shape.elements), compare_run, work);
}

void COHORT_VARIED(cohort_run_compare)(const cohort_call *call) {
  static const binary_row reals[] = {less_real_row, less_equal_real_row, equal_real_row};
  static const compare_row integers[] = {less_integer_row, less_equal_integer_row, equal_integer_row};
  const int64_t relation = call->attributes.integers[0];
  if (call->input[0].type == COHORT_TYPE_REAL) {
    run_binary(call, reals[relation]);
    return;
  }
  compare_work work = {COHORT_VARIED(cohort_broadcast_of)(call), call->input[0].data, call->input[1].data,
                       call->output[0].data, integers[relation]};
  cohort_run_tiles(call, cohort_ceil_divide(work.shape.elements, COHORT_TILE_ELEMENTS), compare_tile, &work);
}

typedef struct select_work {
  cohort_broadcast shape;
  const void *condition, *a, *b;
  void *y;
  int integer_condition, integer;
} select_work;

static void select_reals(const select_work *work, const cohort_run *run) {
  const int inner = work->shape.axes - 1;
  const int64_t s0 = work->shape.stride[0][inner], s1 = work->shape.stride[1][inner], s2 = work->shape.stride[2][inner];
  const real *condition = (const real *)work->condition + run->offset[0];
  const real *a = (const real *)work->a + run->offset[1], *b = (const real *)work->b + run->offset[2];
  real *restrict y = (real *)work->y + run->output;
  if (s0 && s1 && s2) {
#pragma omp simd
    for (int64_t i = 0; i < run->count; i++) {
      const real yes = a[i], no = b[i];
      y[i] = condition[i] != 0 ? yes : no;
    }
  } else if (s0 && s1) {
    const real no = b[0];
#pragma omp simd
    for (int64_t i = 0; i < run->count; i++) {
      const real yes = a[i];
      y[i] = condition[i] != 0 ? yes : no;
    }
  } else {
    for (int64_t i = 0; i < run->count; i++) y[i] = condition[i * s0] != 0 ? a[i * s1] : b[i * s2];
  }
}

/* Conditions or values of integers, by element size. */
static void select_any(const select_work *work, const cohort_run *run) {
  const int inner = work->shape.axes - 1;
  const size_t element = work->integer ? sizeof(int32_t) : sizeof(real);
  for (int64_t i = 0; i < run->count; i++) {
    const int64_t c = run->offset[0] + i * work->shape.stride[0][inner];
    const int holds =
        work->integer_condition ? ((const int32_t *)work->condition)[c] != 0 : ((const real *)work->condition)[c] != 0;
    const int64_t a = run->offset[1] + i * work->shape.stride[1][inner];
    const int64_t b = run->offset[2] + i * work->shape.stride[2][inner];
    const char *from =
        holds ? (const char *)work->a + (size_t)a * element : (const char *)work->b + (size_t)b * element;
    memcpy((char *)work->y + (size_t)(run->output + i) * element, from, element);
  }
}

static void select_run(const void *argument, const cohort_run *run) {
  const select_work *work = argument;
  if (work->integer_condition || work->integer) {
    select_any(work, run);
  } else {
    select_reals(work, run);
  }
}

static void select_tile(void *argument, int64_t tile) {
  const select_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  COHORT_VARIED(cohort_broadcast_walk)
  (&work->shape, first, cohort_least(first + COHORT_TILE_ELEMENTS, work->shape.elements), select_run, work);
}

void COHORT_VARIED(cohort_run_select)(const cohort_call *call) {
  select_work work = {.shape = COHORT_VARIED(cohort_broadcast_of)(call),
                      .condition = call->input[0].data,
                      .a = call->input[1].data,
                      .b = call->input[2].data,
                      .y = call->output[0].data,
                      .integer_condition = call->input[0].type == COHORT_TYPE_INTEGER,
                      .integer = call->output[0].type == COHORT_TYPE_INTEGER};
  cohort_run_tiles(call, cohort_ceil_divide(work.shape.elements, COHORT_TILE_ELEMENTS), select_tile, &work);
}
