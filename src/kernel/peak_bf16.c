/* Compiled with -mavx512f -mavx512bf16. */
#include "kernel/peak_bf16.h"

#include <immintrin.h>

enum { SUMS = 24, OPERATIONS = 64 /* 32 products and sums an instruction */ };

double cohort_peak_bf16_vectors(int64_t rounds, float *sink) {
  __m512 sum[SUMS];
  __m512i a = _mm512_set1_epi16(0x3a83), b = _mm512_set1_epi16(0x3a83); /* 0.001 */
  __asm__ volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 24
  for (int i = 0; i < SUMS; i++) sum[i] = _mm512_set1_ps((float)i);
  for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)a, (__m512bh)b);
  }
  float total = 0;
  for (int i = 0; i < SUMS; i++) total += _mm512_reduce_add_ps(sum[i]);
  *sink = total;
  return (double)SUMS * OPERATIONS * (double)rounds;
}
