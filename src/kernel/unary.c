/* Elementwise operations of one input. */
#include "kernel/elementwise_real.h"
#include "kernel/function_real.h"
#include "kernel/row_real.h"

typedef struct unary_work {
  const char *x;
  real *y;
  int64_t elements;
  size_t element; /* of x, in bytes */
  cohort_row_function function;
} unary_work;

static void unary_tile(void *argument, int64_t tile) {
  const unary_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  const cohort_row row = {.in = {work->x + (size_t)first * work->element},
                          .out = {work->y + first},
                          .count = cohort_least(COHORT_TILE_ELEMENTS, work->elements - first)};
  work->function(&row);
}

static void run_unary(const cohort_call *call, cohort_row_function function) {
  unary_work work = {call->input[0].data, call->output[0].data, cohort_shape_elements(call->output[0].shape),
                     cohort_element_size(&call->input[0]), function};
  cohort_tiles_run(call, cohort_ceil_divide(work.elements, COHORT_TILE_ELEMENTS), unary_tile, &work);
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

#define UNARY_OF(name, type, expression)                  \
  static void name##_row(const cohort_row *row) {         \
    const type *given = row->in[0];                       \
    real *y = row->out[0];                                \
    const int64_t n = row->count;                         \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
      const type x = given[i];                            \
      y[i] = expression;                                  \
    }                                                     \
  }                                                       \
  void COHORT_VARIED(cohort_kernel_##name)(const cohort_call *call) { run_unary(call, name##_row); }
#define UNARY(name, expression) UNARY_OF(name, real, expression)

UNARY(negate, -x)
UNARY(absolute, cohort_magnitude(x))
UNARY(sign, sign_of(x))
UNARY(exponential, cohort_exponential(x))
UNARY(log, cohort_logarithm(x))
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
UNARY_OF(cast, int32_t, (real)x)

cohort_row_function COHORT_VARIED(cohort_unary_row)(cohort_op op) {
  static const cohort_row_function rows[COHORT_OP_COUNT] = {
      [COHORT_OP_NEGATE] = negate_row,
      [COHORT_OP_ABSOLUTE] = absolute_row,
      [COHORT_OP_SIGN] = sign_row,
      [COHORT_OP_EXPONENTIAL] = exponential_row,
      [COHORT_OP_LOG] = log_row,
      [COHORT_OP_LOG1P] = log1p_row,
      [COHORT_OP_EXPM1] = expm1_row,
      [COHORT_OP_SQUARE_ROOT] = square_root_row,
      [COHORT_OP_RECIPROCAL_ROOT] = reciprocal_root_row,
      [COHORT_OP_SINE] = sine_row,
      [COHORT_OP_COSINE] = cosine_row,
      [COHORT_OP_TANH] = tanh_row,
      [COHORT_OP_SIGMOID] = sigmoid_row,
      [COHORT_OP_SOFTPLUS] = softplus_row,
      [COHORT_OP_ERROR_FUNCTION] = error_function_row,
      [COHORT_OP_ROUND] = round_row,
      [COHORT_OP_RELU] = relu_row,
      [COHORT_OP_CAST] = cast_row,
  };
  return rows[op];
}
