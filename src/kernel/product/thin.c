/* Products of few rows (at most 16) with a large matrix: one pass over the matrix, so that memory sets the pace. Tiles
 * are columns of C. Every sum has one order, given by the depth alone: a row's bits do not depend on the other rows. */
#include <string.h>

#include "kernel/product/block_real.h"
#include "kernel/product/product_real.h"
#include "kernel/product/thin_real.h"
#include "kernel/row_real.h"

#if defined(__AVX512F__)
enum { REGISTER = 64, BLOCK_ROWS = 4, BLOCK_COLUMNS = 6, LINE_COLUMNS = 8 };
#elif defined(__AVX2__)
enum { REGISTER = 32, BLOCK_ROWS = 4, BLOCK_COLUMNS = 2, LINE_COLUMNS = 8 };
#else
enum { REGISTER = 16, BLOCK_ROWS = 4, BLOCK_COLUMNS = 2, LINE_COLUMNS = 8 };
#endif

/* CELL: elements of a lane, as in packed products. TILE: elements of B in a tile, about; STRIP: vectors of C held in
 * registers when B is [K, N]. */
enum { LANES = REGISTER / sizeof(real), CELL = PRODUCT_CELL, STEP = LANES * CELL, TILE = 1 << 17, STRIP = 8 };

typedef real thin_vector __attribute__((vector_size(REGISTER)));
typedef real thin_memory __attribute__((vector_size(REGISTER), aligned(sizeof(real)), may_alias));

typedef struct thin_work {
  const cohort_thin_product *p;
  int64_t columns; /* of a tile */
} thin_work;

/* LANES elements of B. */
static inline thin_vector widen(const cohort_thin_element *x) {
#if defined(COHORT_BF16)
  typedef uint16_t halves __attribute__((vector_size(REGISTER / 2), aligned(2), may_alias));
  typedef uint32_t words __attribute__((vector_size(REGISTER)));
  return (thin_vector)(__builtin_convertvector(*(const halves *)x, words) << 16);
#else
  return *(const thin_memory *)x;
#endif
}

/* STEP elements of a row of A and of one of B, and their products. */
#if defined(COHORT_PAIRS)
static inline thin_vector load_left(const real *x) { return (thin_vector)product_sixteen_cells(x); }
static inline thin_vector load_right(const uint16_t *x) { return (thin_vector)_mm512_loadu_si512(x); }
static inline thin_vector add(thin_vector sum, thin_vector left, thin_vector right) {
  return (thin_vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
}
#else
static inline thin_vector load_left(const real *x) {
  thin_vector left = *(const thin_memory *)x;
  for (int i = 0; PRODUCT_ROUNDS && i < LANES; i++) left[i] = product_round(left[i]);
  return left;
}
static inline thin_vector load_right(const cohort_thin_element *x) { return widen(x); }
static inline thin_vector add(thin_vector sum, thin_vector left, thin_vector right) { return sum + left * right; }
#endif

static inline real element(cohort_thin_element x) {
#if defined(COHORT_BF16)
  const uint32_t bits = (uint32_t)x << 16;
  real value;
  memcpy(&value, &bits, sizeof value);
  return value;
#else
  return x;
#endif
}

/* Lanes are joined as a tree. */
static inline real join(thin_vector sum) {
  real part[LANES];
  memcpy(part, &sum, sizeof part);
  for (int half = LANES / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; lane++) part[lane] += part[lane + half];
  }
  return part[0];
}

/* B is [N, K]: `rows` x `columns` inner products, constants where this is inlined. Meanwhile `lines` cache lines a step
 * are asked for, from `ahead` on: what the next block reads. */
static inline __attribute__((always_inline)) void multiply_block(const cohort_thin_product *p, int64_t row,
                                                                 int64_t column, int rows, int columns,
                                                                 const cohort_thin_element *ahead, int lines) {
  const real *a = p->a + row * p->k;
  const cohort_thin_element *b = p->b + column * p->k;
  const int64_t whole = p->k / STEP * STEP, a_row = p->k, b_row = p->k;
  thin_vector sum[BLOCK_ROWS][LINE_COLUMNS];
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < columns; j++) sum[i][j] = (thin_vector){0};
  }
  for (int64_t l = 0; l < whole; l += STEP) {
    thin_vector left[BLOCK_ROWS];
    for (int q = 0; q < lines; q++) __builtin_prefetch(ahead + l * lines + q * STEP, 0, 3);
    for (int i = 0; i < rows; i++) left[i] = load_left(a + i * a_row + l);
    for (int j = 0; j < columns; j++) {
      const thin_vector right = load_right(b + j * b_row + l);
      for (int i = 0; i < rows; i++) sum[i][j] = add(sum[i][j], left[i], right);
    }
  }
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < columns; j++) {
      real total = join(sum[i][j]);
      for (int64_t l = whole; l < p->k; l++) total += product_round(a[i * a_row + l]) * element(b[j * b_row + l]);
      p->c[(row + i) * p->n + column + j] = total;
    }
  }
}

