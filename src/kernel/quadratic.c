/* Active sets (quadratic.h). Invariant: x is the least on the positive ones, which are linearly independent. Elements
 * enter one at a time, the steepest first; each entry lowers the value, so no set comes twice. Cost: a Cholesky factor
 * an entry, n^4 / 3 in all. */
#include "kernel/quadratic.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lapack.h"

enum { MOST = COHORT_QUADRATIC_MOST };

typedef struct program {
  int n;
  const double *h, *f;
  double *x;
  bool positive[MOST]; /* may be above zero */
  bool refused[MOST];  /* depends on those that are positive */
  double tolerance;    /* of a slope */
} program;

/* f - Hx at j. */
static double slope(const program *p, const double *x, int j) {
  double inner = 0;
  for (int i = 0; i < p->n; i++) inner += p->h[j * p->n + i] * x[i];
  return p->f[j] - inner;
}

/* Of what is not positive the one that lowers the value fastest; -1: none. */
static int steepest(const program *p) {
  int best = -1;
  double most = p->tolerance;
  for (int j = 0; j < p->n; j++) {
    if (p->positive[j] || p->refused[j]) continue;
    const double here = slope(p, p->x, j);
    if (here <= most) continue;
    most = here;
    best = j;
  }
  return best;
}

/* The least over the positive elements without their bounds, refined once; false when they depend on each other. */
static bool solve(const program *p, double *out) {
  int at[MOST], count = 0;
  double l[MOST * MOST], right[MOST];
  for (int j = 0; j < p->n; j++) {
    out[j] = 0;
    if (p->positive[j]) at[count++] = j;
  }
  for (int i = 0; i < count; i++)
    for (int j = 0; j < count; j++) l[i * count + j] = p->h[at[i] * p->n + at[j]];
  if (!cohort_cholesky(count, l)) return false;
  for (int i = 0; i < count; i++) {
    const double own = p->h[at[i] * p->n + at[i]], left = l[i * count + i];
    if (left * left <= 1e-14 * own) return false;
  }
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < count; i++) right[i] = slope(p, out, at[i]);
    if (!cohort_cholesky_solve(count, l, right)) return false;
    for (int i = 0; i < count; i++) out[at[i]] += right[i];
  }
  return true;
}

/* Goes from x towards `to` until the first positive element is zero, which leaves; true when all the way was free. */
static bool walk(program *p, const double *to) {
  double share = 1;
  int first = -1;
  for (int j = 0; j < p->n; j++) {
    if (!p->positive[j] || to[j] > 0) continue;
    const double here = p->x[j] > to[j] ? p->x[j] / (p->x[j] - to[j]) : 0;
    if (first >= 0 && here >= share) continue;
    share = here;
    first = j;
  }
  for (int j = 0; j < p->n; j++)
    if (p->positive[j]) p->x[j] = first < 0 ? to[j] : p->x[j] + share * (to[j] - p->x[j]);
  if (first < 0) return true;
  p->x[first] = 0;
  p->positive[first] = false;
  return false;
}

/* One element more; false when it depends on those that are there. */
static bool enter(program *p, int j) {
  double to[MOST];
  p->positive[j] = true;
  if (!solve(p, to) || to[j] <= 0) {
    p->positive[j] = false;
    return false;
  }
  while (!walk(p, to) && solve(p, to)) continue;
  return true;
}

void cohort_least_nonnegative(int n, const double *h, const double *f, double *x) {
  program p = {.n = n, .h = h, .f = f, .x = x};
  double largest = 0;
  for (int j = 0; j < n; j++) {
    x[j] = 0;
    if (fabs(f[j]) > largest) largest = fabs(f[j]);
  }
  p.tolerance = 1e-13 * largest;
  for (int entries = 0; entries < 20 * n; entries++) {
    const int j = steepest(&p);
    if (j < 0) return;
    p.refused[j] = !enter(&p, j);
    if (p.refused[j]) continue;
    for (int i = 0; i < n; i++) p.refused[i] = false;
  }
}

/* The least of x'Kx + (sum x - 1)^2 without the sum's bound lies on the ray of the wanted point. */
void cohort_least_on_simplex(int n, const double *k, double *x) {
  double h[MOST * MOST], f[MOST], largest = 0, sum = 0;
  for (int j = 0; j < n; j++)
    if (k[j * n + j] > largest) largest = k[j * n + j];
  for (int i = 0; i < n * n; i++) h[i] = 1 + (largest > 0 ? k[i] / largest : 0);
  for (int j = 0; j < n; j++) f[j] = 1;
  cohort_least_nonnegative(n, h, f, x);
  for (int j = 0; j < n; j++) sum += x[j];
  for (int j = 0; j < n; j++) x[j] = sum > 0 ? x[j] / sum : 1.0 / n;
}
