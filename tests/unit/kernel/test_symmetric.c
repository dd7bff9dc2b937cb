/* Products of a matrix with itself: the whole product's values, symmetric to the bit, with every set of kernels. */
#include <math.h>

#include "base/random.h"
#include "check.h"
#include "kernel/symmetric.h"

enum { MOST = 400 };

static double get(const void *x, int64_t i, size_t size) {
  return size == sizeof(float) ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void put(void *x, int64_t i, double value, size_t size) {
  if (size == sizeof(float))
    ((float *)x)[i] = (float)value;
  else
    ((double *)x)[i] = value;
}

static double x[MOST * MOST], whole[MOST * MOST], half[MOST * MOST];

/* `equal`: the whole product's very bits. */
static void try_size(const cohort_kernel_set *kernels, bool transpose, int64_t n, int64_t k, double beta, bool equal) {
  const cohort_random_key key = cohort_random_key_from_seed(5);
  const int64_t stride = transpose ? n : k;
  const size_t size = kernels->real_size;
  for (int64_t i = 0; i < n * k; i++) put(x, i, cohort_random_normal_at(key, 0, (uint64_t)i), size);
  for (int64_t i = 0; i < n * n; i++) {
    const uint64_t pair = (uint64_t)((i / n) * (i % n) + i / n + i % n); /* symmetric */
    put(half, i, cohort_random_normal_at(key, 1, pair), size);
  }
  memcpy(whole, half, sizeof whole);
  const cohort_team team = {1};
  kernels->product(&team, transpose, !transpose, n, n, k, 0.5, x, stride, x, stride, beta, whole, n);
  cohort_product_symmetric(kernels, &team, transpose, n, k, 0.5, x, stride, beta, half);
  double worst = 0;
  int64_t skew = 0, other = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      const double here = get(half, i * n + j, size), there = get(whole, i * n + j, size);
      if (fabs(here - there) > worst || isnan(here)) worst = fabs(here - there);
      skew += here != get(half, j * n + i, size);
      other += here != there;
    }
  CU_ASSERT(worst <= (size == sizeof(float) ? 1e-4 : 1e-12) * sqrt((double)k));
  CU_ASSERT_EQUAL(skew, 0);
  if (equal) CU_ASSERT_EQUAL(other, 0);
}

static void try_set(const cohort_kernel_set *kernels, bool equal) {
  static const int64_t sizes[][2] = {{1, 1}, {5, 7}, {96, 30}, {192, 300}, {193, 64}, {300, 33}, {400, 400}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int transpose = 0; transpose < 2; transpose++) {
      try_size(kernels, transpose, sizes[i][0], sizes[i][1], 0, equal);
      try_size(kernels, transpose, sizes[i][0], sizes[i][1], -2, equal);
    }
}

static void test_sets(void) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    try_set(cohort_kernels_float32((cohort_isa)isa), true);
    try_set(cohort_kernels_bf16((cohort_isa)isa, cohort_processor_bf16()), false);
  }
  try_set(cohort_kernels_float64(), false);
}

int main(void) {
  static const check checks[] = {{"sets", test_sets}};
  return check_run("symmetric", checks, sizeof checks / sizeof *checks);
}
