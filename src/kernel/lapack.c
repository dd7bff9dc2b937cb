/* The calls behind lapack.h. LAPACK stores by columns: a row-major matrix is the transpose there, which for a symmetric
 * one is the same with the triangles' names exchanged. Cost: n^3 each, about 9 n^3 for eigenvectors. */
#include "kernel/lapack.h"

#include <limits.h>
#include <stddef.h>

/* Lengths of the texts come last, as Fortran compilers pass them. */
extern void dsyevd_(const char *job, const char *triangle, const int *n, double *a, const int *stride, double *values,
                    double *work, const int *work_size, int *integers, const int *integers_size, int *info,
                    size_t job_length, size_t triangle_length);
extern void dgeqrf_(const int *rows, const int *columns, double *a, const int *stride, double *tau, double *work,
                    const int *work_size, int *info);
extern void dorgqr_(const int *rows, const int *columns, const int *reflectors, double *a, const int *stride,
                    const double *tau, double *work, const int *work_size, int *info);
extern void dpotrf_(const char *triangle, const int *n, double *a, const int *stride, int *info, size_t length);
extern void dpotrs_(const char *triangle, const int *n, const int *right_sides, const double *a, const int *stride,
                    double *b, const int *b_stride, int *info, size_t length);
extern void dgetrf_(const int *rows, const int *columns, double *a, const int *stride, int *pivots, int *info);
extern void dgetrs_(const char *transpose, const int *n, const int *right_sides, const double *a, const int *stride,
                    const int *pivots, double *b, const int *b_stride, int *info, size_t length);

/* Larger ones would overflow LAPACK's sizes of workspace. */
enum { LARGEST = 30000, COLUMNS_AT_ONCE = 64 };

static int64_t eigh_reals(int64_t n) { return 1 + 6 * n + 2 * n * n; }
static int64_t eigh_integers(int64_t n) { return 3 + 5 * n; }

int64_t cohort_eigh_workspace(int64_t n) { return eigh_reals(n) + (eigh_integers(n) + 1) / 2; }

bool cohort_eigh(int64_t n, double *a, double *values, double *workspace) {
  if (n < 1 || n > LARGEST) return n == 0;
  const int size = (int)n, reals = (int)eigh_reals(n), integers = (int)eigh_integers(n);
  int info = 0;
  dsyevd_("V", "U", &size, a, &size, values, workspace, &reals, (int *)(void *)(workspace + reals), &integers, &info, 1,
          1);
  return info == 0;
}

int64_t cohort_qr_workspace(int64_t n) { return (1 + COLUMNS_AT_ONCE) * n; }

bool cohort_qr(int64_t n, int64_t m, double *a, double *workspace) {
  if (n < 1 || n > m || m > INT_MAX || n > LARGEST) return n == 0;
  const int columns = (int)n, rows = (int)m, room = (int)(COLUMNS_AT_ONCE * n);
  int info = 0;
  dgeqrf_(&rows, &columns, a, &rows, workspace, workspace + n, &room, &info);
  if (info == 0) dorgqr_(&rows, &columns, &columns, a, &rows, workspace, workspace + n, &room, &info);
  return info == 0;
}

bool cohort_cholesky(int64_t n, double *a) {
  if (n < 1 || n > LARGEST) return n == 0;
  const int size = (int)n;
  int info = 0;
  dpotrf_("U", &size, a, &size, &info, 1);
  return info == 0;
}

bool cohort_cholesky_solve(int64_t n, const double *l, double *x) {
  if (n < 1 || n > LARGEST) return n == 0;
  const int size = (int)n, one = 1;
  int info = 0;
  dpotrs_("U", &size, &one, l, &size, x, &size, &info, 1);
  return info == 0;
}

bool cohort_solve(int64_t n, double *a, double *x, int *pivots) {
  if (n < 1 || n > LARGEST) return n == 0;
  const int size = (int)n, one = 1;
  int info = 0;
  dgetrf_(&size, &size, a, &size, pivots, &info);
  if (info == 0) dgetrs_("T", &size, &one, a, &size, pivots, x, &size, &info, 1);
  return info == 0;
}
