/* GELU (Hendrycks and Gimpel, 2016) in its tanh and erf forms, SwiGLU (Shazeer, 2020), and their derivatives. */
#include "kernel/elementwise_real.h"
#include "kernel/function_real.h"
#include "kernel/row_real.h"

typedef struct activation_work {
  const real *in[COHORT_FUSED_INPUTS];
  real *out[COHORT_FUSED_OUTPUTS];
  int inputs, outputs;
  int64_t elements;
  cohort_row_function function;
} activation_work;

static void activation_tile(void *argument, int64_t tile) {
  const activation_work *work = argument;
  const int64_t first = tile * COHORT_TILE_ELEMENTS;
  cohort_row row = {.count = cohort_least(COHORT_TILE_ELEMENTS, work->elements - first)};
  for (int i = 0; i < work->inputs; i++) row.in[i] = work->in[i] + first;
  for (int i = 0; i < work->outputs; i++) row.out[i] = work->out[i] + first;
  work->function(&row);
}

static void run_activation(const cohort_call *call, cohort_row_function function) {
  activation_work work = {.inputs = call->inputs,
                          .outputs = call->outputs,
                          .elements = cohort_shape_elements(call->output[0].shape),
                          .function = function};
  for (int i = 0; i < call->inputs; i++) work.in[i] = call->input[i].data;
  for (int i = 0; i < call->outputs; i++) work.out[i] = call->output[i].data;
  cohort_tiles_run(call, cohort_ceil_divide(work.elements, COHORT_TILE_ELEMENTS), activation_tile, &work);
}

static const double root_2_over_pi = 0.79788456080286535588, cubic = 0.044715;
static const double root_half = 0.70710678118654752440, density_at_0 = 0.39894228040143267794;

static void gelu_tanh_row(const cohort_row *row) {
  const real *a = row->in[0];
  real *y = row->out[0];
  const int64_t n = row->count;
  const real k = (real)(2 * root_2_over_pi), q = (real)cubic;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    /* (1 + tanh u) / 2 = sigmoid(2u) */
    y[i] = x * cohort_sigmoid(x * (k + k * q * (x * x)));
  }
}

static void gelu_erf_row(const cohort_row *row) {
  const real *a = row->in[0];
  real *y = row->out[0];
  const int64_t n = row->count;
  const real k = (real)root_half;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    y[i] = (real)0.5 * x * (1 + cohort_error_function(x * k));
  }
}

static void gelu_tanh_backward_row(const cohort_row *row) {
  const real *a = row->in[0], *b = row->in[1];
  real *y = row->out[0];
  const int64_t n = row->count;
  const real k = (real)(2 * root_2_over_pi), q = (real)cubic;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    const real z = x * x;
    const real s = cohort_sigmoid(x * (k + k * q * z));
    const real dy = b[i];
    y[i] = dy * (s + x * s * (1 - s) * (k + 3 * k * q * z));
  }
}

static void gelu_erf_backward_row(const cohort_row *row) {
  const real *a = row->in[0], *b = row->in[1];
  real *y = row->out[0];
  const int64_t n = row->count;
  const real k = (real)root_half, d = (real)density_at_0;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    const real below = (real)0.5 * (1 + cohort_error_function(x * k));
    const real dy = b[i];
    y[i] = dy * (below + x * d * cohort_exponential((real)-0.5 * x * x));
  }
}

static void swiglu_row(const cohort_row *row) {
  const real *a = row->in[0], *b = row->in[1];
  real *y = row->out[0];
  const int64_t n = row->count;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real gate = a[i], up = b[i];
    y[i] = gate * cohort_sigmoid(gate) * up;
  }
}

static void swiglu_backward_row(const cohort_row *row) {
  const real *a = row->in[0], *b = row->in[1], *c = row->in[2];
  real *y = row->out[0], *z = row->out[1];
  const int64_t n = row->count;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    /* NOLINTBEGIN(clang-analyzer-core.NullDereference): this row has three inputs and two outputs */
    const real gate = a[i], up = b[i], dy = c[i];
    const real s = cohort_sigmoid(gate);
    y[i] = dy * up * s * (1 + gate * (1 - s));
    z[i] = dy * gate * s;
    /* NOLINTEND(clang-analyzer-core.NullDereference) */
  }
}

cohort_row_function COHORT_VARIED(cohort_activation_row)(cohort_op op, int64_t form) {
  switch (op) {
    case COHORT_OP_GELU:
      return form ? gelu_erf_row : gelu_tanh_row;
    case COHORT_OP_GELU_BACKWARD:
      return form ? gelu_erf_backward_row : gelu_tanh_backward_row;
    case COHORT_OP_SWIGLU:
      return swiglu_row;
    case COHORT_OP_SWIGLU_BACKWARD:
      return swiglu_backward_row;
    default:
      return NULL;
  }
}

#define ACTIVATION(name, op)                                                                      \
  void COHORT_VARIED(cohort_kernel_##name)(const cohort_call *call) {                             \
    run_activation(call, COHORT_VARIED(cohort_activation_row)(op, call->attributes.integers[0])); \
  }

ACTIVATION(gelu, COHORT_OP_GELU)
ACTIVATION(gelu_backward, COHORT_OP_GELU_BACKWARD)
ACTIVATION(swiglu, COHORT_OP_SWIGLU)
ACTIVATION(swiglu_backward, COHORT_OP_SWIGLU_BACKWARD)
