/* Forms of numbers, by their bits. Invariant: the result of a block depends on its bytes alone. Blocks of GGUF as
 * ggml's own reference: dequantize_row_q8_0, _q4_0, _q4_1. One pass. */
#include "io/model/numbers.h"

#include <string.h>

enum { BLOCK = 32 };

static float of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static uint16_t two_bytes(const unsigned char *in) { return (uint16_t)(in[0] | (unsigned)in[1] << 8); }

float cohort_half_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000U) << 16, exponent = half >> 10 & 0x1FU, rest = half & 0x3FFU;
  if (exponent == 0x1F) return of_bits(sign | 0x7F800000U | rest << 13);
  if (exponent) return of_bits(sign | (exponent + 112) << 23 | rest << 13);
  const float small = (float)rest * 0x1p-24F; /* below the least normal half */
  return sign ? -small : small;
}

void cohort_widen_f32(const unsigned char *in, int64_t blocks, float *out) {
  memcpy(out, in, (size_t)blocks * sizeof *out);
}

void cohort_widen_f16(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t i = 0; i < blocks; i++) out[i] = cohort_half_to_float(two_bytes(in + 2 * i));
}

void cohort_widen_bf16(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t i = 0; i < blocks; i++) out[i] = of_bits((uint32_t)two_bytes(in + 2 * i) << 16);
}

void cohort_widen_q8_0(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t b = 0; b < blocks; b++, in += 2 + BLOCK, out += BLOCK) {
    const float scale = cohort_half_to_float(two_bytes(in));
    for (int i = 0; i < BLOCK; i++) out[i] = (float)(int8_t)in[2 + i] * scale;
  }
}

/* The low nibbles are a block's first half, the high ones its second. */
void cohort_widen_q4_0(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t b = 0; b < blocks; b++, in += 2 + BLOCK / 2, out += BLOCK) {
    const float scale = cohort_half_to_float(two_bytes(in));
    for (int i = 0; i < BLOCK / 2; i++) {
      out[i] = (float)((in[2 + i] & 15) - 8) * scale;
      out[i + BLOCK / 2] = (float)((in[2 + i] >> 4) - 8) * scale;
    }
  }
}

void cohort_widen_q4_1(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t b = 0; b < blocks; b++, in += 4 + BLOCK / 2, out += BLOCK) {
    const float scale = cohort_half_to_float(two_bytes(in)), least = cohort_half_to_float(two_bytes(in + 2));
    for (int i = 0; i < BLOCK / 2; i++) {
      out[i] = (float)(in[4 + i] & 15) * scale + least;
      out[i + BLOCK / 2] = (float)(in[4 + i] >> 4) * scale + least;
    }
  }
}

uint16_t cohort_float_to_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return (uint16_t)(bits >> 16 | 0x40U);
  return (uint16_t)((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}
