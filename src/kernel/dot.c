/* Inner products over flat vectors, for norms. */
#include <string.h>

#include "base/real.h"
#include "kernel/kernel.h"

double COHORT_VARIED(cohort_dot)(const void *a, const void *b, int64_t n);

enum { WIDTH = 8, LANES = 2 * WIDTH };

typedef real narrow __attribute__((vector_size(WIDTH * sizeof(real))));
typedef double wide __attribute__((vector_size(WIDTH * sizeof(double))));

static inline wide load(const real *at) {
  narrow values;
  memcpy(&values, at, sizeof values);
  return __builtin_convertvector(values, wide);
}

/* The product of two floats is exact in float64, so only the order of additions, which is the same everywhere, matters.
 */
double COHORT_VARIED(cohort_dot)(const void *a, const void *b, int64_t n) {
  const real *x = a, *y = b;
  wide even = {0}, odd = {0};
  int64_t e = 0;
  for (; e + LANES <= n; e += LANES) {
    even += load(x + e) * load(y + e);
    odd += load(x + e + WIDTH) * load(y + e + WIDTH);
  }
  even += odd;
  for (; e < n; e++) even[e % WIDTH] += (double)x[e] * (double)y[e];
  return ((even[0] + even[1]) + (even[2] + even[3])) + ((even[4] + even[5]) + (even[6] + even[7]));
}
