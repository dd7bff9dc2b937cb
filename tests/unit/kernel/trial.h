/* A trial of one operation: inputs and expected outputs as doubles. trial_check runs every kernel set that the machine
 * supports with one and with three threads, and holds the results against the expectation, against each other bit by
 * bit, and against writes beyond outputs and workspace. */
#ifndef COHORT_TESTS_KERNEL_TRIAL_H
#define COHORT_TESTS_KERNEL_TRIAL_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/processor.h"
#include "kernel/kernel.h"
#include "tests/check.h"

#define SHAPE(...) \
  ((cohort_shape){.axes = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .size = {__VA_ARGS__}})
#define SCALAR ((cohort_shape){.axes = 0})

enum { TRIAL_GUARD = 256 };

typedef struct trial_tensor {
  cohort_shape shape;
  cohort_type type;
  double *value;
} trial_tensor;

typedef struct trial {
  cohort_op op;
  int inputs, outputs;
  trial_tensor input[COHORT_MAX_INPUTS], output[COHORT_MAX_OUTPUTS];
  cohort_attributes attributes;
  cohort_random_key key;
  double terms; /* how many terms an output is a sum of: the tolerance grows with the root */
} trial;

static inline trial trial_of(cohort_op op) {
  return (trial){.op = op, .terms = 1, .key = {{0x12345678U, 0x9abcdef0U}}};
}

