/* Elementwise loops over vectors: every map against its definition, the same bits on every instruction set and in
 * place; a fill is a stream that may be cut anywhere. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/processor.h"
#include "check.h"
#include "update/algebra.h"

enum { MOST = 1031 };

static bool runs(cohort_variant variant) {
  const cohort_isa isa = cohort_processor_isa();
  if (variant == COHORT_VARIANT_F32_AVX512) return isa >= COHORT_ISA_AVX512;
  if (variant == COHORT_VARIANT_F32_AVX2) return isa >= COHORT_ISA_AVX2;
  return true;
}

static size_t real_of(cohort_variant variant) { return variant == COHORT_VARIANT_F64 ? sizeof(double) : sizeof(float); }

static double get(const void *values, int64_t e, size_t real) {
  return real == sizeof(float) ? (double)((const float *)values)[e] : ((const double *)values)[e];
}

static void set(void *values, int64_t e, size_t real, double value) {
  if (real == sizeof(float))
    ((float *)values)[e] = (float)value;
  else
    ((double *)values)[e] = value;
}

/* Operands of both signs, and zeros; powers of two and small integers, so that every result is exact. */
static void make(void *a, void *b, size_t real) {
  for (int64_t e = 0; e < MOST; e++) {
    set(a, e, real, (double)((e * 7) % 11 - 5) / 4);
    set(b, e, real, ldexp(e % 3 ? 1 : -1, (int)(e % 5)) * (e % 13 ? 1 : 0));
  }
}

static double expected(cohort_map map, double a, double b, double number) {
  switch (map) {
    case COHORT_MAP_PRODUCT:
      return a * b;
    case COHORT_MAP_QUOTIENT:
      return a / (b + number);
    case COHORT_MAP_ROOT:
      return sqrt(a);
    case COHORT_MAP_SIGN:
      return (a > 0) - (a < 0);
    case COHORT_MAP_SELECT:
      return b > 0 ? a : 0;
    case COHORT_MAP_CLAMP:
      return fmax(-number, fmin(number, a));
    case COHORT_MAP_ABSOLUTE:
      return fabs(a);
  }
  return NAN;
}

static void check_map(cohort_variant variant, cohort_map map, int64_t n) {
  const cohort_algebra *algebra = cohort_algebra_of(variant);
  const size_t real = real_of(variant);
  void *a = cohort_allocate(MOST * real), *b = cohort_allocate(MOST * real), *out = cohort_allocate(MOST * real);
  make(a, b, real);
  if (map == COHORT_MAP_ROOT) algebra->map(COHORT_MAP_ABSOLUTE, MOST, a, a, b, 0);
  set(out, n, real, 17);
  algebra->map(map, n, out, a, b, 0.75);
  for (int64_t e = 0; e < n; e++) {
    const double wanted = expected(map, get(a, e, real), get(b, e, real), 0.75);
    CU_ASSERT_EQUAL(get(out, e, real), real == sizeof(float) ? (double)(float)wanted : wanted);
  }
  CU_ASSERT_EQUAL(get(out, n, real), 17);
  algebra->map(map, n, a, a, b, 0.75);
  CU_ASSERT_EQUAL(memcmp(a, out, (size_t)n * real), 0);
  free(a);
  free(b);
  free(out);
}

static void test_maps(void) {
  const int64_t sizes[] = {0, 1, 7, 64, MOST - 1};
  for (int v = 0; v < COHORT_VARIANTS; v++)
    for (int map = COHORT_MAP_PRODUCT; runs((cohort_variant)v) && map <= COHORT_MAP_ABSOLUTE; map++)
      for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) check_map((cohort_variant)v, (cohort_map)map, sizes[s]);
}

/* With operands whose products round, so that a fused multiplication would show. */
static void test_same_bits_on_every_processor(void) {
  float a[MOST], b[MOST], wanted[MOST], out[MOST];
  const cohort_random_key key = cohort_random_key_from_seed(5);
  for (int64_t e = 0; e < MOST; e++) {
    a[e] = (float)cohort_random_normal_at(key, 1, (uint64_t)e);
    b[e] = (float)cohort_random_normal_at(key, 2, (uint64_t)e);
  }
  for (int v = 0; v < COHORT_VARIANT_F64; v++) {
    if (!runs((cohort_variant)v)) continue;
    const cohort_algebra *algebra = cohort_algebra_of((cohort_variant)v);
    algebra->combine(MOST, v ? out : wanted, 0.3, a, -1.7, b);
    CU_ASSERT(!v || memcmp(out, wanted, sizeof out) == 0);
    /* The vector loop and its remainder round alike. */
    for (int64_t e = 0; e < MOST; e += 101) {
      float one;
      algebra->combine(1, &one, 0.3, a + e, -1.7, b + e);
      CU_ASSERT_EQUAL(one, wanted[e]);
    }
  }
}

static void test_fills_may_be_cut(void) {
  const cohort_random_key key = cohort_random_key_from_seed(9);
  double whole[MOST], cut[MOST];
  const cohort_algebra *algebra = cohort_algebra_of(COHORT_VARIANT_F64);
  for (int fill = COHORT_FILL_NORMAL; fill <= COHORT_FILL_UNIT; fill++) {
    algebra->fill((cohort_fill)fill, 0, MOST, whole, key, 130);
    for (int64_t at = 1; at < MOST; at += 61) {
      algebra->fill((cohort_fill)fill, 0, at, cut, key, 130);
      algebra->fill((cohort_fill)fill, at, MOST - at, cut + at, key, 130);
      CU_ASSERT_EQUAL(memcmp(whole, cut, sizeof whole), 0);
    }
  }
}

static void test_what_fills_are(void) {
  const cohort_random_key key = cohort_random_key_from_seed(11);
  const cohort_algebra *algebra = cohort_algebra_of(COHORT_VARIANT_F64);
  double values[MOST], sum = 0, square = 0;
  algebra->fill(COHORT_FILL_RADEMACHER, 0, MOST, values, key, 0);
  for (int e = 0; e < MOST; e++) {
    CU_ASSERT(fabs(values[e]) == 1);
    sum += values[e];
  }
  CU_ASSERT(fabs(sum) < 4 * sqrt(MOST));
  algebra->fill(COHORT_FILL_NORMAL, 0, MOST, values, key, 0);
  for (int e = 0; e < MOST; e++) square += values[e] * values[e];
  CU_ASSERT_DOUBLE_EQUAL(square / MOST, 1, 0.2);
  algebra->fill(COHORT_FILL_UNIT, 0, MOST, values, key, 37);
  for (int e = 0; e < MOST; e++) CU_ASSERT_EQUAL(values[e], e == 37);
  algebra->fill(COHORT_FILL_VALUE, 0, MOST, values, key, -2.5);
  CU_ASSERT(values[0] == -2.5 && values[MOST - 1] == -2.5);
}

int main(void) {
  static const check checks[] = {{"maps are what they say, in place too", test_maps},
                                 {"the same bits on every processor", test_same_bits_on_every_processor},
                                 {"fills may be cut anywhere", test_fills_may_be_cut},
                                 {"what fills are", test_what_fills_are}};
  return check_run("algebra", checks, sizeof checks / sizeof *checks);
}
