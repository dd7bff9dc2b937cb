/* What attention and its derivatives share: runs of rows of one segment, tasks dealt to a fixed number of slots (each
 * with its own workspace), and the small products of tiles.
 *
 * A run may go on from rows that stand elsewhere, its prefix: the beginning of another run, whose rows are the run's
 * first positions and are read by several runs. A tile has up to 64 queries and 64 keys, counted from position 0, so
 * that a row has the bits that it has where the prefix stands before it. Queries lie along the vectors: scores are
 * [key][query], so that a softmax over keys needs no sums across a vector. Operands of products are copied next to each
 * other as cells: one real, or, where the processor multiplies pairs of bf16, two that follow one another in the sum.
 */
#ifndef COHORT_KERNEL_ATTENTION_REAL_H
#define COHORT_KERNEL_ATTENTION_REAL_H

#include <stdbool.h>
#include <string.h>

#include "base/real.h"
#include "kernel/kernel.h"
#include "kernel/product/block_real.h"
#include "kernel/product/product_real.h"
#include "kernel/row_real.h"

#if defined(__AVX512F__)
enum { ATTENTION_REGISTER = 64, ATTENTION_ROWS = 8 };
#elif defined(__AVX2__)
enum { ATTENTION_REGISTER = 32, ATTENTION_ROWS = 6 };
#else
enum { ATTENTION_REGISTER = 16, ATTENTION_ROWS = 6 };
#endif

#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
enum { ATTENTION_CELL = 2 };
#else
enum { ATTENTION_CELL = 1 };
#endif

/* A block of a product: ATTENTION_ROWS x ATTENTION_BLOCK sums in registers, two vectors a row. */
enum {
  ATTENTION_TILE = 64,
  ATTENTION_ALONG = ATTENTION_TILE / ATTENTION_CELL, /* cells of a tile */
  ATTENTION_SLOTS = 16,
  ATTENTION_LANES = ATTENTION_REGISTER / sizeof(real),
  ATTENTION_BLOCK = 2 * ATTENTION_LANES
};

typedef real attention_vector __attribute__((vector_size(ATTENTION_REGISTER)));
typedef real attention_memory __attribute__((vector_size(ATTENTION_REGISTER), aligned(sizeof(real)), may_alias));
typedef real attention_quad __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));

typedef struct attention_shape {
  const cohort_call *call;
  int64_t rows, heads, key_heads, width; /* R, H, G, D */
  int64_t row, key_row;                  /* steps between rows: H * D and G * D */
  const int32_t *segments;               /* [R][step]: id; with 3, also the prefix's first row and its rows */
  int64_t step;
  real scale;
} attention_shape;

/* The queries at positions [first, first + count) of a run, for one head. Position p is row run + p, but in a prefix of
 * `shared` rows row prefix + p. */
typedef struct attention_queries {
  int64_t run, head, key_head, first, count, prefix, shared;
} attention_queries;

static inline attention_shape describe_attention(const cohort_call *call) {
  const cohort_shape q = call->input[0].shape, k = call->input[1].shape;
  return (attention_shape){.call = call,
                           .rows = q.size[0],
                           .heads = q.size[1],
                           .key_heads = k.size[1],
                           .width = q.size[2],
                           .row = q.size[1] * q.size[2],
                           .key_row = k.size[1] * k.size[2],
                           .segments = call->input[3].data,
                           .step = call->input[3].shape.axes == 2 ? 3 : 1,
                           .scale = (real)call->attributes.reals[0]};
}

static inline int64_t round_to_blocks(int64_t n) { return cohort_ceil_divide(n, ATTENTION_BLOCK) * ATTENTION_BLOCK; }

/* Whose workspace a slot takes: a thread alone takes the same for all, which stays in its cache. */
static inline int64_t place_of_slot(const attention_shape *s, int64_t slot) {
  return s->call->team->threads > 1 ? slot : 0;
}

static inline int32_t segment_of(const attention_shape *s, int64_t row) { return s->segments[row * s->step]; }

/* Rows of the prefix of the run that begins at row `first`. */
static inline int64_t shared_rows(const attention_shape *s, int64_t first) {
  return s->step == 3 ? s->segments[first * 3 + 2] : 0;
}

