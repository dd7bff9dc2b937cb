/* The algebra of lapack.h against its defining equations. */
#include <math.h>

#include "base/random.h"
#include "check.h"
#include "kernel/lapack.h"

enum { MOST = 40 };

static double draw(uint64_t i) { return cohort_random_normal_at(cohort_random_key_from_seed(7), 3, i); }

/* B B' + n I of drawn B. */
static void fill_definite(int64_t n, double *a) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = i == j ? 0.5 : 0;
      for (int64_t k = 0; k < n; k++) sum += draw((uint64_t)(i * n + k)) * draw((uint64_t)(j * n + k));
      a[i * n + j] = sum;
    }
}

/* Whether the rows are orthonormal. */
static void check_rows(int64_t n, int64_t m, const double *rows) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double inner = 0;
      for (int64_t k = 0; k < m; k++) inner += rows[i * m + k] * rows[j * m + k];
      CU_ASSERT_DOUBLE_EQUAL(inner, i == j, 1e-12);
    }
}

static void test_eigh(void) {
  static double a[MOST * MOST], v[MOST * MOST], values[MOST], workspace[4 * MOST * MOST];
  for (int64_t n = 1; n <= MOST; n += 13) {
    fill_definite(n, a);
    memcpy(v, a, sizeof v);
    CU_ASSERT(cohort_eigh_workspace(n) <= 4 * MOST * MOST);
    CU_ASSERT(cohort_eigh(n, v, values, workspace));
    check_rows(n, n, v);
    for (int64_t j = 0; j < n; j++) {
      CU_ASSERT(j == 0 || values[j] >= values[j - 1]);
      for (int64_t i = 0; i < n; i++) {
        double inner = 0;
        for (int64_t k = 0; k < n; k++) inner += a[i * n + k] * v[j * n + k];
        CU_ASSERT_DOUBLE_EQUAL(inner, values[j] * v[j * n + i], 1e-11 * values[n - 1]);
      }
    }
  }
  a[0] = NAN;
  CU_ASSERT(!cohort_eigh(1, a, values, workspace) || isnan(values[0]));
}

/* Q's columns span what the columns before span, in order: R is upper triangular. */
static void test_qr(void) {
  static double a[MOST * MOST], q[MOST * MOST], workspace[65 * MOST];
  for (int64_t n = 1; n <= MOST; n += 13) {
    const int64_t m = n < MOST ? n + 1 : n;
    for (int64_t i = 0; i < n * m; i++) a[i] = draw((uint64_t)i);
    memcpy(q, a, sizeof q);
    CU_ASSERT(cohort_qr_workspace(n) <= 65 * MOST);
    CU_ASSERT(cohort_qr(n, m, q, workspace));
    check_rows(n, m, q);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = i + 1; j < n; j++) {
        double inner = 0;
        for (int64_t k = 0; k < m; k++) inner += q[j * m + k] * a[i * m + k];
        CU_ASSERT_DOUBLE_EQUAL(inner, 0, 1e-12 * (double)m);
      }
  }
}

static void test_solve(void) {
  static double a[MOST * MOST], factor[MOST * MOST], x[MOST], right[MOST];
  int pivots[MOST];
  for (int64_t n = 1; n <= MOST; n += 13)
    for (int general = 0; general < 2; general++) {
      fill_definite(n, a);
      for (int64_t i = 0; general && i + 1 < n; i++) a[i * n + i + 1] += 3; /* no longer symmetric */
      for (int64_t i = 0; i < n; i++) x[i] = right[i] = draw((uint64_t)(7000 + i));
      memcpy(factor, a, sizeof factor);
      if (general)
        CU_ASSERT(cohort_solve(n, factor, x, pivots))
      else
        CU_ASSERT(cohort_cholesky(n, factor) && cohort_cholesky_solve(n, factor, x))
      for (int64_t i = 0; i < n; i++) {
        double inner = 0;
        for (int64_t k = 0; k < n; k++) inner += a[i * n + k] * x[k];
        CU_ASSERT_DOUBLE_EQUAL(inner, right[i], 1e-9);
      }
    }
  double indefinite[] = {1, 2, 2, 1}, singular[] = {1, 2, 2, 4};
  CU_ASSERT(!cohort_cholesky(2, indefinite));
  CU_ASSERT(!cohort_solve(2, singular, x, pivots));
}

int main(void) {
  static const check checks[] = {{"eigh", test_eigh}, {"qr", test_qr}, {"cholesky and solve", test_solve}};
  return check_run("lapack", checks, sizeof checks / sizeof *checks);
}
