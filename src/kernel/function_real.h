/* Elementary functions of `real` without branches, so that a loop over them is vectorised. Float: errors of a few units
 * in the last place (Taylor and atanh series after reduction of the argument); double: the C library. */
#ifndef COHORT_KERNEL_FUNCTION_REAL_H
#define COHORT_KERNEL_FUNCTION_REAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"

enum { COHORT_REAL_IS_DOUBLE = sizeof(real) == sizeof(double) };

static inline real cohort_magnitude(real x) {
  return COHORT_REAL_IS_DOUBLE ? (real)fabs((double)x) : (real)fabsf((float)x);
}

static inline float cohort_float_of_bits(int32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline int32_t cohort_bits_of_float(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* x = n log 2 + r, |r| <= log(2) / 2; returns r, and n as an integer. */
static inline float cohort_split_logarithm(float x, int32_t *n) {
  const float shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  const float whole = shifted - 12582912.0f;
  *n = cohort_bits_of_float(shifted) - 0x4B400000;
  return (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
}

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2, by the Taylor series. */
static inline float cohort_exponential_rest(float r) {
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  return p * r + 0.5f;
}

/* exp(x) = 2^n exp(r), the power in two steps so that results go under and over as they should; about 1 unit in the
 * last place. */
static inline real cohort_exponential(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)exp((double)x);
  float t = (float)x;
  t = t > 89.0f ? 89.0f : t;
  t = t < -105.0f ? -105.0f : t;
  int32_t n;
  const float r = cohort_split_logarithm(t, &n);
  float p = cohort_exponential_rest(r);
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t half = n >> 1;
  const float first = cohort_float_of_bits((int32_t)((uint32_t)(half + 127) << 23));
  const float second = cohort_float_of_bits((int32_t)((uint32_t)(n - half + 127) << 23));
  return (real)(p * first * second);
}

/* exp(x) for x <= 88 in fewer steps: n is added to the exponent of exp(r). What is not a normal number, below x = -87,
 * becomes 0. */
static inline real cohort_exponential_flushed(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)exp((double)x);
  const float t = (float)x;
  const float shifted = t * 1.44269504f + 12582912.0f;
  const float whole = shifted - 12582912.0f;
  const float r = (t - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = cohort_exponential_rest(r);
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const uint32_t bits = (uint32_t)cohort_bits_of_float(p) + ((uint32_t)cohort_bits_of_float(shifted) << 23);
  return t < -87.0f ? (real)0 : (real)cohort_float_of_bits((int32_t)bits);
}

/* exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1). */
static inline real cohort_expm1(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)expm1((double)x);
  float t = (float)x;
  t = t > 89.0f ? 89.0f : t;
  t = t < -40.0f ? -40.0f : t;
  int32_t n;
  const float r = cohort_split_logarithm(t, &n);
  const float p = cohort_exponential_rest(r) * r * r + r;
  /* Half of 2^n, so that n = 128 does not overflow before the sum does. */
  const float half = cohort_float_of_bits((int32_t)((uint32_t)(n + 126) << 23));
  return (real)(2.0f * (half * p + (half - 0.5f)));
}

/* log(m 2^e) = e log 2 + 2 atanh((m - 1) / (m + 1)), m in [sqrt(1/2), sqrt(2)); for positive normal numbers. */
static inline float cohort_log_normal(float x) {
  const uint32_t bits = (uint32_t)cohort_bits_of_float(x);
  const int32_t exponent = (int32_t)(bits - 0x3F3504F3U) >> 23;
  const float m = cohort_float_of_bits((int32_t)(bits - ((uint32_t)exponent << 23)));
  const float e = (float)exponent;
  const float f = m - 1.0f;
  const float s = f / (m + 1.0f);
  const float z = s * s;
  float p = 2.0f / 9.0f;
  p = p * z + 2.0f / 7.0f;
  p = p * z + 2.0f / 5.0f;
  p = p * z + 2.0f / 3.0f;
  /* 2s = f - s f keeps the leading term exact near 1 */
  const float series = f - s * (f - p * z);
  return e * 0.693359375f + (series - e * 2.12194440e-4f);
}

static inline real cohort_logarithm(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)log((double)x);
  const float given = (float)x;
  const int tiny = given < 1.17549435e-38f;
  const float scaled = given * 8388608.0f; /* 2^23 */
  float y = cohort_log_normal(tiny ? scaled : given);
  const float shifted = y - 15.9423847f; /* 23 log 2 */
  y = tiny ? shifted : y;
  y = given > 3.4028234e38f ? given : y; /* +inf */
  y = given == 0.0f ? -INFINITY : y;
  y = given < 0.0f || given != given ? NAN : y;
  return (real)y;
}