/* The run of equal segment ids that begins at row `first`: one past its last row. */
static inline int64_t run_end(const attention_shape *s, int64_t first) {
  int64_t end = first + 1;
  while (end < s->rows && segment_of(s, end) == segment_of(s, first)) end++;
  return end;
}

/* The run and those behind it that begin with its rows: one past their last. */
static inline int64_t family_end(const attention_shape *s, int64_t first) {
  int64_t end = run_end(s, first);
  while (end < s->rows && shared_rows(s, end) > 0) end = run_end(s, end);
  return end;
}

/* The run of rows [first, ...), before its first queries. */
static inline attention_queries queries_of(const attention_shape *s, int64_t head, int64_t first) {
  const int64_t shared = shared_rows(s, first);
  return (attention_queries){.run = first - shared,
                             .head = head,
                             .key_head = head * s->key_heads / s->heads,
                             .first = shared,
                             .prefix = shared ? s->segments[first * 3 + 1] : first,
                             .shared = shared};
}

/* The next queries of the run whose last position is before `end`: up to where a tile of keys ends. False: none. */
static inline bool next_queries(attention_queries *q, int64_t end) {
  q->first += q->count;
  q->count = cohort_least(ATTENTION_TILE - q->first % ATTENTION_TILE, end - q->first);
  return q->count > 0;
}

/* Whether the tile's keys are where its queries are; and whether they begin together, too. */
static inline bool on_diagonal(const attention_queries *q, int64_t key) { return key + ATTENTION_TILE > q->first; }
static inline bool aligned(const attention_queries *q, int64_t key) { return key == q->first; }

/* Where rows of keys or values lie. */
typedef struct attention_rows {
  const real *x;
  int64_t row;
} attention_rows;

/* Those at positions [key, key + keys); where they lie in two places, as a copy in `room` [ATTENTION_TILE][width]. */
static inline attention_rows rows_of_keys(const attention_shape *s, const attention_queries *q, const real *x,
                                          int64_t key, int64_t keys, real *room) {
  x += q->key_head * s->width;
  if (key >= q->shared) return (attention_rows){x + (q->run + key) * s->key_row, s->key_row};
  if (key + keys <= q->shared) return (attention_rows){x + (q->prefix + key) * s->key_row, s->key_row};
  for (int64_t j = 0; j < keys; j++) {
    const int64_t row = key + j < q->shared ? q->prefix + key + j : q->run + key + j;
    memcpy(room + j * s->width, x + row * s->key_row, (size_t)s->width * sizeof *room);
  }
  return (attention_rows){room, s->width};
}

/* The rows of the head that comes next, fetched one by one into the second cache between sums: their strips of a few
 * lines, a whole row apart, are beyond what processors guess. */
typedef struct attention_ahead {
  int64_t row, end, head, key_head;
} attention_ahead;

/* After the head `head` of the run [first, end): the next one, or the first of what may be the next run. */
static inline attention_ahead next_head(const attention_shape *s, int64_t head, int64_t first, int64_t end) {
  attention_ahead ahead = {.row = first, .end = end, .head = head + 1};
  if (head + 1 == s->heads) ahead = (attention_ahead){.row = end, .end = cohort_least(s->rows, 2 * end - first)};
  ahead.key_head = ahead.head * s->key_heads / s->heads;
  return ahead;
}

/* Fetches a row of the inputs of the mask; of them, 1 and 2 are of keys and values. */
static inline void fetch_row(const attention_shape *s, attention_ahead *ahead, unsigned inputs) {
  enum { LINE = 64 / sizeof(real) };
  if (ahead->row >= ahead->end) return;
  const int64_t query = ahead->row * s->row + ahead->head * s->width;
  const int64_t key = ahead->row * s->key_row + ahead->key_head * s->width;
  for (int i = 0; inputs >> i; i++) {
    const real *x = (const real *)s->call->input[i].data + (i == 1 || i == 2 ? key : query);
    for (int64_t d = 0; inputs >> i & 1 && d < s->width; d += LINE) __builtin_prefetch(x + d, 0, 2);
  }
  ahead->row++;
}

/* How many of a tile's `keys` the block of queries that begins at `column` may see: beyond, nothing is computed. */
static inline int64_t keys_of_block(const attention_queries *q, int64_t column, int64_t key, int64_t keys) {
  return cohort_least(keys, q->first + column + ATTENTION_BLOCK - key);
}

static inline int64_t attention_cells(int64_t n) { return (n + ATTENTION_CELL - 1) / ATTENTION_CELL; }

