/* What tests of methods share: settings as text, the variants this machine runs, and an optimizer at work on one flat
 * vector of tensors with guard bytes around everything it may write, and with products of its own. */
#ifndef COHORT_TESTS_METHOD_TRIAL_H
#define COHORT_TESTS_METHOD_TRIAL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/processor.h"
#include "base/random.h"
#include "method/optimizer/optimizer.h"
#include "method/registry.h"

static inline bool trial_runs(cohort_variant variant) {
  const cohort_isa isa = cohort_processor_isa();
  if (variant == COHORT_VARIANT_F32_AVX512) return isa >= COHORT_ISA_AVX512;
  if (variant == COHORT_VARIANT_F32_AVX2) return isa >= COHORT_ISA_AVX2;
  return true;
}

/* "a=1 b=x c=key{d=2,e=3}" as a map. */
static inline cohort_document *trial_settings(const char *text) {
  cohort_document *map = cohort_document_create(COHORT_MAP, "test", 1, 1);
  char *copy = cohort_copy_text(text), *rest = copy, *word;
  while ((word = strsep(&rest, " "))) {
    char *value = strchr(word, '=');
    if (!value) continue;
    *value++ = 0;
    char *brace = strchr(value, '{');
    cohort_document *child = cohort_document_create(brace ? COHORT_MAP : COHORT_SCALAR, "test", 1, 1);
    if (brace) {
      *brace++ = 0;
      for (char *c = brace; *c; c++)
        if (*c == ',' || *c == '}') *c = ' ';
      cohort_document_set(child, value, trial_settings(brace));
    } else {
      cohort_document_set_text(child, value);
    }
    cohort_document_set(map, word, child);
  }
  free(copy);
  return map;
}

/* The document must outlive the choice: it is returned for release. NULL method after a fault, whose text is printed.
 */
static inline cohort_document *trial_choose(cohort_variant variant, const char *family, const char *key,
                                            const char *settings, cohort_choice *choice) {
  cohort_document *document = cohort_document_create(COHORT_MAP, "test", 1, 1);
  cohort_document_set(document, key, trial_settings(settings));
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(variant, family, document, family, choice, NULL, &faults);
  if (faults.count) fprintf(stderr, "%s\n", faults.text);
  cohort_faults_release(&faults);
  return document;
}

/* Products written as plainly as possible. */
static inline void trial_product_float(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n,
                                       int64_t k, double alpha, const void *a, int64_t stride_a, const void *b,
                                       int64_t stride_b, double beta, void *c, int64_t stride_c) {
  (void)team;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum += (double)((const float *)a)[transpose_a ? p * stride_a + i : i * stride_a + p] *
               (double)((const float *)b)[transpose_b ? j * stride_b + p : p * stride_b + j];
      float *out = &((float *)c)[i * stride_c + j];
      *out = (float)(alpha * sum + (beta != 0 ? beta * (double)*out : 0));
    }
}

static inline void trial_product_double(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n,
                                        int64_t k, double alpha, const void *a, int64_t stride_a, const void *b,
                                        int64_t stride_b, double beta, void *c, int64_t stride_c) {
  (void)team;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum += ((const double *)a)[transpose_a ? p * stride_a + i : i * stride_a + p] *
               ((const double *)b)[transpose_b ? j * stride_b + p : p * stride_b + j];
      double *out = &((double *)c)[i * stride_c + j];
      *out = alpha * sum + (beta != 0 ? beta * *out : 0);
    }
}

static const cohort_kernel_set trial_kernels_float = {.name = "f32", .real_size = 4, .product = trial_product_float};
static const cohort_kernel_set trial_kernels_double = {.name = "f64", .real_size = 8, .product = trial_product_double};

enum { TRIAL_GUARD = 64, TRIAL_GUARD_BYTE = 0xA5, TRIAL_TENSORS = 4 };

typedef struct trial_vector {
  char *memory; /* guard, values, guard */
  void *values;
  size_t bytes;
} trial_vector;

static inline trial_vector trial_vector_create(int64_t elements, size_t real_size) {
  trial_vector v;
  v.bytes = (size_t)elements * real_size;
  const size_t total = cohort_round_up(v.bytes + 2 * TRIAL_GUARD, TRIAL_GUARD);
  v.memory = aligned_alloc(TRIAL_GUARD, total);
  memset(v.memory, TRIAL_GUARD_BYTE, total);
  v.values = v.memory + TRIAL_GUARD;
  memset(v.values, 0, v.bytes);
  return v;
}

