/* The larger blocks of GGUF, and those of 5 bits, as ggml's own reference: dequantize_row_q5_0, _q5_1, _q4_K, _q5_K,
 * _q6_K. Invariant: the order of operations is theirs, so bits are. One pass. */
#include <string.h>

#include "io/model/numbers.h"

enum { BLOCK = 32, LARGE = 256, SCALES = 12 };

static float half_at(const unsigned char *in) { return cohort_half_to_float((uint16_t)(in[0] | (unsigned)in[1] << 8)); }

/* The nibbles of `q`, with a fifth bit each: bit j of `high` to the j-th low one, bit j + 16 to the j-th high one. */
static void five_bits(const unsigned char *high, const unsigned char *q, int out[BLOCK]) {
  const uint32_t bits = high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 | (uint32_t)high[3] << 24;
  for (int j = 0; j < BLOCK / 2; j++) {
    out[j] = (int)((q[j] & 15U) | (bits >> j & 1U) << 4);
    out[j + BLOCK / 2] = (int)((unsigned)q[j] >> 4 | (bits >> (j + 16) & 1U) << 4);
  }
}

void cohort_widen_q5_0(const unsigned char *in, int64_t blocks, float *out) {
  int q[BLOCK];
  for (int64_t b = 0; b < blocks; b++, in += 22, out += BLOCK) {
    const float scale = half_at(in);
    five_bits(in + 2, in + 6, q);
    for (int j = 0; j < BLOCK; j++) out[j] = (float)(q[j] - 16) * scale;
  }
}

void cohort_widen_q5_1(const unsigned char *in, int64_t blocks, float *out) {
  int q[BLOCK];
  for (int64_t b = 0; b < blocks; b++, in += 24, out += BLOCK) {
    const float scale = half_at(in), least = half_at(in + 2);
    five_bits(in + 4, in + 8, q);
    for (int j = 0; j < BLOCK; j++) out[j] = (float)q[j] * scale + least;
  }
}

/* The j-th of 8 scales and minimums of 6 bits, of which the last four have their upper bits in the first bytes. */
static void scale_and_least(const unsigned char *packed, int j, int *scale, int *least) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *least = packed[j + 4] & 63;
  } else {
    *scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
    *least = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
  }
}

/* 32 numbers of part j: nibbles of `q`, low ones where j is even, and bit j of `fifth` (NULL: none). */
static void widen_part(const unsigned char *head, const unsigned char *q, const unsigned char *fifth, int j,
                       float *out) {
  int scale, least;
  scale_and_least(head + 4, j, &scale, &least);
  const float wide = half_at(head) * (float)scale, low = half_at(head + 2) * (float)least;
  for (int l = 0; l < BLOCK; l++) {
    const int nibble = j % 2 ? q[l] >> 4 : q[l] & 15, more = fifth ? (fifth[l] >> j & 1) << 4 : 0;
    out[l] = wide * (float)(nibble + more) - low;
  }
}

void cohort_widen_q4_k(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t b = 0; b < blocks; b++, in += 144, out += LARGE)
    for (int j = 0; j < 8; j++) widen_part(in, in + 4 + SCALES + j / 2 * BLOCK, NULL, j, out + j * BLOCK);
}

void cohort_widen_q5_k(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t b = 0; b < blocks; b++, in += 176, out += LARGE)
    for (int j = 0; j < 8; j++)
      widen_part(in, in + 4 + SCALES + BLOCK + j / 2 * BLOCK, in + 4 + SCALES, j, out + j * BLOCK);
}

/* Two halves of 128; of each the four quarters share 32 bytes of upper bits, and two share 32 bytes of nibbles. */
void cohort_widen_q6_k(const unsigned char *in, int64_t blocks, float *out) {
  for (int64_t b = 0; b < blocks; b++, in += 210, out += LARGE) {
    const float scale = half_at(in + 208);
    for (int part = 0; part < 8; part++) {
      const int half = part / 4, quarter = part % 4;
      const unsigned char *low = in + half * 64 + quarter % 2 * BLOCK, *high = in + 128 + half * BLOCK;
      const unsigned char *scales = in + 192 + half * 8 + quarter * 2;
      for (int l = 0; l < BLOCK; l++) {
        const int nibble = quarter < 2 ? low[l] & 15 : low[l] >> 4, upper = high[l] >> 2 * quarter & 3;
        out[part * BLOCK + l] = scale * (float)(int8_t)scales[l / 16] * (float)((nibble | upper << 4) - 32);
      }
    }
  }
}
