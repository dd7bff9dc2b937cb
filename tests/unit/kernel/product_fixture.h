/* What every product must hold: values, equal bits for every team and for any rows beside, NaN where it belongs. */
#ifndef COHORT_TESTS_UNIT_KERNEL_PRODUCT_FIXTURE_H
#define COHORT_TESTS_UNIT_KERNEL_PRODUCT_FIXTURE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel/kernel.h"

typedef struct product_case {
  int transpose_a, transpose_b;
  int64_t m, n, k;
  double alpha, beta;
} product_case;

/* Both sides of every limit: register blocks, the depth of a chunk (256 or 512), blocks of rows (168) and columns
 * (768), sides that are packed and sides that are read in place, a short k (64), whole and partial sixteens. */
static const product_case cases[] = {
    {0, 0, 1, 1, 1, 1, 0},       {0, 0, 3, 5, 7, 1, 0},       {1, 0, 13, 33, 5, 2, 0},    {0, 1, 12, 32, 256, 1, 1},
    {1, 1, 25, 31, 257, 1, 0},   {0, 0, 24, 64, 511, 1, 0.5}, {0, 0, 25, 65, 513, 1, 0},  {0, 1, 169, 17, 40, -1, 1},
    {1, 0, 170, 771, 33, 1, 0},  {0, 1, 29, 800, 300, 1, 0},  {1, 1, 40, 70, 600, 1, -2}, {0, 0, 7, 100, 64, 1, 0},
    {0, 0, 200, 16, 72, 1, 0},   {0, 0, 64, 10, 128, 1, 1},   {0, 0, 5, 6, 0, 1, 0.5},    {1, 0, 100, 100, 150, 1, 0},
    {0, 1, 129, 130, 131, 1, 0}, {0, 1, 32, 200, 784, 1, 0},  {0, 1, 63, 275, 257, 2, 0}, {0, 1, 16, 34, 30, 1, 0},
    {1, 0, 200, 784, 32, 1, 0},  {1, 0, 300, 511, 64, 1, 1},  {0, 1, 32, 10, 200, 1, 0},  {0, 1, 40, 45, 101, 1, 0},
};

static inline double get(const void *x, int64_t i, size_t size) {
  return size == sizeof(float) ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
static inline void put(void *x, int64_t i, double value, size_t size) {
  if (size == sizeof(float))
    ((float *)x)[i] = (float)value;
  else
    ((double *)x)[i] = value;
}

static inline double rounded(double value, bool bf16) {
  if (!bf16) return value;
  const float single = (float)value;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  float result;
  memcpy(&result, &bits, sizeof result);
  return (double)result;
}

typedef struct matrices {
  void *a, *b, *c, *before;
  int64_t stride_a, stride_b, stride_c, cells;
  size_t size;
} matrices;

static inline void *filled(int64_t count, size_t size, unsigned seed) {
  void *x = malloc((size_t)count * size + size);
  for (int64_t i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    put(x, i, (double)(seed >> 8) / (1 << 23) - 1, size);
  }
  return x;
}

/* The rows of A, B and C lie this many elements further apart than they are long. */
typedef struct gaps {
  int64_t a, b, c;
} gaps;

static inline matrices make_with(const product_case *p, size_t size, gaps gap) {
  matrices x = {.size = size};
  x.stride_a = (p->transpose_a ? p->m : p->k) + gap.a;
  x.stride_b = (p->transpose_b ? p->k : p->n) + gap.b;
  x.stride_c = p->n + gap.c;
  x.cells = p->m * x.stride_c;
  x.a = filled((p->transpose_a ? p->k : p->m) * x.stride_a, size, 1);
  x.b = filled((p->transpose_b ? p->n : p->k) * x.stride_b, size, 2);
  x.c = filled(x.cells, size, 3);
  x.before = filled(x.cells, size, 3);
  return x;
}

static inline matrices make(const product_case *p, size_t size) { return make_with(p, size, (gaps){3, 1, 2}); }

static inline void release(matrices *x) {
  free(x->a);
  free(x->b);
  free(x->c);
  free(x->before);
}

static inline void multiply(const cohort_kernel_set *set, const product_case *p, matrices *x, int threads) {
  const cohort_team team = {threads};
  set->product(&team, p->transpose_a, p->transpose_b, p->m, p->n, p->k, p->alpha, x->a, x->stride_a, x->b, x->stride_b,
               p->beta, x->c, x->stride_c);
}

/* The largest difference from the product in float64 of the (rounded) operands, in units of the sum of magnitudes; or
 * infinity when something outside of C was written. */
static inline double difference(const product_case *p, const matrices *x, bool bf16) {
  double worst = 0;
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < x->stride_c; j++) {
      const double old = get(x->before, i * x->stride_c + j, x->size), now = get(x->c, i * x->stride_c + j, x->size);
      if (j >= p->n) {
        if (now != old) return INFINITY;
        continue;
      }
      double sum = 0, magnitude = 1e-30 + (p->beta == 0 ? 0 : fabs(p->beta * old));
      for (int64_t l = 0; l < p->k; l++) {
        const double a = rounded(get(x->a, p->transpose_a ? l * x->stride_a + i : i * x->stride_a + l, x->size), bf16);
        const double b = rounded(get(x->b, p->transpose_b ? j * x->stride_b + l : l * x->stride_b + j, x->size), bf16);
        sum += a * b;
        magnitude += fabs(a * b);
      }
      const double error = fabs(now - (p->alpha * sum + (p->beta == 0 ? 0 : p->beta * old))) / magnitude;
      if (!(error <= worst)) worst = isfinite(error) ? error : INFINITY;
    }
  return worst;
}

