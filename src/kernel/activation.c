/* GELU (Hendrycks and Gimpel, 2016) in its tanh and erf forms, SwiGLU (Shazeer, 2020), and their derivatives. */
#include "kernel/function_real.h"
#include "kernel/row_real.h"

typedef struct activation_work {
  const real *a, *b, *c;
  real *y, *z;
  int64_t elements;
  void (*row)(const real *a, const real *b, const real *c, real *y, real *z, int64_t n);
} activation_work;

static void activation_tile(void *argument, int64_t tile) {
  const activation_work *work = argument;
  const int64_t i = tile * COHORT_TILE_ELEMENTS;
  work->row(work->a + i, work->b ? work->b + i : NULL, work->c ? work->c + i : NULL, work->y + i,
            work->z ? work->z + i : NULL, cohort_least(COHORT_TILE_ELEMENTS, work->elements - i));
}

static void run_activation(const cohort_call *call,
                           void (*row)(const real *, const real *, const real *, real *, real *, int64_t)) {
  activation_work work = {.a = call->input[0].data,
                          .b = call->inputs > 1 ? call->input[1].data : NULL,
                          .c = call->inputs > 2 ? call->input[2].data : NULL,
                          .y = call->output[0].data,
                          .z = call->outputs > 1 ? call->output[1].data : NULL,
                          .elements = cohort_shape_elements(call->output[0].shape),
                          .row = row};
  cohort_run_tiles(call, cohort_ceil_divide(work.elements, COHORT_TILE_ELEMENTS), activation_tile, &work);
}

static const double root_2_over_pi = 0.79788456080286535588, cubic = 0.044715;
static const double root_half = 0.70710678118654752440, density_at_0 = 0.39894228040143267794;

static void gelu_tanh(const real *a, const real *b, const real *c, real *restrict y, real *z, int64_t n) {
  (void)b, (void)c, (void)z;
  const real k = (real)root_2_over_pi, q = (real)cubic;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    /* (1 + tanh u) / 2 = sigmoid(2u) */
    y[i] = x * cohort_sigmoid(2 * k * (x + q * x * x * x));
  }
}

static void gelu_erf(const real *a, const real *b, const real *c, real *restrict y, real *z, int64_t n) {
  (void)b, (void)c, (void)z;
  const real k = (real)root_half;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] = (real)0.5 * a[i] * (1 + cohort_error_function(a[i] * k));
}

void COHORT_VARIED(cohort_run_gelu)(const cohort_call *call) {
  run_activation(call, call->attributes.integers[0] ? gelu_erf : gelu_tanh);
}

static void gelu_tanh_backward(const real *a, const real *b, const real *c, real *restrict y, real *z, int64_t n) {
  (void)c, (void)z;
  const real k = (real)root_2_over_pi, q = (real)cubic;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    const real s = cohort_sigmoid(2 * k * (x + q * x * x * x));
    y[i] = b[i] * (s + x * s * (1 - s) * 2 * k * (1 + 3 * q * x * x));
  }
}

static void gelu_erf_backward(const real *a, const real *b, const real *c, real *restrict y, real *z, int64_t n) {
  (void)c, (void)z;
  const real k = (real)root_half, d = (real)density_at_0;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real x = a[i];
    const real below = (real)0.5 * (1 + cohort_error_function(x * k));
    y[i] = b[i] * (below + x * d * cohort_exponential((real)-0.5 * x * x));
  }
}

void COHORT_VARIED(cohort_run_gelu_backward)(const cohort_call *call) {
  run_activation(call, call->attributes.integers[0] ? gelu_erf_backward : gelu_tanh_backward);
}

static void swiglu(const real *a, const real *b, const real *c, real *restrict y, real *z, int64_t n) {
  (void)c, (void)z;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] = a[i] * cohort_sigmoid(a[i]) * b[i];
}

void COHORT_VARIED(cohort_run_swiglu)(const cohort_call *call) { run_activation(call, swiglu); }

static void swiglu_backward(const real *a, const real *b, const real *c, real *restrict y, real *restrict z,
                            int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const real s = cohort_sigmoid(a[i]);
    y[i] = c[i] * b[i] * s * (1 + a[i] * (1 - s));
    z[i] = c[i] * a[i] * s;
  }
}

void COHORT_VARIED(cohort_run_swiglu_backward)(const cohort_call *call) { run_activation(call, swiglu_backward); }
