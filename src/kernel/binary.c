/* Elementwise operations of two and three inputs that are broadcast to the output's shape. */
#include "kernel/broadcast_real.h"
#include "kernel/elementwise_real.h"
#include "kernel/function_real.h"

typedef struct broadcast_work {
  cohort_broadcast shape;
  const char *in[COHORT_BROADCAST_INPUTS];
  size_t element[COHORT_BROADCAST_INPUTS], out_element; /* in bytes */
  char *out;
  cohort_row_function function;
} broadcast_work;

static void broadcast_run(const void *argument, const cohort_broadcast_run *run) {
  const broadcast_work *work = argument;
  const int inner = work->shape.axes - 1;
  cohort_row row = {.out = {work->out + (size_t)run->output * work->out_element}, .count = run->count};
  for (int i = 0; i < work->shape.inputs; i++) {
    row.in[i] = work->in[i] + (size_t)run->offset[i] * work->element[i];
    row.step[i] = work->shape.stride[i][inner];
  }
  work->function(&row);
}

static void broadcast_tile(void *argument, int64_t tile) {
  const broadcast_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  COHORT_VARIED(cohort_broadcast_walk)
  (&work->shape, first, cohort_least(first + COHORT_TILE_ELEMENTS, work->shape.elements), broadcast_run, work);
}

static void run_broadcast(const cohort_call *call, cohort_row_function function) {
  broadcast_work work = {.shape = COHORT_VARIED(cohort_broadcast_of)(call),
                         .out = call->output[0].data,
                         .out_element = cohort_element_size(&call->output[0]),
                         .function = function};
  for (int i = 0; i < call->inputs; i++) {
    work.in[i] = call->input[i].data;
    work.element[i] = cohort_element_size(&call->input[i]);
  }
  cohort_tiles_run(call, cohort_ceil_divide(work.shape.elements, COHORT_TILE_ELEMENTS), broadcast_tile, &work);
}

static inline real power_of(real x, real y) {
  return COHORT_REAL_IS_DOUBLE ? (real)pow((double)x, (double)y) : (real)powf((float)x, (float)y);
}

/* A loop for each way the inputs may step. */
#define LOOP(type, first, second, expression)           \
  _Pragma("omp simd") for (int64_t i = 0; i < n; i++) { \
    const type a = first, b = second;                   \
    y[i] = expression;                                  \
  }

#define LOOPS(name, type, expression)                        \
  static void name##_row(const cohort_row *row) {            \
    const type *given_a = row->in[0], *given_b = row->in[1]; \
    real *y = row->out[0];                                   \
    const int64_t n = row->count;                            \
    const type only_a = given_a[0], only_b = given_b[0];     \
    if (row->step[0] && row->step[1]) {                      \
      LOOP(type, given_a[i], given_b[i], expression)         \
    } else if (row->step[0]) {                               \
      LOOP(type, given_a[i], only_b, expression)             \
    } else if (row->step[1]) {                               \
      LOOP(type, only_a, given_b[i], expression)             \
    } else {                                                 \
      LOOP(type, only_a, only_b, expression)                 \
    }                                                        \
  }

#define BINARY(name, expression) \
  LOOPS(name, real, expression)  \
  void COHORT_VARIED(cohort_kernel_##name)(const cohort_call *call) { run_broadcast(call, name##_row); }

BINARY(add, a + b)
BINARY(subtract, a - b)
BINARY(multiply, a *b)
BINARY(divide, a / b)
BINARY(power, power_of(a, b))
BINARY(minimum, cohort_smaller(a, b))
BINARY(maximum, cohort_larger(a, b))
BINARY(relu_backward, a > 0 ? b : 0)

LOOPS(less_real, real, (real)(a < b))
LOOPS(less_equal_real, real, (real)(a <= b))
LOOPS(equal_real, real, (real)(a == b))
LOOPS(less_integer, int32_t, (real)(a < b))
LOOPS(less_equal_integer, int32_t, (real)(a <= b))
LOOPS(equal_integer, int32_t, (real)(a == b))

/* `condition` and `type` are those of the inputs. */
#define SELECT(name, condition_type, type)                                                             \
  static void name##_row(const cohort_row *row) {                                                      \
    const condition_type *condition = row->in[0];                                                      \
    const type *a = row->in[1], *b = row->in[2];                                                       \
    type *y = row->out[0];                                                                             \
    const int64_t n = row->count, step = row->step[0], step_a = row->step[1], step_b = row->step[2];   \
    if (step && step_a && step_b) {                                                                    \
      _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                            \
        const type yes = a[i], no = b[i];                                                              \
        y[i] = condition[i] != 0 ? yes : no;                                                           \
      }                                                                                                \
    } else if (step && step_a) {                                                                       \
      const type no = b[0];                                                                            \
      _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                            \
        const type yes = a[i];                                                                         \
        y[i] = condition[i] != 0 ? yes : no;                                                           \
      }                                                                                                \
    } else {                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i] = condition[i * step] != 0 ? a[i * step_a] : b[i * step_b]; \
    }                                                                                                  \
  }

SELECT(select_real, real, real)
SELECT(select_integer, real, int32_t)
SELECT(choose_real, int32_t, real)
SELECT(choose_integer, int32_t, int32_t)

static cohort_row_function compare_row(int64_t relation, cohort_type input) {
  static const cohort_row_function reals[] = {less_real_row, less_equal_real_row, equal_real_row};
  static const cohort_row_function integers[] = {less_integer_row, less_equal_integer_row, equal_integer_row};
  return input == COHORT_TYPE_REAL ? reals[relation] : integers[relation];
}

static cohort_row_function select_row(cohort_type condition, cohort_type output) {
  if (condition == COHORT_TYPE_REAL) return output == COHORT_TYPE_REAL ? select_real_row : select_integer_row;
  return output == COHORT_TYPE_REAL ? choose_real_row : choose_integer_row;
}

void COHORT_VARIED(cohort_kernel_compare)(const cohort_call *call) {
  run_broadcast(call, compare_row(call->attributes.integers[0], call->input[0].type));
}

void COHORT_VARIED(cohort_kernel_select)(const cohort_call *call) {
  run_broadcast(call, select_row(call->input[0].type, call->output[0].type));
}

cohort_row_function COHORT_VARIED(cohort_binary_row)(cohort_op op, int64_t relation, cohort_type input,
                                                     cohort_type output) {
  static const cohort_row_function rows[COHORT_OP_COUNT] = {
      [COHORT_OP_ADD] = add_row,           [COHORT_OP_SUBTRACT] = subtract_row,
      [COHORT_OP_MULTIPLY] = multiply_row, [COHORT_OP_DIVIDE] = divide_row,
      [COHORT_OP_POWER] = power_row,       [COHORT_OP_MINIMUM] = minimum_row,
      [COHORT_OP_MAXIMUM] = maximum_row,   [COHORT_OP_RELU_BACKWARD] = relu_backward_row,
  };
  if (op == COHORT_OP_COMPARE) return compare_row(relation, input);
  if (op == COHORT_OP_SELECT) return select_row(input, output);
  return rows[op];
}
