/* Reals as whole numbers and back. Invariant: a function of the value, its weight, its number and the key. One pass, a
 * few nanoseconds a value; stochastic rounding draws a word for each. */
#include "train/secure/fixed_point.h"

#include <math.h>

double cohort_fixed_point_step(const cohort_fixed_point *how) { return how->range / (ldexp(1, how->bits - 1) - 1); }

bool cohort_fixed_point_fits(const cohort_fixed_point *how, double weights, double clients, double noise) {
  const double largest = weights * (ldexp(1, how->bits - 1) - 1) + clients * (1 + noise);
  return largest < ldexp(1, how->modulus - 1);
}

/* One value; `up` in [0, 1) decides stochastic rounding. */
static inline int64_t whole_of(double value, double range, double scale, cohort_fixed_rounding rounding, double up,
                               cohort_fixed_point_count *seen) {
  if (!isfinite(value)) {
    seen->infinite++;
    return 0;
  }
  if (fabs(value) > range) {
    seen->clipped++;
    value = value > 0 ? range : -range;
  }
  const double scaled = value * scale;
  const double nearest = rint(scaled);
  const bool whole = fabs(scaled - nearest) <= 0x1p-22 * fabs(scaled); /* but for float32's own rounding */
  if (rounding == COHORT_ROUND_NEAREST || (rounding == COHORT_ROUND_ZERO && whole)) return (int64_t)nearest;
  if (rounding == COHORT_ROUND_ZERO) return (int64_t)scaled;
  const double below = floor(scaled);
  return (int64_t)below + (up < scaled - below);
}

void cohort_fixed_point_write(const cohort_fixed_point *how, double weight, size_t real, int64_t count,
                              const void *value, cohort_random_key key, int64_t first, int64_t *whole,
                              cohort_fixed_point_count *seen) {
  const double scale = weight / cohort_fixed_point_step(how);
  for (int64_t i = 0; i < count; i++) {
    const double x = real == sizeof(double) ? ((const double *)value)[i] : (double)((const float *)value)[i];
    const bool drawn = how->rounding == COHORT_ROUND_STOCHASTIC;
    const double up = drawn ? (double)cohort_random_word(key, 0, (uint64_t)(first + i)) * 0x1p-32 : 0;
    whole[i] = whole_of(x, how->range, scale, how->rounding, up, seen);
  }
}

void cohort_fixed_point_reduce(const cohort_fixed_point *how, int64_t count, const int64_t *whole, void *words) {
  if (how->modulus == 64)
    for (int64_t i = 0; i < count; i++) ((uint64_t *)words)[i] = (uint64_t)whole[i];
  else
    for (int64_t i = 0; i < count; i++) ((uint32_t *)words)[i] = (uint32_t)(uint64_t)whole[i];
}

void cohort_fixed_point_read(const cohort_fixed_point *how, double factor, size_t real, int64_t count,
                             const void *words, void *value) {
  for (int64_t i = 0; i < count; i++) {
    const double sum = how->modulus == 64 ? (double)(int64_t)((const uint64_t *)words)[i]
                                          : (double)(int32_t)((const uint32_t *)words)[i];
    if (real == sizeof(double))
      ((double *)value)[i] = sum * factor;
    else
      ((float *)value)[i] = (float)(sum * factor);
  }
}

void cohort_words_add(int modulus, int64_t count, void *a, const void *b) {
  if (modulus == 64)
    for (int64_t i = 0; i < count; i++) ((uint64_t *)a)[i] += ((const uint64_t *)b)[i];
  else
    for (int64_t i = 0; i < count; i++) ((uint32_t *)a)[i] += ((const uint32_t *)b)[i];
}

void cohort_words_subtract(int modulus, int64_t count, void *a, const void *b) {
  if (modulus == 64)
    for (int64_t i = 0; i < count; i++) ((uint64_t *)a)[i] -= ((const uint64_t *)b)[i];
  else
    for (int64_t i = 0; i < count; i++) ((uint32_t *)a)[i] -= ((const uint32_t *)b)[i];
}
