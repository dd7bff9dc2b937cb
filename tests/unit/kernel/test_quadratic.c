/* Quadratic programs: the conditions of a least point, which for these convex ones are enough, on full and on deficient
 * ranks, and small ones by hand. */
#include <math.h>
#include <stdint.h>

#include "base/random.h"
#include "check.h"
#include "kernel/quadratic.h"

enum { MOST = COHORT_QUADRATIC_MOST };

/* Inner products of n drawn vectors with `size` elements, of very different lengths. */
static void fill(uint64_t seed, int n, int size, double *k, double (*vector)[MOST]) {
  const cohort_random_key key = cohort_random_key_from_seed(seed);
  for (int i = 0; i < n; i++)
    for (int e = 0; e < size; e++)
      vector[i][e] = cohort_random_normal_at(key, 0, (uint64_t)(i * MOST + e)) * (i % 3 ? 1 : 30) + (e == 0 && i % 2);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      k[i * n + j] = 0;
      for (int e = 0; e < size; e++) k[i * n + j] += vector[i][e] * vector[j][e];
    }
}

static double row(int n, const double *k, const double *x, int i) {
  double sum = 0;
  for (int j = 0; j < n; j++) sum += k[i * n + j] * x[j];
  return sum;
}

static void test_nonnegative(void) {
  double k[MOST * MOST], vector[MOST][MOST], f[MOST], x[MOST];
  for (uint64_t seed = 0; seed < 60; seed++)
    for (int n = 1; n <= MOST; n += 5)
      for (int size = 1; size <= MOST; size += 7) {
        fill(seed, n, size, k, vector);
        double largest = 0;
        for (int i = 0; i < n; i++) {
          f[i] = (seed % 2 ? -1 : 1) * k[i] / n; /* of the first row: in the range */
          if (fabs(f[i]) > largest) largest = fabs(f[i]);
        }
        cohort_least_nonnegative(n, k, f, x);
        for (int i = 0; i < n; i++) {
          const double slope = f[i] - row(n, k, x, i);
          CU_ASSERT(x[i] >= 0);
          CU_ASSERT(slope <= 1e-9 * largest);
          if (x[i] > 0) CU_ASSERT(fabs(slope) <= 1e-9 * largest);
        }
      }
}

/* At the least point z of a hull <v, z> >= |z|^2 for every corner v. */
static void test_simplex(void) {
  double k[MOST * MOST], vector[MOST][MOST], x[MOST];
  for (uint64_t seed = 0; seed < 60; seed++)
    for (int n = 1; n <= MOST; n += 5)
      for (int size = 1; size <= MOST; size += 7) {
        fill(seed, n, size, k, vector);
        cohort_least_on_simplex(n, k, x);
        double sum = 0, square = 0, largest = 0;
        for (int i = 0; i < n; i++) {
          CU_ASSERT(x[i] >= 0);
          sum += x[i];
          square += x[i] * row(n, k, x, i);
          if (k[i * n + i] > largest) largest = k[i * n + i];
        }
        CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-14);
        for (int i = 0; i < n; i++) CU_ASSERT(row(n, k, x, i) >= square - 1e-10 * largest);
      }
}

static void test_by_hand(void) {
  double x[3];
  cohort_least_on_simplex(2, (double[]){1, 0, 0, 4}, x); /* (1, 0) and (0, 2) */
  CU_ASSERT_DOUBLE_EQUAL(x[0], 0.8, 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(x[1], 0.2, 1e-14);
  cohort_least_on_simplex(2, (double[]){1, 2, 2, 9}, x); /* the shorter one rules */
  CU_ASSERT_EQUAL(x[0], 1);
  cohort_least_on_simplex(3, (double[]){0, 0, 0, 0, 0, 0, 0, 0, 0}, x);
  CU_ASSERT_DOUBLE_EQUAL(x[0] + x[1] + x[2], 1, 1e-14);
  cohort_least_nonnegative(2, (double[]){2, 0, 0, 2}, (double[]){4, -1}, x);
  CU_ASSERT_DOUBLE_EQUAL(x[0], 2, 1e-14);
  CU_ASSERT_EQUAL(x[1], 0);
}

int main(void) {
  static const check checks[] = {
      {"nonnegative", test_nonnegative}, {"simplex", test_simplex}, {"by hand", test_by_hand}};
  return check_run("quadratic", checks, sizeof checks / sizeof *checks);
}
