/* What tests of methods share: settings as text, the variants this machine runs, vectors between guard bytes, plain
 * products. */
#ifndef COHORT_TESTS_CONTRACT_METHOD_FIXTURE_H
#define COHORT_TESTS_CONTRACT_METHOD_FIXTURE_H

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

static inline bool fixture_runs(cohort_variant variant) {
  const cohort_isa isa = cohort_processor_isa();
  if (variant == COHORT_VARIANT_F32_AVX512) return isa >= COHORT_ISA_AVX512;
  if (variant == COHORT_VARIANT_F32_AVX2) return isa >= COHORT_ISA_AVX2;
  return true;
}

/* "a=1 b=x c=key{d=2,e=3}" as a map. */
static inline cohort_document *fixture_settings(const char *text) {
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
      cohort_document_set(child, value, fixture_settings(brace));
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
static inline cohort_document *fixture_choose(cohort_variant variant, const char *family, const char *key,
                                              const char *settings, cohort_choice *choice) {
  cohort_document *document = cohort_document_create(COHORT_MAP, "test", 1, 1);
  cohort_document_set(document, key, fixture_settings(settings));
  cohort_faults faults = {NULL, 0};
  cohort_choice_read(variant, family, document, family, choice, NULL, &faults);
  if (faults.count) fprintf(stderr, "%s\n", faults.text);
  cohort_faults_release(&faults);
  return document;
}

/* Products written as plainly as possible. */
static inline void fixture_product_float(const cohort_team *team, int transpose_a, int transpose_b, int64_t m,
                                         int64_t n, int64_t k, double alpha, const void *a, int64_t stride_a,
                                         const void *b, int64_t stride_b, double beta, void *c, int64_t stride_c) {
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

static inline void fixture_product_double(const cohort_team *team, int transpose_a, int transpose_b, int64_t m,
                                          int64_t n, int64_t k, double alpha, const void *a, int64_t stride_a,
                                          const void *b, int64_t stride_b, double beta, void *c, int64_t stride_c) {
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

static const cohort_kernel_set fixture_kernels_float = {
    .name = "f32", .real_size = 4, .product = fixture_product_float};
static const cohort_kernel_set fixture_kernels_double = {
    .name = "f64", .real_size = 8, .product = fixture_product_double};

enum { FIXTURE_GUARD = 64, FIXTURE_GUARD_BYTE = 0xA5, FIXTURE_TENSORS = 4 };

typedef struct fixture_vector {
  char *memory; /* guard, values, guard */
  void *values;
  size_t bytes;
} fixture_vector;

static inline fixture_vector fixture_vector_create(int64_t elements, size_t real_size) {
  fixture_vector v;
  v.bytes = (size_t)elements * real_size;
  const size_t total = cohort_round_up(v.bytes + 2 * FIXTURE_GUARD, FIXTURE_GUARD);
  v.memory = aligned_alloc(FIXTURE_GUARD, total);
  memset(v.memory, FIXTURE_GUARD_BYTE, total);
  v.values = v.memory + FIXTURE_GUARD;
  memset(v.values, 0, v.bytes);
  return v;
}

static inline bool fixture_vector_guarded(const fixture_vector *v) {
  for (size_t i = 0; i < FIXTURE_GUARD; i++)
    if ((unsigned char)v->memory[i] != FIXTURE_GUARD_BYTE ||
        (unsigned char)v->memory[FIXTURE_GUARD + v->bytes + i] != FIXTURE_GUARD_BYTE)
      return false;
  return true;
}

static inline double fixture_get(const void *values, int64_t i, size_t real_size) {
  return real_size == 4 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

static inline void fixture_set(void *values, int64_t i, size_t real_size, double value) {
  if (real_size == 4)
    ((float *)values)[i] = (float)value;
  else
    ((double *)values)[i] = value;
}

#endif
