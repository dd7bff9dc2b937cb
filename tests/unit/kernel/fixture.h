/* A trial of one operation: inputs and expected outputs as doubles. fixture_check runs every kernel set that the
 * machine supports with one and with three threads, and holds the results against the expectation, against each other
 * bit by bit, and against writes beyond outputs and workspace. */
#ifndef COHORT_TESTS_UNIT_KERNEL_FIXTURE_H
#define COHORT_TESTS_UNIT_KERNEL_FIXTURE_H

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

enum { FIXTURE_GUARD = 256 };

typedef struct fixture_tensor {
  cohort_shape shape;
  cohort_type type;
  double *value;
} fixture_tensor;

typedef struct fixture {
  cohort_op op;
  int inputs, outputs;
  fixture_tensor input[COHORT_MAX_INPUTS], output[COHORT_MAX_OUTPUTS];
  cohort_attributes attributes;
  cohort_random_key key;
  double terms; /* how many terms an output is a sum of: the tolerance grows with the root */
} fixture;

static inline fixture fixture_of(cohort_op op) {
  return (fixture){.op = op, .terms = 1, .key = {{0x12345678U, 0x9abcdef0U}}};
}

static inline uint32_t fixture_bits(void) {
  static uint64_t state = 88172645463325252ULL;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

static inline double *fixture_allocate(cohort_shape shape) {
  double *value = calloc((size_t)cohort_shape_elements(shape) + 1, sizeof(double));
  if (!value) abort();
  return value;
}

/* Adds a real input of uniform values that are exact in float. */
static inline double *fixture_real(fixture *t, cohort_shape shape, double low, double high) {
  double *value = fixture_allocate(shape);
  const int64_t elements = cohort_shape_elements(shape);
  for (int64_t i = 0; i < elements; i++) value[i] = (float)(low + (high - low) * (fixture_bits() >> 8) * 0x1p-24);
  t->input[t->inputs++] = (fixture_tensor){shape, COHORT_TYPE_REAL, value};
  return value;
}

/* Adds an integer input of values in [low, high]. */
static inline double *fixture_integer(fixture *t, cohort_shape shape, int low, int high) {
  double *value = fixture_allocate(shape);
  const int64_t elements = cohort_shape_elements(shape);
  for (int64_t i = 0; i < elements; i++) value[i] = low + (int)(fixture_bits() % (uint32_t)(high - low + 1));
  t->input[t->inputs++] = (fixture_tensor){shape, COHORT_TYPE_INTEGER, value};
  return value;
}

/* Adds an output; the caller fills in what is expected (zeros so far). */
static inline double *fixture_output(fixture *t, cohort_shape shape, cohort_type type) {
  double *value = fixture_allocate(shape);
  t->output[t->outputs++] = (fixture_tensor){shape, type, value};
  return value;
}

static inline size_t fixture_bytes(const fixture_tensor *tensor, size_t real_size) {
  return (size_t)cohort_shape_elements(tensor->shape) *
         (tensor->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : real_size);
}

static inline void *fixture_guarded(size_t bytes) {
  unsigned char *data = aligned_alloc(64, (bytes + FIXTURE_GUARD + 63) / 64 * 64);
  if (!data) abort();
  memset(data, 0xff, bytes);
  memset(data + bytes, 0xa5, FIXTURE_GUARD);
  return data;
}

static inline int fixture_intact(const void *data, size_t bytes) {
  for (int i = 0; i < FIXTURE_GUARD; i++) {
    if (((const unsigned char *)data)[bytes + (size_t)i] != 0xa5) return 0;
  }
  return 1;
}

static inline double fixture_read(const void *data, cohort_type type, size_t real_size, int64_t i) {
  if (type == COHORT_TYPE_INTEGER) return ((const int32_t *)data)[i];
  return real_size == sizeof(float) ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void *fixture_convert(const fixture_tensor *tensor, size_t real_size) {
  void *data = fixture_guarded(fixture_bytes(tensor, real_size));
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

static inline void fixture_tell(const fixture *t, const cohort_kernel_set *set, int output, int64_t element, double got,
                                double wanted) {
  fprintf(stderr, "%s %s: output %d element %lld is %.9g, not %.9g\n", set->name, cohort_op_name(t->op), output,
          (long long)element, got, wanted);
}

/* Counts the elements that are off, and tells of the first. */
static inline int fixture_compare(const fixture *t, const cohort_kernel_set *set, int output, const void *data) {
  const fixture_tensor *tensor = &t->output[output];
  const double bound = (set->real_size == sizeof(float) ? 1e-5 : 1e-11) * sqrt(t->terms);
  const int64_t elements = cohort_shape_elements(tensor->shape);
  int wrong = 0;
  for (int64_t i = 0; i < elements; i++) {
    const double got = fixture_read(data, tensor->type, set->real_size, i), wanted = tensor->value[i];
    const int both_nan = isnan(got) && isnan(wanted);
    if (got == wanted || both_nan || fabs(got - wanted) <= bound * fmax(1.0, fabs(wanted))) continue;
    if (!wrong++) fixture_tell(t, set, output, i, got, wanted);
  }
  return wrong;
}

/* Runs with `threads` threads; data has the outputs, to be freed by the caller. */
static inline void fixture_run(const fixture *t, const cohort_kernel_set *set, int threads, void **data) {
  const cohort_team team = {threads};
  cohort_call call = {
      .inputs = t->inputs, .outputs = t->outputs, .attributes = t->attributes, .random_key = t->key, .team = &team};
  for (int i = 0; i < t->inputs; i++) {
    call.input[i] = (cohort_tensor){NULL, t->input[i].shape, t->input[i].type};
  }
  for (int i = 0; i < t->outputs; i++) call.output[i] = (cohort_tensor){NULL, t->output[i].shape, t->output[i].type};
  const size_t workspace = set->workspace[t->op] ? set->workspace[t->op](&call) : 0;
  CU_ASSERT_EQUAL(workspace % 64, 0);
  call.workspace = fixture_guarded(workspace);
  for (int i = 0; i < t->inputs; i++) call.input[i].data = fixture_convert(&t->input[i], set->real_size);
  for (int i = 0; i < t->outputs; i++) {
    call.output[i].data = data[i] = fixture_guarded(fixture_bytes(&t->output[i], set->real_size));
  }
  set->run[t->op](&call);
  CU_ASSERT(fixture_intact(call.workspace, workspace));
  for (int i = 0; i < t->outputs; i++) {
    CU_ASSERT(fixture_intact(data[i], fixture_bytes(&t->output[i], set->real_size)));
  }
  for (int i = 0; i < t->inputs; i++) free(call.input[i].data);
  free(call.workspace);
}

static inline void fixture_check_set(const fixture *t, const cohort_kernel_set *set) {
  void *alone[COHORT_MAX_OUTPUTS], *shared[COHORT_MAX_OUTPUTS];
  CU_ASSERT_PTR_NOT_NULL_FATAL(set->run[t->op]);
  fixture_run(t, set, 1, alone);
  fixture_run(t, set, 3, shared);
  for (int i = 0; i < t->outputs; i++) {
    CU_ASSERT_EQUAL(fixture_compare(t, set, i, alone[i]), 0);
    CU_ASSERT_EQUAL(memcmp(alone[i], shared[i], fixture_bytes(&t->output[i], set->real_size)), 0);
    free(alone[i]);
    free(shared[i]);
  }
}

/* The bf16 sets: every output within `share` of its norm (or of ones, where it is small), and the same bits for every
 * team. */
static inline void fixture_check_bf16(const fixture *t, double share) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++)
    for (int way = 0; way <= (int)cohort_processor_bf16(); way++) {
      const cohort_kernel_set *set = cohort_kernels_bf16((cohort_isa)isa, (cohort_bf16)way);
      void *alone[COHORT_MAX_OUTPUTS], *shared[COHORT_MAX_OUTPUTS];
      fixture_run(t, set, 1, alone);
      fixture_run(t, set, 3, shared);
      for (int i = 0; i < t->outputs; i++) {
        double error = 0, norm = (double)cohort_shape_elements(t->output[i].shape);
        for (int64_t e = 0; e < cohort_shape_elements(t->output[i].shape); e++) {
          const double wanted = t->output[i].value[e],
                       off = fixture_read(alone[i], t->output[i].type, sizeof(float), e) - wanted;
          error += off * off;
          norm += wanted * wanted;
        }
        CU_ASSERT(sqrt(error) <= share * sqrt(norm));
        CU_ASSERT_EQUAL(memcmp(alone[i], shared[i], fixture_bytes(&t->output[i], sizeof(float))), 0);
        free(alone[i]);
        free(shared[i]);
      }
    }
}

/* Checks and releases the trial. */
static inline void fixture_check(fixture *t) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    fixture_check_set(t, cohort_kernels_float32((cohort_isa)isa));
  }
  fixture_check_set(t, cohort_kernels_float64());
  for (int i = 0; i < t->inputs; i++) free(t->input[i].value);
  for (int i = 0; i < t->outputs; i++) free(t->output[i].value);
}

/* The element of a tensor of shape `input` that element `i` of shape `output` reads when broadcast as in numpy. */
static inline int64_t fixture_broadcast(cohort_shape input, cohort_shape output, int64_t i) {
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