static inline bool trial_vector_guarded(const trial_vector *v) {
  for (size_t i = 0; i < TRIAL_GUARD; i++)
    if ((unsigned char)v->memory[i] != TRIAL_GUARD_BYTE ||
        (unsigned char)v->memory[TRIAL_GUARD + v->bytes + i] != TRIAL_GUARD_BYTE)
      return false;
  return true;
}

static inline double trial_get(const void *values, int64_t i, size_t real_size) {
  return real_size == 4 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

static inline void trial_set(void *values, int64_t i, size_t real_size, double value) {
  if (real_size == 4)
    ((float *)values)[i] = (float)value;
  else
    ((double *)values)[i] = value;
}

/* One optimizer (a driver with its base, or an update) over some tensors. */
typedef struct trial {
  cohort_choice outer, inner; /* inner: the update; outer: the driver, or empty */
  cohort_document *outer_document, *inner_document;
  size_t real_size;
  int tensors, states;
  cohort_shape shape[TRIAL_TENSORS];
  int64_t offset[TRIAL_TENSORS + 1], elements;
  trial_vector weights, gradient, curvature, shadow, workspace, state[COHORT_MAX_STATES];
  int64_t step, range; /* range: elements a call, 0: whole tensors */
  double learning_rate, weight_decay, gradient_scale;
  int threads;
  const double *matrix, *target; /* problem of a driver: gradient matrix w - target */
} trial;

static inline double trial_initial(const cohort_choice *choice, const char *parameter) {
  return parameter ? cohort_choice_real(choice, parameter, NAN) : 0;
}

static inline void trial_set_up(trial *t, cohort_variant variant, const char *key, const char *settings, int tensors,
                                const cohort_shape *shapes) {
  memset(t, 0, sizeof *t);
  t->real_size = variant == COHORT_VARIANT_F64 ? 8 : 4;
  t->inner_document = trial_choose(variant, "optimizer", key, settings, &t->inner);
  if (!t->inner.method) exit(1);
  if (((const cohort_optimizer *)t->inner.method->functions)->drive) {
    t->outer = t->inner;
    t->outer_document = t->inner_document;
    const cohort_parameter *parameter = t->outer.method->parameters;
    while (strcmp(parameter->name, "base") != 0) parameter++;
    const cohort_document *base;
    memcpy(&base, (const char *)t->outer.config + parameter->offset, sizeof base);
    cohort_faults faults = {NULL, 0};
    t->inner_document = NULL;
    cohort_choice_read(variant, "optimizer", base, "base", &t->inner, NULL, &faults);
    cohort_faults_release(&faults);
    if (!t->inner.method) exit(1);
  }
  const cohort_optimizer *functions = t->inner.method->functions;
  int64_t workspace = 0;
  for (int i = 0; i < tensors; i++) {
    if ((t->inner.method->needs & COHORT_NEEDS_MATRICES) && shapes[i].axes < 2) continue;
    t->shape[t->tensors] = shapes[i];
    t->offset[t->tensors + 1] = t->offset[t->tensors] + cohort_shape_elements(shapes[i]);
    t->tensors++;
    const int64_t wanted = functions->workspace ? functions->workspace(shapes[i]) : 0;
    if (wanted > workspace) workspace = wanted;
  }
  t->elements = t->offset[t->tensors];
  t->weights = trial_vector_create(t->elements, t->real_size);
  t->gradient = trial_vector_create(t->elements, t->real_size);
  t->curvature = trial_vector_create(t->elements, t->real_size);
  t->shadow = trial_vector_create(t->elements, t->real_size);
  t->workspace = trial_vector_create(workspace, t->real_size);
  for (const cohort_state *s = t->inner.method->states; s && s->name; s++, t->states++) {
    t->state[t->states] = trial_vector_create(t->elements, t->real_size);
    for (int64_t i = 0; i < t->elements; i++)
      trial_set(t->state[t->states].values, i, t->real_size, trial_initial(&t->inner, s->initial_parameter));
  }
  t->learning_rate = cohort_choice_real(&t->inner, "learning_rate", NAN);
  t->weight_decay = cohort_choice_real(&t->inner, "weight_decay", 0);
  t->gradient_scale = 1;
  t->threads = 1;
}

static inline void trial_release(trial *t) {
  free(t->weights.memory);
  free(t->gradient.memory);
  free(t->curvature.memory);
  free(t->shadow.memory);
  free(t->workspace.memory);
  for (int s = 0; s < t->states; s++) free(t->state[s].memory);
  cohort_choice_release(&t->inner);
  cohort_choice_release(&t->outer);
  cohort_document_destroy(t->inner_document);
  cohort_document_destroy(t->outer_document);
}

static inline bool trial_guarded(const trial *t) {
  bool guarded = trial_vector_guarded(&t->weights) && trial_vector_guarded(&t->gradient) &&
                 trial_vector_guarded(&t->curvature) && trial_vector_guarded(&t->workspace);
  for (int s = 0; s < t->states; s++) guarded = guarded && trial_vector_guarded(&t->state[s]);
  return guarded;
}

/* Applies the update to every tensor, range by range, the last range first. */
static inline void trial_update(trial *t) {
  const cohort_optimizer *functions = t->inner.method->functions;
  const cohort_team team = {t->threads};
  for (int tensor = 0; tensor < t->tensors; tensor++) {
    const int64_t size = t->offset[tensor + 1] - t->offset[tensor], range = t->range ? t->range : size;
    for (int64_t first = (size - 1) / range * range; first >= 0; first -= range) {
      const int64_t start = t->offset[tensor] + first;
      const size_t at = (size_t)start * t->real_size;
      cohort_update update = {
          .config = t->inner.config,
          .step = t->step,
          .learning_rate = t->learning_rate,
          .weight_decay = t->weight_decay,
          .gradient_scale = t->gradient_scale,
          .shape = t->shape[tensor],
          .first = first,
          .elements = size - first < range ? size - first : range,
          .parameters = (char *)t->weights.values + at,
          .gradient = (char *)t->gradient.values + at,
          .curvature = t->inner.method->needs & COHORT_NEEDS_CURVATURE ? (char *)t->curvature.values + at : NULL,
          .workspace = t->workspace.values,
          .kernels = t->real_size == 4 ? &trial_kernels_float : &trial_kernels_double,
          .team = &team,
      };
      for (int s = 0; s < t->states; s++) update.state[s] = (char *)t->state[s].values + at;
      functions->update(&update);
    }
  }
}

static inline void *trial_driver_vector(trial *t, int vector) {
  if (vector == COHORT_VECTOR_WEIGHTS) return t->weights.values;
  return vector == COHORT_VECTOR_GRADIENT ? t->gradient.values : t->shadow.values;
}

static inline cohort_status trial_driver_ask(cohort_driver *driver, int point, int gradient, cohort_error *error) {
  (void)error;
  trial *t = driver->implementation;
  const void *at = trial_driver_vector(t, point);
  void *out = trial_driver_vector(t, gradient);
  for (int64_t i = 0; i < t->elements; i++) {
    double sum = -t->target[i];
    for (int64_t j = 0; j < t->elements; j++) sum += t->matrix[i * t->elements + j] * trial_get(at, j, t->real_size);
    trial_set(out, i, t->real_size, sum);
  }
  return COHORT_DONE;
}

static inline double trial_driver_dot(cohort_driver *driver, int a, int b) {
  trial *t = driver->implementation;
  double sum = 0;
  for (int64_t i = 0; i < t->elements; i++)
    sum +=
        trial_get(trial_driver_vector(t, a), i, t->real_size) * trial_get(trial_driver_vector(t, b), i, t->real_size);
  return sum;
}

static inline void trial_driver_combine(cohort_driver *driver, int out, double alpha, int a, double beta, int b) {
  trial *t = driver->implementation;
  for (int64_t i = 0; i < t->elements; i++)
    trial_set(trial_driver_vector(t, out), i, t->real_size,
              alpha * trial_get(trial_driver_vector(t, a), i, t->real_size) +
                  beta * trial_get(trial_driver_vector(t, b), i, t->real_size));
}

static inline cohort_status trial_driver_update(cohort_driver *driver, int gradient, cohort_error *error) {
  (void)error;
  trial *t = driver->implementation;
  if (gradient != COHORT_VECTOR_GRADIENT) memcpy(t->gradient.values, t->shadow.values, t->gradient.bytes);
  trial_update(t);
  return COHORT_DONE;
}

/* One step: an update with the gradient (and curvature) that stand in the trial, or the driver on its problem. */
static inline cohort_status trial_step(trial *t, cohort_error *error) {
  t->step++;
  if (!t->outer.method) {
    trial_update(t);
    return COHORT_DONE;
  }
  cohort_driver driver = {.config = t->outer.config,
                          .step = t->step,
                          .implementation = t,
                          .ask = trial_driver_ask,
                          .dot = trial_driver_dot,
                          .combine = trial_driver_combine,
                          .update = trial_driver_update};
  return ((const cohort_optimizer *)t->outer.method->functions)->drive(&driver, error);
}

#endif
