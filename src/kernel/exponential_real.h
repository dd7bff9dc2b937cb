/* exp without branches, so that a loop over it is vectorised. */
#ifndef COHORT_KERNEL_EXPONENTIAL_REAL_H
#define COHORT_KERNEL_EXPONENTIAL_REAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"

/* exp(x). Float: x = n log 2 + r, Taylor series of exp(r), |r| <= log(2) / 2, times 2^n in two steps (so that results
 * go under and over as they should); about 1 unit in the last place. Double: the C library. */
static inline real cohort_exponential(real x) {
  if (sizeof(real) == sizeof(double)) return (real)exp((double)x);
  float t = (float)x;
  t = t > 89.0f ? 89.0f : t;
  t = t < -105.0f ? -105.0f : t;
  const float shifted = t * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  const float n = shifted - 12582912.0f;
  const float r = (t - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t exponent;
  memcpy(&exponent, &shifted, sizeof exponent);
  exponent -= 0x4B400000;
  const int32_t half = exponent >> 1;
  const uint32_t first_bits = (uint32_t)(half + 127) << 23;
  const uint32_t second_bits = (uint32_t)(exponent - half + 127) << 23;
  float first, second;
  memcpy(&first, &first_bits, sizeof first);
  memcpy(&second, &second_bits, sizeof second);
  return (real)(p * first * second);
}

#endif