static inline uint32_t trial_bits(void) {
  static uint64_t state = 88172645463325252ULL;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

static inline double *trial_allocate(cohort_shape shape) {
  double *value = calloc((size_t)cohort_shape_elements(shape) + 1, sizeof(double));
  if (!value) abort();
  return value;
}

/* Adds a real input of uniform values that are exact in float. */
static inline double *trial_real(trial *t, cohort_shape shape, double low, double high) {
  double *value = trial_allocate(shape);
  const int64_t elements = cohort_shape_elements(shape);
  for (int64_t i = 0; i < elements; i++) value[i] = (float)(low + (high - low) * (trial_bits() >> 8) * 0x1p-24);
  t->input[t->inputs++] = (trial_tensor){shape, COHORT_TYPE_REAL, value};
  return value;
}

/* Adds an integer input of values in [low, high]. */
static inline double *trial_integer(trial *t, cohort_shape shape, int low, int high) {
  double *value = trial_allocate(shape);
  const int64_t elements = cohort_shape_elements(shape);
  for (int64_t i = 0; i < elements; i++) value[i] = low + (int)(trial_bits() % (uint32_t)(high - low + 1));
  t->input[t->inputs++] = (trial_tensor){shape, COHORT_TYPE_INTEGER, value};
  return value;
}

/* Adds an output; the caller fills in what is expected (zeros so far). */
static inline double *trial_output(trial *t, cohort_shape shape, cohort_type type) {
  double *value = trial_allocate(shape);
  t->output[t->outputs++] = (trial_tensor){shape, type, value};
  return value;
}

static inline size_t trial_bytes(const trial_tensor *tensor, size_t real_size) {
  return (size_t)cohort_shape_elements(tensor->shape) *
         (tensor->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : real_size);
}

static inline void *trial_guarded(size_t bytes) {
  unsigned char *data = aligned_alloc(64, (bytes + TRIAL_GUARD + 63) / 64 * 64);
  if (!data) abort();
  memset(data, 0xff, bytes);
  memset(data + bytes, 0xa5, TRIAL_GUARD);
  return data;
}

static inline int trial_intact(const void *data, size_t bytes) {
  for (int i = 0; i < TRIAL_GUARD; i++) {
    if (((const unsigned char *)data)[bytes + (size_t)i] != 0xa5) return 0;
  }
  return 1;
}

static inline double trial_read(const void *data, cohort_type type, size_t real_size, int64_t i) {
  if (type == COHORT_TYPE_INTEGER) return ((const int32_t *)data)[i];
  return real_size == sizeof(float) ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void *trial_convert(const trial_tensor *tensor, size_t real_size) {
  void *data = trial_guarded(trial_bytes(tensor, real_size));
  const int64_t elements = cohort_shape_elements(tensor->shape);
  for (int64_t i = 0; i < elements; i++) {
    if (tensor->type == COHORT_TYPE_INTEGER) {
      ((int32_t *)data)[i] = (int32_t)tensor->value[i];
    } else if (real_size == sizeof(float)) {
      ((float *)data)[i] = (float)tensor->value[i];
    } else {
      ((double *)data)[i] = tensor->value[i];
    }
  }
  return data;
}

static inline void trial_tell(const trial *t, const cohort_kernel_set *set, int output, int64_t element, double got,
                              double wanted) {
  fprintf(stderr, "%s %s: output %d element %lld is %.9g, not %.9g\n", set->name, cohort_op_name(t->op), output,
          (long long)element, got, wanted);
}

/* Counts the elements that are off, and tells of the first. */
static inline int trial_compare(const trial *t, const cohort_kernel_set *set, int output, const void *data) {
  const trial_tensor *tensor = &t->output[output];
  const double bound = (set->real_size == sizeof(float) ? 1e-5 : 1e-11) * sqrt(t->terms);
  const int64_t elements = cohort_shape_elements(tensor->shape);
  int wrong = 0;
  for (int64_t i = 0; i < elements; i++) {
    const double got = trial_read(data, tensor->type, set->real_size, i), wanted = tensor->value[i];
    const int both_nan = isnan(got) && isnan(wanted);
    if (got == wanted || both_nan || fabs(got - wanted) <= bound * fmax(1.0, fabs(wanted))) continue;
    if (!wrong++) trial_tell(t, set, output, i, got, wanted);
  }
  return wrong;
}

/* Runs with `threads` threads; data has the outputs, to be freed by the caller. */
static inline void trial_run(const trial *t, const cohort_kernel_set *set, int threads, void **data) {
  const cohort_team team = {threads};
  cohort_call call = {
      .inputs = t->inputs, .outputs = t->outputs, .attributes = t->attributes, .random_key = t->key, .team = &team};
  for (int i = 0; i < t->inputs; i++) {
    call.input[i] = (cohort_tensor){NULL, t->input[i].shape, t->input[i].type};
  }
  for (int i = 0; i < t->outputs; i++) call.output[i] = (cohort_tensor){NULL, t->output[i].shape, t->output[i].type};
  const size_t workspace = set->workspace[t->op] ? set->workspace[t->op](&call) : 0;
  CU_ASSERT_EQUAL(workspace % 64, 0);
  call.workspace = trial_guarded(workspace);
  for (int i = 0; i < t->inputs; i++) call.input[i].data = trial_convert(&t->input[i], set->real_size);
  for (int i = 0; i < t->outputs; i++) {
    call.output[i].data = data[i] = trial_guarded(trial_bytes(&t->output[i], set->real_size));
  }
  set->run[t->op](&call);
  CU_ASSERT(trial_intact(call.workspace, workspace));
  for (int i = 0; i < t->outputs; i++) {
    CU_ASSERT(trial_intact(data[i], trial_bytes(&t->output[i], set->real_size)));
  }
  for (int i = 0; i < t->inputs; i++) free(call.input[i].data);
  free(call.workspace);
}

static inline void trial_check_set(const trial *t, const cohort_kernel_set *set) {
  void *alone[COHORT_MAX_OUTPUTS], *shared[COHORT_MAX_OUTPUTS];
  CU_ASSERT_PTR_NOT_NULL_FATAL(set->run[t->op]);
  trial_run(t, set, 1, alone);
  trial_run(t, set, 3, shared);
  for (int i = 0; i < t->outputs; i++) {
    CU_ASSERT_EQUAL(trial_compare(t, set, i, alone[i]), 0);
    CU_ASSERT_EQUAL(memcmp(alone[i], shared[i], trial_bytes(&t->output[i], set->real_size)), 0);
    free(alone[i]);
    free(shared[i]);
  }
}

/* The bf16 sets: every output within `share` of its norm (or of ones, where it is small), and the same bits for every
 * team. */
static inline void trial_check_bf16(const trial *t, double share) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++)
    for (int way = 0; way <= (int)cohort_processor_bf16(); way++) {
      const cohort_kernel_set *set = cohort_kernels_bf16((cohort_isa)isa, (cohort_bf16)way);
      void *alone[COHORT_MAX_OUTPUTS], *shared[COHORT_MAX_OUTPUTS];
      trial_run(t, set, 1, alone);
      trial_run(t, set, 3, shared);
      for (int i = 0; i < t->outputs; i++) {
        double error = 0, norm = (double)cohort_shape_elements(t->output[i].shape);
        for (int64_t e = 0; e < cohort_shape_elements(t->output[i].shape); e++) {
          const double wanted = t->output[i].value[e],
                       off = trial_read(alone[i], t->output[i].type, sizeof(float), e) - wanted;
          error += off * off;
          norm += wanted * wanted;
        }
        CU_ASSERT(sqrt(error) <= share * sqrt(norm));
        CU_ASSERT_EQUAL(memcmp(alone[i], shared[i], trial_bytes(&t->output[i], sizeof(float))), 0);
        free(alone[i]);
        free(shared[i]);
      }
    }
}

/* Checks and releases the trial. */
static inline void trial_check(trial *t) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    trial_check_set(t, cohort_kernels_float32((cohort_isa)isa));
  }
  trial_check_set(t, cohort_kernels_float64());
  for (int i = 0; i < t->inputs; i++) free(t->input[i].value);
  for (int i = 0; i < t->outputs; i++) free(t->output[i].value);
}

/* The element of a tensor of shape `input` that element `i` of shape `output` reads when broadcast as in numpy. */
static inline int64_t trial_broadcast(cohort_shape input, cohort_shape output, int64_t i) {
  int64_t offset = 0, step = 1;
  for (int axis = output.axes - 1; axis >= 0; axis--) {
    const int64_t index = i % output.size[axis];
    i /= output.size[axis];
    const int own = axis - (output.axes - input.axes);
    if (own < 0) continue;
    if (input.size[own] > 1) offset += index * step;
    step *= input.size[own];
  }
  return offset;
}

#endif