static inline void check_values(const cohort_kernel_set *set, bool bf16) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    matrices x = make(&cases[i], set->real_size);
    multiply(set, &cases[i], &x, 1);
    const double worst = difference(&cases[i], &x, bf16);
    const double allowed = set->real_size == sizeof(double) ? 1e-14 : 1e-6;
    if (!(worst <= allowed)) printf("%s, case %zu: %g\n", set->name, i, worst);
    CU_ASSERT(worst <= allowed);
    release(&x);
  }
}

static inline void check_teams(const cohort_kernel_set *set, bool bf16) {
  (void)bf16;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    matrices alone = make(&cases[i], set->real_size);
    multiply(set, &cases[i], &alone, 1);
    for (int threads = 2; threads <= 5; threads++) {
      matrices shared = make(&cases[i], set->real_size);
      multiply(set, &cases[i], &shared, threads);
      CU_ASSERT(memcmp(alone.c, shared.c, (size_t)alone.cells * set->real_size) == 0);
      release(&shared);
    }
    release(&alone);
  }
}

/* In float32 and bf16 a row has the same bits whatever else is multiplied with it. */
static inline void check_rows(const cohort_kernel_set *set, bool bf16) {
  (void)bf16;
  if (set->real_size != sizeof(float)) return;
  product_case whole = {0, 1, 97, 150, 700, 1, 0};
  matrices all = make(&whole, sizeof(float));
  multiply(set, &whole, &all, 1);
  const int64_t rows[] = {1, 2, 11, 30, 96};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    product_case few = whole;
    few.m = rows[i];
    matrices part = make(&few, sizeof(float));
    multiply(set, &few, &part, 1);
    for (int64_t r = 0; r < rows[i]; r++)
      CU_ASSERT(memcmp((float *)all.c + r * all.stride_c, (float *)part.c + r * part.stride_c, 150 * sizeof(float)) ==
                0);
    release(&part);
  }
  release(&all);
}

/* What stands in C is not read when beta is 0, and a NaN of an operand reaches its row or column alone. */
static inline void check_not_a_number(const cohort_kernel_set *set, bool bf16) {
  (void)bf16;
  const product_case p = {0, 0, 30, 40, 20, 1, 0};
  matrices x = make(&p, set->real_size);
  for (int64_t i = 0; i < x.cells; i++) put(x.c, i, NAN, set->real_size);
  put(x.a, 7 * x.stride_a + 3, NAN, set->real_size);
  multiply(set, &p, &x, 1);
  for (int64_t i = 0; i < p.m; i++)
    for (int64_t j = 0; j < p.n; j++) CU_ASSERT(isnan(get(x.c, i * x.stride_c + j, x.size)) == (i == 7));
  release(&x);
}

#endif
