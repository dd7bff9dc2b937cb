/* float32 to bf16, to nearest even; NaN stays NaN and never becomes infinite. Half a memory pass. */
#include <string.h>

#include "kernel/kernel.h"

void cohort_round_to_bf16(const float *restrict x, int64_t n, uint16_t *restrict bf16) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000u;
    bf16[i] = (uint16_t)(((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) >> 16);
  }
}