static inline attention_vector attention_add(attention_vector sum, real factor, attention_vector x) {
#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
  return (attention_vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(factor), (__m512bh)x);
#else
  return sum + factor * x;
#endif
}

#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
static inline attention_vector attention_load(const real *x) { return *(const attention_memory *)x; }

/* 32 elements of a row as cells. */
static inline void attention_store_pairs(attention_vector first, attention_vector second, real *to) {
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
}

/* Cells of two rows. */
static inline void attention_store_rows(attention_vector low, attention_vector high, real *to) {
  _mm512_storeu_si512(to, (__m512i)product_pairs((__m512)low, (__m512)high));
}

static inline __m512i attention_bf16(const real *x, __mmask16 mask, real factor) {
  const __m512 scaled = _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_maskz_loadu_ps(mask, x));
  return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(scaled));
}
#endif

/* out [rows][cells of columns] = factor times the rows of `in`: cells along a row. */
static inline void copy_cells(const real *in, int64_t in_row, int64_t rows, int64_t columns, real factor, real *out) {
  for (int64_t i = 0; i < rows; i++) {
    const real *restrict x = in + i * in_row;
    real *restrict to = out + i * attention_cells(columns);
#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
    int64_t j = 0;
    for (; j + 32 <= columns; j += 32)
      attention_store_pairs(factor * attention_load(x + j), factor * attention_load(x + j + 16), to + j / 2);
    for (; j < columns; j += 16) {
      const __mmask16 mask = (__mmask16)(columns - j >= 16 ? 0xffff : (1 << (columns - j)) - 1);
      const __mmask8 cells = (__mmask8)(columns - j >= 16 ? 0xff : (1 << attention_cells(columns - j)) - 1);
      const __m512 scaled = _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_maskz_loadu_ps(mask, x + j));
      _mm256_mask_storeu_epi32(to + j / 2, cells, (__m256i)_mm512_cvtneps_pbh(scaled));
    }
#else
    for (int64_t j = 0; j < columns; j++) to[j] = factor * x[j];
#endif
  }
}

/* out [cells of rows][out_row] = factor times the rows of `in`: cells along a column. */
static inline void pair_rows(const real *in, int64_t in_row, int64_t rows, int64_t columns, real factor, real *out,
                             int64_t out_row) {
  for (int64_t i = 0; i < attention_cells(rows); i++) {
    const real *restrict x = in + i * ATTENTION_CELL * in_row;
    real *restrict to = out + i * out_row;
#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
    int64_t j = 0;
    for (; 2 * i + 1 < rows && j + 16 <= columns; j += 16)
      attention_store_rows(factor * attention_load(x + j), factor * attention_load(x + in_row + j), to + j);
    for (; j < columns; j += 16) {
      const __mmask16 mask = (__mmask16)(columns - j >= 16 ? 0xffff : (1 << (columns - j)) - 1);
      __m512i pairs = attention_bf16(x + j, mask, factor);
      if (2 * i + 1 < rows)
        pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(attention_bf16(x + in_row + j, mask, factor), 16));
      _mm512_mask_storeu_epi32(to + j, mask, pairs);
    }
#else
    for (int64_t j = 0; j < columns; j++) to[j] = factor * x[j];
#endif
  }
}

/* The elements of one row of a block as cells. */
static inline void cells_along(const real row[ATTENTION_BLOCK], real *to) {
#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
  attention_store_pairs(attention_load(row), attention_load(row + ATTENTION_LANES), to);
#else
  memcpy(to, row, ATTENTION_BLOCK * sizeof *to);
#endif
}

/* The rows of a cell of a block as cells. */
static inline void cells_across(const real row[ATTENTION_CELL][ATTENTION_BLOCK], real *to) {
#if defined(COHORT_PAIRS) && !defined(COHORT_TILES)
  for (int i = 0; i < ATTENTION_BLOCK; i += ATTENTION_LANES)
    attention_store_rows(attention_load(row[0] + i), attention_load(row[1] + i), to + i);
#else
  memcpy(to, row[0], ATTENTION_BLOCK * sizeof *to);
#endif
}

/* A strip of a product: C (rows x ATTENTION_BLOCK) = A B, or C + A B, over `depth` cells. Cell (m, l) of A is
 * a[m a_row + l a_depth]. */
