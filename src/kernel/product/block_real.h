/* The inside of a product: a block of C in registers, and the packing of both sides into the order in which it reads
 * them (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015).
 *
 * A packed side is made of cells: one real, or, where the processor multiplies pairs of bf16, the pair (k, k + 1).
 * A strip of packed A is [cell][PRODUCT_A_STEP], the first PRODUCT_ROWS of them in use, where A lies with its rows one
 * element apart, else [cell / 16][PRODUCT_ROWS][16]: packing moves whole vectors both times. Packed B is
 * [cell][PRODUCT_COLUMNS]. */
#ifndef COHORT_KERNEL_PRODUCT_BLOCK_REAL_H
#define COHORT_KERNEL_PRODUCT_BLOCK_REAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"

#if defined(COHORT_TILES)
enum { PRODUCT_REGISTER = 64, PRODUCT_ROWS = 32, PRODUCT_A_STEP = 32 };
#elif defined(__AVX512F__)
enum { PRODUCT_REGISTER = 64, PRODUCT_ROWS = 12, PRODUCT_A_STEP = 12 };
#elif defined(__AVX2__)
enum { PRODUCT_REGISTER = 32, PRODUCT_ROWS = 6, PRODUCT_A_STEP = 8 };
#else
enum { PRODUCT_REGISTER = 16, PRODUCT_ROWS = 6, PRODUCT_A_STEP = 8 };
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(COHORT_PAIRS)
enum { PRODUCT_CELL = 2 };
#else
enum { PRODUCT_CELL = 1 };
#endif

/* Tiles take cells by sixteen. */
#if defined(COHORT_TILES)
enum { PRODUCT_TILES = 1, PRODUCT_CELLS_STEP = 16 };
#else
enum { PRODUCT_TILES = 0, PRODUCT_CELLS_STEP = 1 };
#endif

#if defined(COHORT_BF16)
enum { PRODUCT_ROUNDS = 1 };
#else
enum { PRODUCT_ROUNDS = 0 };
#endif

/* A strip of packed B stays in the first cache, a block of packed A in the second; both lie on the stack, whose least
 * size for a thread is 2 MB. */
enum {
  PRODUCT_LANES = PRODUCT_REGISTER / sizeof(real),
  PRODUCT_COLUMNS = 2 * PRODUCT_LANES,
  PRODUCT_DEPTH = 1024 / sizeof(real), /* cells */
  PRODUCT_RUN = 16,                    /* cells of a row of A that lie together */
  PRODUCT_BLOCK_ROWS = (PRODUCT_TILES ? 8 : 14) * PRODUCT_ROWS,
  PRODUCT_AHEAD = 8, /* rows that packing fetches ahead: the steps between them are beyond what processors guess */
  PRODUCT_BLOCK_COLUMNS = 768,
  PRODUCT_SHORT = 64,             /* k whose rows of B lie in the first cache beside one another */
  PRODUCT_GAP = 64 / sizeof(real) /* between packed strips: their cells fall into different sets of the cache */
};

typedef real product_vector __attribute__((vector_size(PRODUCT_REGISTER)));
typedef real product_memory __attribute__((vector_size(PRODUCT_REGISTER), aligned(sizeof(real)), may_alias));
typedef real product_quad __attribute__((vector_size(4 * sizeof(real))));
typedef real product_quad_memory __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));

/* A matrix as it lies: element (major, k) is at x[major * step + k * step_k]; one of the steps is 1. Major is a row of
 * A or a column of B. */
typedef struct product_side {
  const real *x;
  int64_t step, step_k;
} product_side;

/* What a real becomes in a cell. */
static inline real product_round(real x) {
#if defined(COHORT_BF16)
  /* To bf16, to nearest even; NaN stays NaN. */
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  const uint32_t quiet = bits | 0x400000u;
  bits = (bits & 0x7fffffffu) > 0x7f800000u ? quiet & 0xffff0000u : rounded;
  memcpy(&x, &bits, sizeof bits);
#endif
  return x;
}

