/* Elementwise loops over vectors, compiled per type and instruction set (algebra.h). A loop reads and writes memory
 * once and does nothing else. */
#include "update/algebra.h"

#include <math.h>

#include "base/real.h"

extern const cohort_algebra COHORT_VARIED(cohort_algebra);

static void combine(int64_t n, void *out, double alpha, const void *a, double beta, const void *b) {
  const real *x = a, *y = b, p = (real)alpha, q = (real)beta;
  real *to = out;
  for (int64_t e = 0; e < n; e++) to[e] = p * x[e] + q * y[e];
}

static void multiply(int64_t n, void *out, const void *a) {
  const real *x = a;
  real *to = out;
  for (int64_t e = 0; e < n; e++) to[e] *= x[e];
}

static void map(cohort_map map, int64_t n, void *out, const void *a, const void *b, double number) {
  const real *x = a, *y = b, c = (real)number;
  real *to = out;
  switch (map) {
    case COHORT_MAP_PRODUCT:
      for (int64_t e = 0; e < n; e++) to[e] = x[e] * y[e];
      return;
    case COHORT_MAP_QUOTIENT:
      for (int64_t e = 0; e < n; e++) to[e] = x[e] / (y[e] + c);
      return;
    case COHORT_MAP_ROOT:
      for (int64_t e = 0; e < n; e++) to[e] = (real)sqrt((double)x[e]);
      return;
    case COHORT_MAP_SIGN:
      for (int64_t e = 0; e < n; e++) to[e] = (real)((x[e] > 0) - (x[e] < 0));
      return;
    case COHORT_MAP_SELECT:
      for (int64_t e = 0; e < n; e++) to[e] = y[e] > 0 ? x[e] : 0;
      return;
    case COHORT_MAP_CLAMP:
      for (int64_t e = 0; e < n; e++) to[e] = x[e] < -c ? -c : x[e] > c ? c : x[e];
      return;
    case COHORT_MAP_ABSOLUTE:
      for (int64_t e = 0; e < n; e++) to[e] = x[e] < 0 ? -x[e] : x[e];
      return;
  }
}

/* Sign e of a stream is bit e % 32 of word e / 32, so that a draw gives 128. */
static void fill_signs(int64_t first, int64_t n, real *to, cohort_random_key key) {
  for (int64_t e = first; e < first + n;) {
    const philox4x32_ctr_t words = cohort_random_words(key, 0, (uint64_t)(e / 128));
    const int64_t end = (e / 128 + 1) * 128 < first + n ? (e / 128 + 1) * 128 : first + n;
    for (; e < end; e++) to[e - first] = words.v[(e >> 5) & 3] >> (e & 31) & 1 ? 1 : -1;
  }
}

static void fill(cohort_fill fill, int64_t first, int64_t n, void *out, cohort_random_key key, double number) {
  real *to = out;
  switch (fill) {
    case COHORT_FILL_NORMAL:
      for (int64_t e = 0; e < n; e++) to[e] = (real)cohort_random_normal_at(key, 0, (uint64_t)(first + e));
      return;
    case COHORT_FILL_RADEMACHER:
      fill_signs(first, n, to, key);
      return;
    case COHORT_FILL_VALUE:
      for (int64_t e = 0; e < n; e++) to[e] = (real)number;
      return;
    case COHORT_FILL_UNIT:
      for (int64_t e = 0; e < n; e++) to[e] = (double)(first + e) == number ? 1 : 0;
      return;
  }
}

const cohort_algebra COHORT_VARIED(cohort_algebra) = {combine, map, fill, multiply};