/* log(1 + x), with the rounding error of 1 + x given back. */
static inline real cohort_log1p(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)log1p((double)x);
  const real w = (real)1 + x;
  const real lost = x - (w - (real)1);
  const real y = cohort_logarithm(w) + lost / w;
  return w == 0 || w > (real)3e38 ? cohort_logarithm(w) : y;
}

static inline real cohort_sigmoid(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)1 / ((real)1 + cohort_exponential(-x));
  real t = -x;
  t = (real)88 < t ? (real)88 : t;
  return (real)1 / ((real)1 + cohort_exponential_flushed(t));
}

static inline real cohort_tanh(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)tanh((double)x);
  const real magnitude = cohort_magnitude(x);
  const real bounded = magnitude > 20 ? (real)20 : magnitude;
  const real e = cohort_expm1(2 * bounded);
  const real y = e / (e + 2);
  return x < 0 ? -y : y;
}

/* log(1 + exp(x)) */
static inline real cohort_softplus(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)((x > 0 ? (double)x : 0) + log1p(exp(-fabs((double)x))));
  const real magnitude = cohort_magnitude(x);
  const real e = cohort_exponential(-magnitude);
  const real w = (real)1 + e;
  const real positive = x > 0 ? x : (real)0;
  return positive + ((real)cohort_log_normal((float)w) + (e - (w - (real)1)) / w);
}

/* Taylor series below 1; above, Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7). */
static inline real cohort_error_function(real x) {
  if (COHORT_REAL_IS_DOUBLE) return (real)erf((double)x);
  const real magnitude = cohort_magnitude(x);
  const real z = x * x;
  real p = (real)(-1.0 / 6894720.0); /* (-1)^n / (n! (2n + 1)), n = 9 ... 0 */
  p = p * z + (real)(1.0 / 685440.0);
  p = p * z + (real)(-1.0 / 75600.0);
  p = p * z + (real)(1.0 / 9360.0);
  p = p * z + (real)(-1.0 / 1320.0);
  p = p * z + (real)(1.0 / 216.0);
  p = p * z + (real)(-1.0 / 42.0);
  p = p * z + (real)(1.0 / 10.0);
  p = p * z + (real)(-1.0 / 3.0);
  p = p * z + 1;
  const real near = p * x * (real)1.1283791670955126;
  const real t = (real)1 / ((real)1 + (real)0.3275911 * magnitude);
  real q = (real)1.061405429;
  q = q * t - (real)1.453152027;
  q = q * t + (real)1.421413741;
  q = q * t - (real)0.284496736;
  q = q * t + (real)0.254829592;
  const real far = 1 - q * t * cohort_exponential(-z);
  return magnitude < 1 ? near : x < 0 ? -far : far;
}

/* sin and cos of an angle below 2^30 in magnitude, with an error of 1e-12. */
static inline void cohort_sine_cosine(double angle, double *sine, double *cosine) {
  const double magic = 6755399441055744.0; /* 1.5 * 2^52: rounds to an integer */
  const double shifted = angle * 0.63661977236758134308 + magic;
  const double n = shifted - magic;
  const double r = (angle - n * 1.57079632679489655800) - n * 6.123233995736766e-17;
  const double z = r * r;
  double s = -1.0 / 1307674368000.0;
  s = s * z + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800.0;
  s = s * z + 1.0 / 362880.0;
  s = s * z - 1.0 / 5040.0;
  s = s * z + 1.0 / 120.0;
  s = s * z - 1.0 / 6.0;
  s = s * z * r + r;
  double c = 1.0 / 20922789888000.0;
  c = c * z - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600.0;
  c = c * z - 1.0 / 3628800.0;
  c = c * z + 1.0 / 40320.0;
  c = c * z - 1.0 / 720.0;
  c = c * z + 1.0 / 24.0;
  c = c * z - 0.5;
  c = c * z + 1.0;
  int64_t quadrant;
  memcpy(&quadrant, &shifted, sizeof quadrant);
  const double first = quadrant & 1 ? c : s;
  const double second = quadrant & 1 ? s : c;
  *sine = quadrant & 2 ? -first : first;
  *cosine = (quadrant + 1) & 2 ? -second : second;
}

#endif