/* Cell number `cell` of a major, of `depth` elements in all: past them are zeros. */
static inline real product_cell(const product_side *side, int64_t major, int64_t cell, int64_t depth) {
  const real *x = side->x + major * side->step;
#if defined(COHORT_PAIRS)
  uint32_t low, high = 0;
  real value = product_round(x[2 * cell * side->step_k]);
  memcpy(&low, &value, sizeof low);
  if (2 * cell + 1 < depth) {
    value = product_round(x[(2 * cell + 1) * side->step_k]);
    memcpy(&high, &value, sizeof high);
  }
  low = low >> 16 | high;
  memcpy(&value, &low, sizeof low);
  return value;
#else
  (void)depth;
  return product_round(x[cell * side->step_k]);
#endif
}

/* Four cells of a major whose elements follow one another. */
static inline product_quad product_four_cells(const real *x) {
#if defined(COHORT_PAIRS)
  return (product_quad)_mm256_cvtneps_pbh(_mm256_loadu_ps(x));
#else
  product_quad four = *(const product_quad_memory *)x;
#if defined(COHORT_BF16)
  for (int i = 0; i < 4; i++) four[i] = product_round(four[i]);
#endif
  return four;
#endif
}

/* Four rows become four columns, `step` apart. */
static inline void product_store_transposed(product_quad a, product_quad b, product_quad c, product_quad d, real *to,
                                            int64_t step) {
  const product_quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const product_quad ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(product_quad_memory *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *(product_quad_memory *)(to + step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  *(product_quad_memory *)(to + 2 * step) = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
  *(product_quad_memory *)(to + 3 * step) = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
}

#if defined(__AVX512F__)
/* Sixteen cells of a major whose elements follow one another. */
static inline __m512 product_sixteen_cells(const real *x) {
#if defined(COHORT_PAIRS)
  return (__m512)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
#else
  real cells[16];
  for (int l = 0; l < 16; l++) cells[l] = product_round(x[l]);
  return _mm512_loadu_ps(cells);
#endif
}

/* Sixteen cells of up to sixteen majors, 0 of the others: first within each quarter of a vector, then the quarters. */
static inline void product_turn_sixteen(const real *x, int64_t major, int64_t majors, real *to, int64_t step) {
  __m512 row[16], transposed[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) row[i] = i < majors ? product_sixteen_cells(x + i * major) : _mm512_setzero_ps();
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512d a = (__m512d)_mm512_unpacklo_ps(row[i], row[i + 1]),
                  b = (__m512d)_mm512_unpackhi_ps(row[i], row[i + 1]);
    const __m512d c = (__m512d)_mm512_unpacklo_ps(row[i + 2], row[i + 3]),
                  d = (__m512d)_mm512_unpackhi_ps(row[i + 2], row[i + 3]);
    transposed[i] = (__m512)_mm512_unpacklo_pd(a, c);
    transposed[i + 1] = (__m512)_mm512_unpackhi_pd(a, c);
    transposed[i + 2] = (__m512)_mm512_unpacklo_pd(b, d);
    transposed[i + 3] = (__m512)_mm512_unpackhi_pd(b, d);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512 a = _mm512_shuffle_f32x4(transposed[i], transposed[i + 4], 0x88),
                 b = _mm512_shuffle_f32x4(transposed[i], transposed[i + 4], 0xdd),
                 c = _mm512_shuffle_f32x4(transposed[i + 8], transposed[i + 12], 0x88),
                 d = _mm512_shuffle_f32x4(transposed[i + 8], transposed[i + 12], 0xdd);
    _mm512_storeu_ps(to + i * step, _mm512_shuffle_f32x4(a, c, 0x88));
    _mm512_storeu_ps(to + (i + 4) * step, _mm512_shuffle_f32x4(b, d, 0x88));
    _mm512_storeu_ps(to + (i + 8) * step, _mm512_shuffle_f32x4(a, c, 0xdd));
    _mm512_storeu_ps(to + (i + 12) * step, _mm512_shuffle_f32x4(b, d, 0xdd));
  }
}
#endif

/* Packs up to sixteen majors by whole vectors; returns how many cells, perhaps none. */
static inline int64_t product_pack_sixteen(const product_side *side, int64_t majors, int64_t depth, real *out,
                                           int64_t out_step) {
  int64_t l = 0;
#if defined(__AVX512F__)
  if (sizeof(real) != sizeof(float)) return 0;
  for (; (l + 16) * PRODUCT_CELL <= depth; l += 16) {
    const real *x = side->x + l * PRODUCT_CELL;
    for (int i = 16; i < 32; i++) /* the next majors: so many short runs are beyond what processors guess */
      for (int line = 0; line < PRODUCT_CELL; line++) __builtin_prefetch(x + i * side->step + line * 16);
    product_turn_sixteen(x, side->step, majors, out + l * out_step, out_step);
  }
#else
  (void)side, (void)majors, (void)depth, (void)out, (void)out_step;
#endif
  return l;
}

/* Packs majors [0, count) x `depth` elements, each cell's majors `out_step` apart; those from count to `width`, whole
 * vectors, become 0. */
static inline void product_pack_transposed(const product_side *side, int64_t count, int64_t width, int64_t depth,
                                           real *out, int64_t out_step) {
  const int64_t cells = (depth + PRODUCT_CELL - 1) / PRODUCT_CELL, whole = depth / (4 * PRODUCT_CELL) * 4;
  for (int64_t l = 0; count < width && l < cells; l++)
    for (int64_t v = count / PRODUCT_LANES * PRODUCT_LANES; v < width; v += PRODUCT_LANES)
      *(product_memory *)(out + l * out_step + v) = (product_vector){0};
  for (int64_t m = 0, done = 0; m < count; m += 4) {
    const product_side rows = {side->x + m * side->step, side->step, 1};
    const int64_t few = count - m < 4 ? count - m : 4;
    if (m % 16 == 0) done = product_pack_sixteen(&rows, count - m < 16 ? count - m : 16, depth, out + m, out_step);
    int64_t l = done;
    for (; few == 4 && l < whole; l += 4) {
      const real *x = rows.x + l * PRODUCT_CELL;
      product_store_transposed(product_four_cells(x), product_four_cells(x + side->step),
                               product_four_cells(x + 2 * side->step), product_four_cells(x + 3 * side->step),
                               out + l * out_step + m, out_step);
    }
    for (; l < cells; l++)
      for (int64_t i = 0; i < few; i++) out[l * out_step + m + i] = product_cell(&rows, i, l, depth);
  }
}

/* Fetches a line of a cell's rows that packing will read soon. */
static inline void product_fetch(const real *x, int64_t step) {
  for (int i = 0; i < PRODUCT_CELL; i++) __builtin_prefetch(x + (PRODUCT_AHEAD + i) * step);
}

#if defined(COHORT_PAIRS)
static inline product_vector product_pairs(__m512 low, __m512 high) {
  const __m512i turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return (product_vector)_mm512_permutexvar_epi16(turns, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
#endif

/* A vector of cells for majors that follow one another, from their elements at k (`low`) and k + 1. */
static inline product_vector product_cells(const real *low, const real *high) {
#if defined(COHORT_PAIRS)
  return product_pairs(_mm512_loadu_ps(low), _mm512_loadu_ps(high));
#else
  (void)high;
  product_vector cells = *(const product_memory *)low;
#if defined(COHORT_BF16)
  for (int i = 0; i < PRODUCT_LANES; i++) cells[i] = product_round(cells[i]);
#endif
  return cells;
#endif
}

static inline product_quad product_quad_cells(const real *low, const real *high) {
#if defined(COHORT_PAIRS)
  const __m128i even = (__m128i)_mm_cvtneps_pbh(_mm_loadu_ps(low)), odd = (__m128i)_mm_cvtneps_pbh(_mm_loadu_ps(high));
  return (product_quad)_mm_unpacklo_epi16(even, odd);
#else
  (void)high;
  return product_four_cells(low);
#endif
}

/* The same where majors follow one another. */
static inline void product_pack_rows(const product_side *side, int64_t count, int64_t width, int64_t depth, real *out,
                                     int64_t out_step) {
  const int64_t cells = (depth + PRODUCT_CELL - 1) / PRODUCT_CELL, whole = depth / PRODUCT_CELL;
  for (int64_t l = 0; l < cells; l++) {
    real *to = out + l * out_step;
    const real *low = side->x + PRODUCT_CELL * l * side->step_k;
    int64_t m = 0;
    for (; m + PRODUCT_LANES <= count && l < whole; m += PRODUCT_LANES)
      *(product_memory *)(to + m) = product_cells(low + m, low + m + side->step_k);
    /* Of few majors the rows that follow fill the vector: what they make of it is not used. */
    if (PRODUCT_CELL == 1 && m == 0 && count < PRODUCT_LANES && side->step_k >= count &&
        (depth - 1 - l) * side->step_k + count >= PRODUCT_LANES) {
      *(product_memory *)to = product_cells(low, low);
      continue;
    }
    for (; m + 4 <= count && l < whole; m += 4)
      *(product_quad_memory *)(to + m) = product_quad_cells(low + m, low + m + side->step_k);
    for (; m < count; m++) to[m] = product_cell(side, m, l, depth);
    for (; m < width; m++) to[m] = 0;
  }
}

/* The whole cells of up to PRODUCT_GROUP strips of A whose `count` rows lie one element apart; returns how many cells
 * it packed, perhaps none. A group's rows fill whole lines of the cache. */
#if defined(__AVX512F__) && !defined(COHORT_TILES) && (defined(COHORT_PAIRS) || !defined(COHORT_BF16))
static inline int64_t product_pack_strips(const product_side *side, int64_t count, int64_t depth, real *out,
                                          int64_t strip) {
  const int64_t whole = sizeof(real) == sizeof(float) ? depth / PRODUCT_CELL : 0;
  const unsigned all = (1U << PRODUCT_ROWS) - 1;
  for (int64_t l = 0; l < whole; l++) {
    const real *low = side->x + PRODUCT_CELL * l * side->step_k;
    real *to = out + l * PRODUCT_A_STEP;
    for (int64_t m = 0; m < count; m += PRODUCT_ROWS, low += PRODUCT_ROWS, to += strip) {
      const __mmask16 rows = (__mmask16)(count - m >= PRODUCT_ROWS ? all : (1U << (count - m)) - 1);
      product_fetch(low, side->step_k);
      __m512 cells = _mm512_maskz_loadu_ps(rows, low);
#if defined(COHORT_PAIRS)
      cells = (__m512)product_pairs(cells, _mm512_maskz_loadu_ps(rows, low + side->step_k));
#endif
      _mm512_mask_storeu_ps(to, (__mmask16)all, cells);
    }
  }
  return whole;
}
#else
static inline int64_t product_pack_strips(const product_side *side, int64_t count, int64_t depth, real *out,
                                          int64_t strip) {
  (void)side, (void)count, (void)depth, (void)out, (void)strip;
  return 0;
}
#endif

/* Sixteen cells of a row of A. */
static inline void product_copy_run(const real *x, real *out) {
#if defined(COHORT_PAIRS)
  _mm512_storeu_ps(out, product_sixteen_cells(x));
#else
  for (int l = 0; l < PRODUCT_RUN; l++) out[l] = product_round(x[l]);
#endif
}

/* A strip of A, `count` <= PRODUCT_ROWS rows, whose elements of a row follow one another. */
static inline void product_pack_runs(const product_side *side, int64_t count, int64_t depth, real *out) {
  const int64_t cells = (depth + PRODUCT_CELL - 1) / PRODUCT_CELL, runs = depth / (PRODUCT_CELL * PRODUCT_RUN);
  for (int64_t m = 0; m < count; m++) {
    const real *x = side->x + m * side->step;
    real *to = out + m * PRODUCT_RUN;
    for (int64_t run = 0; run < runs; run++, x += PRODUCT_CELL * PRODUCT_RUN, to += PRODUCT_ROWS * PRODUCT_RUN)
      product_copy_run(x, to);
    for (int64_t l = runs * PRODUCT_RUN; l < cells; l++) *to++ = product_cell(side, m, l, depth);
  }
}

/* `strips` whole strips of B whose columns lie one element apart; `strip` apart. */
static inline void product_pack_columns(const product_side *side, int64_t strips, int64_t depth, real *out,
                                        int64_t strip) {
  const int64_t cells = (depth + PRODUCT_CELL - 1) / PRODUCT_CELL, whole = depth / PRODUCT_CELL;
  for (int64_t l = 0; l < whole; l++) {
    const real *low = side->x + PRODUCT_CELL * l * side->step_k;
    for (int64_t j = 0; j < strips; j++, low += PRODUCT_COLUMNS) {
      real *to = out + j * strip + l * PRODUCT_COLUMNS;
      product_fetch(low, side->step_k);
      product_fetch(low + PRODUCT_LANES, side->step_k);
      *(product_memory *)to = product_cells(low, low + side->step_k);
      *(product_memory *)(to + PRODUCT_LANES) = product_cells(low + PRODUCT_LANES, low + PRODUCT_LANES + side->step_k);
    }
  }
  for (int64_t l = whole; l < cells; l++)
    for (int64_t m = 0; m < strips * PRODUCT_COLUMNS; m++)
      out[m / PRODUCT_COLUMNS * strip + l * PRODUCT_COLUMNS + m % PRODUCT_COLUMNS] = product_cell(side, m, l, depth);
}

static inline void product_pack(const product_side *side, int64_t count, int64_t width, int64_t depth, real *out,
                                int64_t out_step) {
  if (side->step_k == 1)
    product_pack_transposed(side, count, width, depth, out, out_step);
  else
    product_pack_rows(side, count, width, depth, out, out_step);
}

static inline product_vector product_add(product_vector sum, real a, product_vector b) {
#if defined(COHORT_PAIRS)
  return (product_vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(a), (__m512bh)b);
#else
  return sum + a * b;
#endif
}

/* What to multiply: `cells` cells of A, element (row, cell) at a[row * a_row + cell * a_cell], and of B, whose cells
 * are b_cell apart. */
typedef struct product_strip {
  int64_t cells;
  const real *a;
  int64_t a_row, a_cell;
  const real *b;
  int64_t b_cell;
} product_strip;

/* One cell of `rows` rows of A times one or two vectors of B. */
static inline __attribute__((always_inline)) void product_step(product_vector sum[PRODUCT_ROWS][2], int rows,
                                                               int vectors, const real *a, int64_t a_row,
                                                               const real *b) {
  const product_vector left = *(const product_memory *)b;
  product_vector right = {0};
  if (vectors == 2) right = *(const product_memory *)(b + PRODUCT_LANES);
#pragma GCC unroll 12
  for (int m = 0; m < rows; m++) {
    const real factor = a[m * a_row];
    sum[m][0] = product_add(sum[m][0], factor, left);
    if (vectors == 2) sum[m][1] = product_add(sum[m][1], factor, right);
  }
}

/* out [rows][PRODUCT_COLUMNS], `out_row` apart, = alpha A B + beta out (not read when beta is 0). `rows` and, of A, one
 * step are constants where this is inlined, so that the sums stay in registers; so is `runs`, whether A is packed by
 * runs of cells. */
static inline __attribute__((always_inline)) void product_rows(const product_strip *s, int rows, int vectors, bool runs,
                                                               int64_t a_row, int64_t a_cell, const real *a, real alpha,
                                                               real beta, real *out, int64_t out_row) {
  product_vector sum[PRODUCT_ROWS][2];
  const real *b = s->b;
  /* cppcheck-suppress arrayIndexOutOfBounds ; `rows` is no more than there are */
  for (int m = 0; m < rows; m++) sum[m][0] = sum[m][1] = (product_vector){0};
  /* After a short k it is too late, and in the way. */
  for (int m = 0; m < rows && s->cells > PRODUCT_SHORT; m++) {
    __builtin_prefetch(out + m * out_row, 1);
    if (vectors == 2) __builtin_prefetch(out + m * out_row + PRODUCT_LANES, 1);
  }
  int64_t left = s->cells;
  for (; runs && left >= PRODUCT_RUN; left -= PRODUCT_RUN, a += PRODUCT_ROWS * PRODUCT_RUN)
#pragma GCC unroll 4
    for (int l = 0; l < PRODUCT_RUN; l++, b += s->b_cell) product_step(sum, rows, vectors, a + l, a_row, b);
  for (; left > 0; left--, a += a_cell, b += s->b_cell) product_step(sum, rows, vectors, a, a_row, b);
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) {
      product_memory *to = (product_memory *)(out + m * out_row + v * PRODUCT_LANES);
      product_vector old = {0};
      if (beta != 0) old = beta * (product_vector)*to;
      *to = old + alpha * sum[m][v];
    }
}

#endif