typedef struct attention_strip {
  int64_t rows, depth;
  const real *a;
  int64_t a_row, a_depth; /* one of them is 1 */
  const real *b;
  int64_t b_row;
  real *c;
  int64_t c_row;
  bool add;
} attention_strip;

/* `count`, and one of the steps of A, are constants where this is inlined, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void multiply_rows(const attention_strip *s, int count, int64_t first,
                                                                int64_t a_row, int64_t a_depth) {
  attention_vector sum[ATTENTION_ROWS][2];
  const real *a = s->a + first * a_row, *b = s->b;
  real *c = s->c + first * s->c_row;
  const int64_t depth = s->depth, b_row = s->b_row, c_row = s->c_row;
  for (int m = 0; m < count; m++) {
    for (int v = 0; v < 2; v++) {
      sum[m][v] = (attention_vector){0};
      if (s->add) sum[m][v] = *(const attention_memory *)(c + m * c_row + v * ATTENTION_LANES);
    }
  }
  for (int64_t l = 0; l < depth; l++) {
    const attention_vector left = *(const attention_memory *)(b + l * b_row);
    const attention_vector right = *(const attention_memory *)(b + l * b_row + ATTENTION_LANES);
    for (int m = 0; m < count; m++) {
      const real factor = a[m * a_row + l * a_depth];
      sum[m][0] = attention_add(sum[m][0], factor, left);
      sum[m][1] = attention_add(sum[m][1], factor, right);
    }
  }
  for (int m = 0; m < count; m++) {
    for (int v = 0; v < 2; v++) *(attention_memory *)(c + m * c_row + v * ATTENTION_LANES) = sum[m][v];
  }
}

static inline __attribute__((always_inline)) void multiply_all(const attention_strip *s, int64_t a_row,
                                                               int64_t a_depth) {
  int64_t m = 0;
  for (; m + ATTENTION_ROWS <= s->rows; m += ATTENTION_ROWS) multiply_rows(s, ATTENTION_ROWS, m, a_row, a_depth);
  for (; m + 2 <= s->rows; m += 2) multiply_rows(s, 2, m, a_row, a_depth);
  if (m < s->rows) multiply_rows(s, 1, m, a_row, a_depth);
}

static inline void multiply_strip(const attention_strip *s) {
  if (s->a_depth == 1) {
    multiply_all(s, s->a_row, 1);
  } else {
    multiply_all(s, 1, s->a_depth);
  }
}

static inline void transpose_quad(const real *in, int64_t in_row, real *out, int64_t out_row) {
  const attention_quad a = *(const attention_quad *)in, b = *(const attention_quad *)(in + in_row),
                       c = *(const attention_quad *)(in + 2 * in_row), d = *(const attention_quad *)(in + 3 * in_row);
  const attention_quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const attention_quad ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(attention_quad *)out = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *(attention_quad *)(out + out_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  *(attention_quad *)(out + 2 * out_row) = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
  *(attention_quad *)(out + 3 * out_row) = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
}

/* out (columns x rows) = in^T; cells are moved as they are. */
static inline void transpose_tile(const real *in, int64_t in_row, int64_t rows, int64_t columns, real *out,
                                  int64_t out_row) {
  const int64_t whole = columns / 4 * 4;
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    for (int64_t j = 0; j < whole; j += 4) transpose_quad(in + i * in_row + j, in_row, out + j * out_row + i, out_row);
    for (int64_t j = whole; j < columns; j++) {
      for (int64_t k = i; k < i + 4; k++) out[j * out_row + k] = in[k * in_row + j];
    }
  }
  for (; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) out[j * out_row + i] = in[i * in_row + j];
  }
}

/* out [cells of the width][ATTENTION_TILE] = factor times the tile's rows of `x` [R, H, D], transposed; zeros for
 * queries past the last, up to a whole block. `rows` has room for the tile's cells. */
static inline void transpose_queries(const attention_shape *s, const attention_queries *q, const real *x, real factor,
                                     real *rows, real *out) {
  const int64_t cells = attention_cells(s->width);
  copy_cells(x + (q->run + q->first) * s->row + q->head * s->width, s->row, q->count, s->width, factor, rows);
  transpose_tile(rows, cells, q->count, cells, out, ATTENTION_TILE);
  for (int64_t d = 0; d < cells; d++) {
    for (int64_t i = q->count; i < round_to_blocks(q->count); i++) out[d * ATTENTION_TILE + i] = 0;
  }
}

