/* The register block of a product on AMX tiles: 32 x 32 of C in four tiles, 32 elements of k a step (Intel,
 * Architecture Instruction Set Extensions, TDPBF16PS). Packed A is [16 cells][2 tiles][16 rows][16 cells], packed B
 * [cell][PRODUCT_COLUMNS], both filled with zeros to whole tiles. */
#ifndef COHORT_KERNEL_PRODUCT_TILES_REAL_H
#define COHORT_KERNEL_PRODUCT_TILES_REAL_H

#include "kernel/product/block_real.h"

enum { TILE_ROWS = 16, TILE_CELLS = 16, TILE_BYTES = 64, TILE = TILE_ROWS * TILE_CELLS };

/* The layout that LDTILECFG reads (palette 1): eight tiles of 16 rows of 64 bytes. */
static inline void product_tiles_begin(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config = {.palette = 1};
  for (int tile = 0; tile < 8; tile++) {
    config.row_bytes[tile] = TILE_BYTES;
    config.rows[tile] = TILE_ROWS;
  }
  /* The intrinsics do not tell the compiler that they read memory. */
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

static inline void product_tiles_end(void) { _tile_release(); }

/* out = in transposed, both [16][16]. */
static inline void product_transpose_tile(const real *in, real *out) {
  for (int i = 0; i < TILE_ROWS; i += 4)
    for (int j = 0; j < TILE_CELLS; j += 4)
      product_store_transposed(*(const product_quad_memory *)(in + i * TILE_CELLS + j),
                               *(const product_quad_memory *)(in + (i + 1) * TILE_CELLS + j),
                               *(const product_quad_memory *)(in + (i + 2) * TILE_CELLS + j),
                               *(const product_quad_memory *)(in + (i + 3) * TILE_CELLS + j), out + j * TILE_ROWS + i,
                               TILE_ROWS);
}

/* One tile of A: rows [0, count) of `side`, cells [cell, cell + 16) of the `depth` elements. */
static inline void product_pack_tile(const product_side *side, int64_t count, int64_t cell, int64_t depth, real *out) {
  real columns[TILE] __attribute__((aligned(64)));
  const bool whole = 2 * (cell + TILE_CELLS) <= depth;
  if (whole && side->step_k == 1) {
    for (int64_t row = 0; row < TILE_ROWS; row++) {
      const real *x = side->x + row * side->step + 2 * cell;
      const __m512i pairs = row < count ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x))
                                        : _mm512_setzero_si512();
      _mm512_storeu_si512(out + row * TILE_CELLS, pairs);
    }
  } else if (whole && count >= TILE_ROWS) {
    for (int64_t l = 0; l < TILE_CELLS; l++) {
      const real *low = side->x + 2 * (cell + l) * side->step_k;
      *(product_memory *)(columns + l * TILE_ROWS) = product_cells(low, low + side->step_k);
    }
    product_transpose_tile(columns, out);
  } else {
    for (int64_t row = 0; row < TILE_ROWS; row++)
      for (int64_t l = 0; l < TILE_CELLS; l++)
        out[row * TILE_CELLS + l] =
            row < count && 2 * (cell + l) < depth ? product_cell(side, row, cell + l, depth) : 0;
  }
}

static inline void product_pack_tiles(const product_side *side, int64_t count, int64_t depth, real *out) {
  const int64_t cells = (depth + 1) / 2;
  for (int64_t l = 0; l < cells; l += TILE_CELLS)
    for (int64_t row = 0; row < PRODUCT_ROWS; row += TILE_ROWS, out += TILE) {
      const product_side half = {side->x + row * side->step, side->step, side->step_k};
      product_pack_tile(&half, count - row, l, depth, out);
    }
}

/* out [32][32] = A B over `cells` cells, a multiple of 16. */
static inline void product_multiply_tiles(int64_t cells, const real *a, const real *b, real *out) {
  enum { STEP = PRODUCT_COLUMNS * sizeof(real) };
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t l = 0; l < cells; l += TILE_CELLS, a += 2 * TILE, b += TILE_CELLS * PRODUCT_COLUMNS) {
    _tile_loadd(4, a, TILE_BYTES);
    _tile_loadd(5, a + TILE, TILE_BYTES);
    _tile_loadd(6, b, STEP);
    _tile_loadd(7, b + PRODUCT_COLUMNS / 2, STEP);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out, STEP);
  _tile_stored(1, out + PRODUCT_COLUMNS / 2, STEP);
  _tile_stored(2, out + TILE_ROWS * PRODUCT_COLUMNS, STEP);
  _tile_stored(3, out + TILE_ROWS * PRODUCT_COLUMNS + PRODUCT_COLUMNS / 2, STEP);
}

/* Rows [0, rows) of one strip of columns: C = alpha A B + beta C; strips of 32 rows of A are `a_strip` apart. */
static inline void product_tiles(const product_strip *s, int64_t rows, int64_t a_strip, real alpha, real beta, real *c,
                                 int64_t c_row) {
  real block[PRODUCT_ROWS * PRODUCT_COLUMNS] __attribute__((aligned(64)));
  for (int64_t m = 0; m < rows; m += PRODUCT_ROWS) {
    product_multiply_tiles(s->cells, s->a + m / PRODUCT_ROWS * a_strip, s->b, block);
    for (int64_t row = m; row < rows && row < m + PRODUCT_ROWS; row++)
      for (int64_t v = 0; v < PRODUCT_COLUMNS; v += PRODUCT_LANES) {
        product_memory *to = (product_memory *)(c + row * c_row + v);
        const product_vector sum = alpha * *(const product_memory *)(block + (row - m) * PRODUCT_COLUMNS + v);
        *to = beta == 0 ? (product_vector)sum : (product_vector)(beta * (product_vector)*to + sum);
      }
  }
}

#endif
