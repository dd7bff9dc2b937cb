/* Compiled with -mamx-tile -mamx-bf16. Runs only where the processor has tiles and the operating system has given them.
 */
#include <immintrin.h>

#include "kernel/peak_bf16.h"

enum { ROWS = 16, ROW_BYTES = 64, OPERATIONS = 2 * 16 * 16 * 32 };

/* The layout that LDTILECFG reads (palette 1). */
typedef struct tile_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config;

double cohort_peak_bf16_tiles(int64_t rounds, float *sink) {
  tile_config config = {.palette = 1};
  uint16_t operand[ROWS * ROW_BYTES / 2];
  float result[ROWS * ROW_BYTES / 4];
  for (int tile = 0; tile < 8; tile++) {
    config.row_bytes[tile] = ROW_BYTES;
    config.rows[tile] = ROWS;
  }
  for (size_t i = 0; i < sizeof operand / sizeof *operand; i++) operand[i] = 0x3a83; /* 0.001 */
  /* The intrinsics do not tell the compiler that they read memory. */
  __asm__ volatile("" : : "r"(&config), "r"(operand) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, operand, ROW_BYTES);
  _tile_loadd(5, operand, ROW_BYTES);
  _tile_loadd(6, operand, ROW_BYTES);
  _tile_loadd(7, operand, ROW_BYTES);
  for (int64_t round = 0; round < rounds; round++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  float total = 0;
  _tile_stored(0, result, ROW_BYTES);
  total += result[0];
  _tile_stored(1, result, ROW_BYTES);
  total += result[0];
  _tile_stored(2, result, ROW_BYTES);
  total += result[0];
  _tile_stored(3, result, ROW_BYTES);
  total += result[0];
  _tile_release();
  *sink = total;
  return 4.0 * OPERATIONS * (double)rounds;
}
