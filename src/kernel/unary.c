/* Elementwise operations of one input. */
#include "kernel/function_real.h"
#include "kernel/row_real.h"

typedef void (*unary_row)(const real *x, real *y, int64_t n);

typedef struct unary_work {
  const real *x;
  real *y;
  int64_t elements;
  unary_row row;
} unary_work;

static void unary_tile(void *argument, int64_t tile) {
  const unary_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  work->row(work->x + first, work->y + first, cohort_least(COHORT_TILE_ELEMENTS, work->elements - first));
}

static void run_unary(const cohort_call *call, unary_row row) {
  unary_work work = {call->input[0].data, call->output[0].data, cohort_shape_elements(call->output[0].shape), row};
  cohort_run_tiles(call, cohort_ceil_divide(work.elements, COHORT_TILE_ELEMENTS), unary_tile, &work);
}

static inline real sign_of(real x) { return (real)(x > 0) - (real)(x < 0); }

/* To the nearest, halves to even; values beyond the fraction's bits are integers already. */
static inline real round_of(real x) {
  const real magic = COHORT_REAL_IS_DOUBLE ? (real)6755399441055744.0 : (real)12582912.0;
  const real magnitude = cohort_magnitude(x);
  const real rounded = (x + magic) - magic;
  return magnitude < magic / 3 ? rounded : x;
}

static inline real sine_of(real x) {
  double sine, cosine;
  cohort_sine_cosine((double)x, &sine, &cosine);
  return (real)sine;
}

static inline real cosine_of(real x) {
  double sine, cosine;
  cohort_sine_cosine((double)x, &sine, &cosine);
  return (real)cosine;
}

static inline real square_root_of(real x) {
  return COHORT_REAL_IS_DOUBLE ? (real)sqrt((double)x) : (real)sqrtf((float)x);
}

#define UNARY(name, expression)                                                     \
  static void name##_row(const real *restrict given, real *restrict y, int64_t n) { \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                           \
      const real x = given[i];                                                      \
      y[i] = expression;                                                            \
    }                                                                               \
  }                                                                                 \
  void COHORT_VARIED(cohort_run_##name)(const cohort_call *call) { run_unary(call, name##_row); }

UNARY(negate, -x)
UNARY(absolute, cohort_magnitude(x))
UNARY(sign, sign_of(x))
UNARY(exponential, cohort_exponential(x))
UNARY(log, cohort_log(x))
UNARY(log1p, cohort_log1p(x))
UNARY(expm1, cohort_expm1(x))
UNARY(square_root, square_root_of(x))
UNARY(reciprocal_root, 1 / square_root_of(x))
UNARY(sine, sine_of(x))
UNARY(cosine, cosine_of(x))
UNARY(tanh, cohort_tanh(x))
UNARY(sigmoid, cohort_sigmoid(x))
UNARY(softplus, cohort_softplus(x))
UNARY(error_function, cohort_error_function(x))
UNARY(round, round_of(x))
UNARY(relu, x > 0 ? x : 0)

typedef struct cast_work {
  const int32_t *x;
  real *y;
  int64_t elements;
} cast_work;

static void cast_tile(void *argument, int64_t tile) {
  const cast_work *work = argument;
  const int64_t last = cohort_least((tile + 1) * COHORT_TILE_ELEMENTS, work->elements);
#pragma omp simd
  for (int64_t i = tile * COHORT_TILE_ELEMENTS; i < last; i++) work->y[i] = (real)work->x[i];
}

void COHORT_VARIED(cohort_run_cast)(const cohort_call *call) {
  cast_work work = {call->input[0].data, call->output[0].data, cohort_shape_elements(call->output[0].shape)};
  cohort_run_tiles(call, cohort_ceil_divide(work.elements, COHORT_TILE_ELEMENTS), cast_tile, &work);
}