static inline real *take_reals(real **memory, int64_t reals) {
  real *taken = *memory;
  *memory += reals;
  return taken;
}

/* out [key][query] = or += the inner products of rows of cells, of keys or values, and the queries. */
static inline void score_keys(const attention_shape *s, const real *x, int64_t keys, const real *queries, real *out,
                              int64_t out_row, bool add) {
  const attention_strip strip = {.rows = keys,
                                 .depth = attention_cells(s->width),
                                 .a = x,
                                 .a_row = attention_cells(s->width),
                                 .a_depth = 1,
                                 .b = queries,
                                 .b_row = ATTENTION_TILE,
                                 .c = out,
                                 .c_row = out_row,
                                 .add = add};
  multiply_strip(&strip);
}

/* Copies a part of a block's width between an output and a buffer of whole blocks. */
static inline void copy_columns(const real *from, int64_t from_row, real *to, int64_t to_row, int64_t rows,
                                int64_t columns) {
  for (int64_t m = 0; m < rows; m++) memcpy(to + m * to_row, from + m * from_row, (size_t)columns * sizeof *to);
}

/* out (keys x width) = or += the cells of weights [key][query] times those of the rows of `x` [query][padded],
 * `queries` of them; padded: the width in whole blocks. */
static inline void add_keys_gradient(const attention_shape *s, const real *weights, const real *x, int64_t padded,
                                     int64_t queries, int64_t keys, bool add, real *out) {
  real edge[ATTENTION_TILE * ATTENTION_BLOCK];
  attention_strip strip = {.rows = keys,
                           .depth = attention_cells(queries),
                           .a = weights,
                           .a_row = ATTENTION_ALONG,
                           .a_depth = 1,
                           .b_row = padded,
                           .add = add};
  for (int64_t d = 0; d < s->width; d += ATTENTION_BLOCK) {
    const int64_t columns = cohort_least(ATTENTION_BLOCK, s->width - d);
    const bool whole = columns == ATTENTION_BLOCK;
    strip.b = x + d;
    strip.c = whole ? out + d : edge;
    strip.c_row = whole ? s->key_row : ATTENTION_BLOCK;
    if (!whole && add) {
      memset(edge, 0, sizeof edge);
      copy_columns(out + d, s->key_row, edge, ATTENTION_BLOCK, keys, columns);
    }
    multiply_strip(&strip);
    if (!whole) copy_columns(edge, ATTENTION_BLOCK, out + d, s->key_row, keys, columns);
  }
}

/* out [cells of count][padded] = factor times the tile's rows of x, zeros past the width. */
static inline void pair_queries(const attention_shape *s, const attention_queries *q, const real *x, real factor,
                                real *out, int64_t padded) {
  const real *rows = x + (q->run + q->first) * s->row + q->head * s->width;
  pair_rows(rows, s->row, q->count, s->width, factor, out, padded);
  for (int64_t i = 0; i < attention_cells(q->count); i++)
    for (int64_t d = s->width; d < padded; d++) out[i * padded + d] = 0;
}

static inline void zero_rows(real *x, int64_t first, int64_t end, int64_t step, int64_t head, int64_t width) {
  for (int64_t row = first; row < end; row++) memset(x + row * step + head * width, 0, (size_t)width * sizeof *x);
}

/* One key head of the segment [first, end); `inside`: it is one, and no rows without. */
typedef void (*attention_task)(const attention_shape *s, const void *tile, int64_t key_head, int64_t first, int64_t end,
                               bool inside);

/* The derivatives' tasks of a slot, in order: every so many-th key head of a segment, and of those that begin with its
 * rows, to whose keys and values they add. */
static inline void run_tasks(const attention_shape *s, int64_t slot, attention_task run, const void *tile) {
  int64_t task = 0;
  for (int64_t first = 0; first < s->rows;) {
    const int64_t end = family_end(s, first);
    for (int64_t key_head = 0; key_head < s->key_heads; key_head++, task++) {
      if (task % ATTENTION_SLOTS != slot) continue;
      for (int64_t row = first, next; row < end; row = next) {
        next = run_end(s, row);
        run(s, tile, key_head, row, next, segment_of(s, row) >= 0);
      }
    }
    first = end;
  }
}

#endif
