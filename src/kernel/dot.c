/* Inner products over flat vectors, for norms. */
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include <string.h>

#include "base/real.h"
#include "kernel/kernel.h"

double COHORT_VARIED(cohort_dot)(const void *a, const void *b, int64_t n);

enum { WIDTH = 8, SUMS = 4, LANES = SUMS * WIDTH };

typedef real narrow __attribute__((vector_size(WIDTH * sizeof(real))));
typedef double wide __attribute__((vector_size(WIDTH * sizeof(double))));

static inline wide load(const real *at) {
  narrow values;
  memcpy(&values, at, sizeof values);
#ifdef __AVX512F__ /* of floats; one instruction, which the compiler makes six of */
  return (wide)_mm512_cvtps_pd((__m256)values);
#else
  return __builtin_convertvector(values, wide);
#endif
}

static inline double join(wide sum) {
  const wide pairs = sum + __builtin_shufflevector(sum, sum, 1, 0, 3, 2, 5, 4, 7, 6);
  const wide fours = pairs + __builtin_shufflevector(pairs, pairs, 2, 3, 0, 1, 6, 7, 4, 5);
  return fours[0] + fours[4];
}

/* What is left after whole vectors. */
static __attribute__((noinline)) wide add_rest(wide sum, const real *x, const real *y, int64_t n) {
  for (int64_t e = 0; e < n; e++) sum[e] += (double)x[e] * (double)y[e];
  return sum;
}

/* The product of two floats is exact in float64, so only the order of additions, which is the same everywhere, matters:
 * whether it is rounded before it is added changes nothing. Each sum waits for the one before, so there are several. */
double COHORT_VARIED(cohort_dot)(const void *a, const void *b, int64_t n) {
  const real *x = a, *y = b;
  wide sum[SUMS] = {{0}};
  int64_t e = 0;
  if (x == y) {
    for (; e + LANES <= n; e += LANES)
      for (int s = 0; s < SUMS; s++) {
        const wide values = load(x + e + s * WIDTH);
        sum[s] += values * values;
      }
  } else {
    for (; e + LANES <= n; e += LANES)
      for (int s = 0; s < SUMS; s++) sum[s] += load(x + e + s * WIDTH) * load(y + e + s * WIDTH);
  }
  wide rest = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  for (; e < n; e += WIDTH) rest = add_rest(rest, x + e, y + e, n - e < WIDTH ? n - e : WIDTH);
  return join(rest);
}
