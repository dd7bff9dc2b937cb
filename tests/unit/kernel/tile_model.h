/* A model of the AMX instructions, after Intel's description of them, so that what is written for tiles can be tested
 * on processors without. Include after <immintrin.h> and before what uses them. */
#ifndef COHORT_TESTS_KERNEL_TILE_MODEL_H
#define COHORT_TESTS_KERNEL_TILE_MODEL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
  uint8_t rows[16];
  uint16_t row_bytes[16];
  unsigned char data[8][16][64];
} model;

static inline void model_configure(const void *memory) {
  const unsigned char *config = memory;
  if (config[0] != 1 || config[1] != 0) abort();
  memcpy(model.row_bytes, config + 16, sizeof model.row_bytes);
  memcpy(model.rows, config + 48, sizeof model.rows);
  memset(model.data, 0, sizeof model.data);
}

static inline void model_load(int tile, const void *base, int64_t stride) {
  memset(model.data[tile], 0, sizeof model.data[tile]);
  for (int row = 0; row < model.rows[tile]; row++)
    memcpy(model.data[tile][row], (const char *)base + row * stride, model.row_bytes[tile]);
}

static inline void model_store(int tile, void *base, int64_t stride) {
  for (int row = 0; row < model.rows[tile]; row++)
    memcpy((char *)base + row * stride, model.data[tile][row], model.row_bytes[tile]);
}

static inline float model_bf16(const unsigned char *at) {
  const uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 24;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* TDPBF16PS: C[m][n] += sum over k of A[m][2k] B[k][2n] + A[m][2k + 1] B[k][2n + 1]. */
static inline void model_multiply(int c, int a, int b) {
  for (int m = 0; m < model.rows[c]; m++)
    for (int n = 0; n < model.row_bytes[c] / 4; n++) {
      float sum;
      memcpy(&sum, model.data[c][m] + 4 * n, sizeof sum);
      for (int k = 0; k < model.row_bytes[a] / 4; k++)
        for (int half = 0; half < 2; half++)
          sum += model_bf16(model.data[a][m] + 4 * k + 2 * half) * model_bf16(model.data[b][k] + 4 * n + 2 * half);
      memcpy(model.data[c][m] + 4 * n, &sum, sizeof sum);
    }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(memory) model_configure(memory)
#define _tile_release() memset(&model, 0, sizeof model)
#define _tile_zero(tile) memset(model.data[tile], 0, sizeof model.data[tile])
#define _tile_loadd(tile, base, stride) model_load(tile, base, stride)
#define _tile_stored(tile, base, stride) model_store(tile, base, stride)
#define _tile_dpbf16ps(c, a, b) model_multiply(c, a, b)

#endif