/* All rows of C in `columns` columns; the block to the right is asked for while the groups of rows take their turns. */
static inline __attribute__((always_inline)) void multiply_columns(const cohort_thin_product *p, int64_t column,
                                                                   int columns) {
  const int64_t groups = p->m / BLOCK_ROWS;
  const cohort_thin_element *next = p->b + (column + columns) * p->k;
  int64_t row = 0;
  for (; row + BLOCK_ROWS <= p->m; row += BLOCK_ROWS) {
    const int64_t group = row / BLOCK_ROWS;
    if (groups >= 3) {
      multiply_block(p, row, column, BLOCK_ROWS, columns, next + group * 2 * p->k, 2);
    } else if (groups == 2) {
      multiply_block(p, row, column, BLOCK_ROWS, columns, next + group * 3 * p->k, 3);
    } else {
      multiply_block(p, row, column, BLOCK_ROWS, columns, next, columns);
    }
  }
  for (; row + 2 <= p->m; row += 2) multiply_block(p, row, column, 2, columns, next, 0);
  if (row < p->m) multiply_block(p, row, column, 1, columns, next, 0);
}

static void multiply_inner(const cohort_thin_product *p, int64_t column, int64_t last) {
  if (p->m == 1) { /* rows of B are too short for the processor to see where it goes next */
    for (; column + LINE_COLUMNS <= last; column += LINE_COLUMNS)
      multiply_block(p, 0, column, 1, LINE_COLUMNS, p->b + (column + LINE_COLUMNS) * p->k, LINE_COLUMNS);
  } else {
    for (; column + BLOCK_COLUMNS <= last; column += BLOCK_COLUMNS) multiply_columns(p, column, BLOCK_COLUMNS);
  }
  for (; column < last; column++) multiply_columns(p, column, 1);
}

/* B is [K, N]: `rows` rows of C in `vectors` vectors of columns. */
static inline __attribute__((always_inline)) void multiply_strip(const cohort_thin_product *p, int64_t row,
                                                                 int64_t column, int rows, int vectors) {
  const real *a = p->a + row * p->k;
  const cohort_thin_element *b = p->b + column;
  const int64_t k = p->k, a_row = p->k, b_row = p->n;
  thin_vector sum[2][STRIP];
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) sum[i][v] = (thin_vector){0};
  }
  for (int64_t l = 0; l < k; l++) {
    for (int v = 0; v < vectors; v++) {
      const thin_vector right = widen(b + l * b_row + v * LANES);
      for (int i = 0; i < rows; i++) sum[i][v] += product_round(a[i * a_row + l]) * right;
    }
  }
  for (int i = 0; i < rows; i++) {
    for (int v = 0; v < vectors; v++) {
      *(thin_memory *)(p->c + (row + i) * p->n + column + v * LANES) = sum[i][v];
    }
  }
}

static void multiply_outer(const cohort_thin_product *p, int64_t column, int64_t last) {
  for (; column + STRIP * LANES <= last; column += STRIP * LANES) {
    int64_t row = 0;
    for (; row + 2 <= p->m; row += 2) multiply_strip(p, row, column, 2, STRIP);
    if (row < p->m) multiply_strip(p, row, column, 1, STRIP);
  }
  for (; column + LANES <= last; column += LANES) {
    for (int64_t row = 0; row < p->m; row++) multiply_strip(p, row, column, 1, 1);
  }
  for (; column < last; column++) {
    for (int64_t row = 0; row < p->m; row++) {
      real sum = 0;
      for (int64_t l = 0; l < p->k; l++) sum += product_round(p->a[row * p->k + l]) * element(p->b[l * p->n + column]);
      p->c[row * p->n + column] = sum;
    }
  }
}

static void run_tile(void *argument, int64_t tile) {
  const thin_work *work = argument;
  const int64_t first = tile * work->columns, last = cohort_least(first + work->columns, work->p->n);
  if (work->p->transpose_b) {
    multiply_inner(work->p, first, last);
  } else {
    multiply_outer(work->p, first, last);
  }
}

void COHORT_VARIED(cohort_product_thin)(const cohort_team *team, const cohort_thin_product *p) {
  const int64_t wide = p->m == 1 ? LINE_COLUMNS : BLOCK_COLUMNS, unit = p->transpose_b ? wide : STRIP * LANES;
  const int64_t tiles = cohort_ceil_divide(p->n * p->k, TILE);
  thin_work work = {p, cohort_ceil_divide(cohort_ceil_divide(p->n, tiles), unit) * unit};
  cohort_team_run(team, cohort_ceil_divide(p->n, work.columns), run_tile, &work);
}
