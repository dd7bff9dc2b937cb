/* Loops over a row of reals whose order of arithmetic is fixed by the length alone and the same in every variant of a
 * type: sums keep 64-byte vectors of partial sums, and join them in order. And the cutting of work into tiles. */
#ifndef COHORT_KERNEL_ROW_REAL_H
#define COHORT_KERNEL_ROW_REAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"
#include "kernel/operation.h"

enum { COHORT_TILE_ELEMENTS = 16384, COHORT_LANES = 64 / sizeof(real) };

/* 64 bytes in as many registers as they take: compilers handle a vector wider than a register badly. */
#if defined __AVX512F__
#include <immintrin.h>
#define COHORT_REGISTER_BYTES 64
#elif defined __AVX__
#define COHORT_REGISTER_BYTES 32
#else
#define COHORT_REGISTER_BYTES 16
#endif
enum { COHORT_REGISTERS = 64 / COHORT_REGISTER_BYTES, COHORT_REGISTER_LANES = COHORT_REGISTER_BYTES / sizeof(real) };
typedef real cohort_register __attribute__((vector_size(COHORT_REGISTER_BYTES)));
typedef real cohort_unaligned_register
    __attribute__((vector_size(COHORT_REGISTER_BYTES), aligned(sizeof(real)), may_alias));
typedef struct cohort_simd {
  cohort_register part[COHORT_REGISTERS];
} cohort_simd;

#define COHORT_EACH_REGISTER _Pragma("GCC unroll 4") for (int i = 0; i < COHORT_REGISTERS; i++)

static inline cohort_simd cohort_load(const real *x) {
  cohort_simd y;
  COHORT_EACH_REGISTER y.part[i] = *(const cohort_unaligned_register *)(x + i * COHORT_REGISTER_LANES);
  return y;
}
static inline void cohort_store(real *x, cohort_simd value) {
  COHORT_EACH_REGISTER *(cohort_unaligned_register *)(x + i * COHORT_REGISTER_LANES) = value.part[i];
}
static inline cohort_simd cohort_plus(cohort_simd a, cohort_simd b) {
  COHORT_EACH_REGISTER a.part[i] += b.part[i];
  return a;
}
static inline cohort_simd cohort_times(cohort_simd a, cohort_simd b) {
  COHORT_EACH_REGISTER a.part[i] *= b.part[i];
  return a;
}
static inline cohort_simd cohort_less_each(cohort_simd a, real b) {
  COHORT_EACH_REGISTER a.part[i] -= b;
  return a;
}
/* sum + a b */
static inline cohort_simd cohort_plus_product(cohort_simd sum, cohort_simd a, cohort_simd b) {
  COHORT_EACH_REGISTER sum.part[i] += a.part[i] * b.part[i];
  return sum;
}

/* Lanes are joined as a tree. */
static inline real cohort_join_lanes(cohort_simd sum) {
#if defined(__AVX512F__)
  const __m512 all = (__m512)sum.part[0];
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return (real)_mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  real part[COHORT_LANES];
  cohort_store(part, sum);
  for (int half = COHORT_LANES / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; lane++) part[lane] += part[lane + half];
  }
  return part[0];
#endif
}

static inline real cohort_row_sum(const real *x, int64_t n) {
  cohort_simd even = {0}, odd = {0};
  int64_t i = 0;
  for (; i + 2 * COHORT_LANES <= n; i += 2 * COHORT_LANES) {
    even = cohort_plus(even, cohort_load(x + i));
    odd = cohort_plus(odd, cohort_load(x + i + COHORT_LANES));
  }
  if (i + COHORT_LANES <= n) {
    even = cohort_plus(even, cohort_load(x + i));
    i += COHORT_LANES;
  }
  real tail = 0;
  for (; i < n; i++) tail += x[i];
  return cohort_join_lanes(cohort_plus(even, odd)) + tail;
}

/* The larger; NaN when either is. */
static inline real cohort_larger(real a, real b) { return b > a || b != b ? b : a; }
static inline real cohort_smaller(real a, real b) { return b < a || b != b ? b : a; }

static inline real cohort_row_max(const real *x, int64_t n) {
  enum { WIDE = 4 * COHORT_LANES }; /* several at once: each comparison waits for the one before it */
  real best[WIDE];
  real result = x[0];
  int64_t i = 0;
  if (n >= WIDE) {
    for (int lane = 0; lane < WIDE; lane++) best[lane] = x[lane];
    for (i = WIDE; i + WIDE <= n; i += WIDE) {
#pragma omp simd
      for (int lane = 0; lane < WIDE; lane++) best[lane] = cohort_larger(best[lane], x[i + lane]);
    }
    for (int half = WIDE / 2; half > 0; half /= 2) {
      for (int lane = 0; lane < half; lane++) best[lane] = cohort_larger(best[lane], best[lane + half]);
    }
    result = best[0];
  }
  for (; i < n; i++) result = cohort_larger(result, x[i]);
  return result;
}

static inline int64_t cohort_ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t cohort_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t cohort_most(int64_t a, int64_t b) { return a > b ? a : b; }

/* How many rows of `columns` elements make a tile. */
static inline int64_t cohort_tile_rows(int64_t columns) {
  return cohort_most(1, COHORT_TILE_ELEMENTS / cohort_most(1, columns));
}

/* Runs the tiles, a single one in the calling thread. */
static inline void cohort_tiles_run(const cohort_call *call, int64_t tiles, cohort_tile_function function,
                                    void *argument) {
  if (tiles == 1) {
    function(argument, 0);
  } else if (tiles > 1) {
    cohort_team_run(call->team, tiles, function, argument);
  }
}

static inline size_t cohort_workspace_reals(int64_t count) { return ((size_t)count * sizeof(real) + 63) / 64 * 64; }

static inline size_t cohort_element_size(const cohort_tensor *tensor) {
  return tensor->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : sizeof(real);
}

#endif
