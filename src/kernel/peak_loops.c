/* The loops that peak.c times, once per instruction set: independent sums, as many as a core keeps in flight, so that
 * latency is hidden and the units are the limit. */
#include "kernel/peak_real.h"

/* As many sums as the registers hold besides the two operands: more than a core has in flight. */
#if defined __AVX512F__
enum { VECTOR_BYTES = 64, SUMS = 24 };
#elif defined __AVX2__
enum { VECTOR_BYTES = 32, SUMS = 12 };
#else
enum { VECTOR_BYTES = 16, SUMS = 12 };
#endif
enum { WIDTH = VECTOR_BYTES / sizeof(real), READS = 8 };

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));

static real total(const vector *sum, int sums) {
  vector all = sum[0];
  for (int i = 1; i < sums; i++) all += sum[i];
  real one = 0;
  for (int lane = 0; lane < WIDTH; lane++) one += all[lane];
  return one;
}

double COHORT_VARIED(cohort_peak_multiply_add)(int64_t rounds, real *sink) {
  vector sum[SUMS], factor = {0}, term = {0};
  for (int lane = 0; lane < WIDTH; lane++) {
    factor[lane] = (real)0.999;
    term[lane] = (real)0.001;
  }
  /* The compiler must not know the operands. */
  __asm__ volatile("" : "+x"(factor), "+x"(term));
#pragma GCC unroll 24
  for (int i = 0; i < SUMS; i++) sum[i] = term * (real)i;
  for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sum[i] = sum[i] * factor + term;
  }
  *sink = total(sum, SUMS);
  return 2.0 * SUMS * WIDTH * (double)rounds;
}

double COHORT_VARIED(cohort_peak_read_pass)(const real *data, int64_t elements, real *sink) {
  const vector *from = (const vector *)data;
  vector sum[READS] = {0};
  for (int64_t v = 0; v < elements / WIDTH; v += READS) {
#pragma GCC unroll 8
    for (int i = 0; i < READS; i++) sum[i] += from[v + i];
  }
  *sink = total(sum, READS);
  return (double)sizeof(real) * (double)elements;
}

double COHORT_VARIED(cohort_peak_update_pass)(real *data, int64_t elements) {
  vector *at = (vector *)data;
  for (int64_t v = 0; v < elements / WIDTH; v += READS) {
#pragma GCC unroll 8
    for (int i = 0; i < READS; i++) at[v + i] = at[v + i] * (real)0.999 + (real)0.001;
  }
  return 2.0 * sizeof(real) * (double)elements;
}
