/* Small quadratic programs, solved exactly by their active set: what aggregators of several objectives are made of. All
 * matrices are symmetric, positive semidefinite, row-major; n is at most COHORT_QUADRATIC_MOST. */
#ifndef COHORT_KERNEL_QUADRATIC_H
#define COHORT_KERNEL_QUADRATIC_H

enum { COHORT_QUADRATIC_MOST = 16 };

/* x[n] >= 0 that makes x'Hx / 2 - f'x least, f in the range of H. Lawson and Hanson, Solving Least Squares Problems,
 * 1974, chapter 23, on the normal equations. */
void cohort_least_nonnegative(int n, const double *h, const double *f, double *x);

/* x[n] >= 0 of sum 1 that makes x'Kx least: the point of a convex hull next to zero, K the inner products of its
 * corners. */
void cohort_least_on_simplex(int n, const double *k, double *x);

#endif
