/* Float64 linear algebra on small matrices, through the LAPACK that OpenBLAS brings. Matrices are row-major with no
 * gaps. Nothing is allocated: callers bring the workspace, in doubles. One thread: the library runs with one, and a
 * thread of the team may call while others do. A false result means that LAPACK has failed: the matrix is not finite,
 * not positive definite, or singular; what was written is then of no use. */
#ifndef COHORT_KERNEL_LAPACK_H
#define COHORT_KERNEL_LAPACK_H

#include <stdbool.h>
#include <stdint.h>

/* Symmetric a [n x n] = V diag(values) V'. Row j of `a` becomes the j-th eigenvector, values[n] ascend. */
int64_t cohort_eigh_workspace(int64_t n);
bool cohort_eigh(int64_t n, double *a, double *values, double *workspace);

/* The transpose of a [n x m] is Q R, n <= m: row j of `a` becomes column j of Q, so that the rows are orthonormal. */
int64_t cohort_qr_workspace(int64_t n);
bool cohort_qr(int64_t n, int64_t m, double *a, double *workspace);

/* Symmetric positive definite a [n x n] = L L'. L stands in the lower triangle, the upper one is left as it was. */
bool cohort_cholesky(int64_t n, double *a);
/* x [n] becomes the solution of L L' x = x, of what cohort_cholesky has left. */
bool cohort_cholesky_solve(int64_t n, const double *l, double *x);

/* x [n] becomes the solution of a x = x for any regular a [n x n], which is overwritten. pivots[n]. */
bool cohort_solve(int64_t n, double *a, double *x, int *pivots);

#endif
