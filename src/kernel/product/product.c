/* Products of matrices. C is cut into blocks; both sides are packed block by block and multiplied in registers
 * (product_block_real.h). Large float64 products are OpenBLAS's, single-threaded.
 *
 * Every element of C is summed over k in chunks of a fixed depth, in order, so threads may cut C as they like. */
#include <cblas.h>
#include <pthread.h>
#include <stdbool.h>

#include "kernel/kernel.h"
#include "kernel/product/block_real.h"
#include "kernel/product/product_real.h"
#include "kernel/row_real.h"
#if defined(COHORT_TILES)
#include "kernel/product/tiles_real.h"
#endif

enum {
  LEAST_WORK = 1 << 18, /* multiplications of a tile */
  LIBRARY_WORK = 1000000,
  LIBRARY_TILES = 8,
  A_STRIP = PRODUCT_A_STEP * PRODUCT_DEPTH + PRODUCT_GAP
};

typedef struct product_job {
  int64_t m, n, k;
  real alpha, beta;
  product_side a, b;
  real *c;
  int64_t stride_c;
  int64_t tile; /* rows or columns of C for a thread */
  bool by_columns, blas, swapped, transpose_a, transpose_b;
} product_job;

/* A chunk of k and what stands packed for it. */
typedef struct product_chunk {
  const product_job *job;
  int64_t first_k, depth, cells;
  real beta;
  const real *b; /* packed strips, or NULL: B is read where it lies */
  int64_t strip_step;
} product_chunk;

/* Where a strip's result goes: alpha A B + beta C. */
typedef struct product_target {
  real alpha, beta;
  real *c;
  int64_t row;
} product_target;

static product_side part_of(const product_side *side, int64_t major, int64_t k) {
  return (product_side){side->x + major * side->step + k * side->step_k, side->step, side->step_k};
}

#if defined(COHORT_TILES)

static void begin(void) { product_tiles_begin(); }
static void end(void) { product_tiles_end(); }

static void multiply_strip(const product_strip *s, int vectors, bool packed, int64_t rows, const product_target *to) {
  (void)vectors, (void)packed;
  product_tiles(s, rows, A_STRIP, to->alpha, to->beta, to->c, to->row);
}

static void pack_rows_of_a(const product_side *side, int64_t rows, int64_t depth, real *out) {
  for (int64_t m = 0; m < rows; m += PRODUCT_ROWS, out += A_STRIP) {
    const product_side strip = part_of(side, m, 0);
    product_pack_tiles(&strip, rows - m, depth, out);
  }
}

#else

static void begin(void) {}
static void end(void) {}

/* Rows [0, rows) of one strip of columns: the register block with as many rows as are left. A is packed by runs or by
 * cells, or lies with its rows or its k one element apart. */
static inline __attribute__((always_inline)) void multiply_rows(const product_strip *s, int vectors, bool packed,
                                                                bool runs, int64_t rows, const product_target *to) {
/* NOLINTBEGIN(bugprone-redundant-branch-condition): in BLOCK `packed` is asked again */
#define BLOCK(ROWS)                                                                                                   \
  for (; m + (ROWS) <= rows; m += (ROWS)) {                                                                           \
    const real *a = s->a + m / PRODUCT_ROWS * s->a_row;                                                               \
    const int64_t row = m % PRODUCT_ROWS;                                                                             \
    real *c = to->c + m * to->row;                                                                                    \
    if (packed && runs)                                                                                               \
      product_rows(s, (ROWS), vectors, true, PRODUCT_RUN, 1, a + row * PRODUCT_RUN, to->alpha, to->beta, c, to->row); \
    else if (packed)                                                                                                  \
      product_rows(s, (ROWS), vectors, false, 1, PRODUCT_A_STEP, a + row, to->alpha, to->beta, c, to->row);           \
    else if (s->a_row == 1)                                                                                           \
      product_rows(s, (ROWS), vectors, false, 1, s->a_cell, s->a + m, to->alpha, to->beta, c, to->row);               \
    else                                                                                                              \
      product_rows(s, (ROWS), vectors, false, s->a_row, 1, s->a + m * s->a_row, to->alpha, to->beta, c, to->row);     \
  }
  int64_t m = 0;
  if (packed) BLOCK(PRODUCT_ROWS)
  if (PRODUCT_ROWS > 8) BLOCK(8)
  BLOCK(4)
  if (packed) BLOCK(2)
  BLOCK(1)
#undef BLOCK
  /* NOLINTEND(bugprone-redundant-branch-condition) */
}

static void multiply_strip(const product_strip *s, int vectors, bool packed, int64_t rows, const product_target *to) {
  if (!packed) {
    (vectors == 2 ? multiply_rows(s, 2, false, false, rows, to) : multiply_rows(s, 1, false, false, rows, to));
  } else if (s->a_cell == 1) {
    (vectors == 2 ? multiply_rows(s, 2, true, true, rows, to) : multiply_rows(s, 1, true, true, rows, to));
  } else {
    (vectors == 2 ? multiply_rows(s, 2, true, false, rows, to) : multiply_rows(s, 1, true, false, rows, to));
  }
}

static void pack_rows_of_a(const product_side *side, int64_t rows, int64_t depth, real *out) {
  if (side->step_k == 1) {
    for (int64_t m = 0; m < rows; m += PRODUCT_ROWS, out += A_STRIP) {
      const product_side strip = part_of(side, m, 0);
      product_pack_runs(&strip, cohort_least(PRODUCT_ROWS, rows - m), depth, out);
    }
    return;
  }
  const int64_t done = product_pack_strips(side, rows, depth, out, A_STRIP);
  for (int64_t m = 0; m < rows; m += PRODUCT_ROWS, out += A_STRIP) {
    const product_side rest = part_of(side, m, done * PRODUCT_CELL);
    product_pack_rows(&rest, cohort_least(PRODUCT_ROWS, rows - m), PRODUCT_A_STEP, depth - done * PRODUCT_CELL,
                      out + done * PRODUCT_A_STEP, PRODUCT_A_STEP);
  }
}

#endif

/* A last strip that is narrower than its vectors begins so many columns further left, where there are any: columns are
 * made twice, with the same bits, and nothing is read or written behind the matrix. */
static int64_t strip_shift(int64_t n, int64_t columns) {
  if (PRODUCT_TILES) return 0;
  const int64_t width = columns - n, whole = width > PRODUCT_LANES ? PRODUCT_COLUMNS : PRODUCT_LANES;
  return width < whole && n >= whole - width ? whole - width : 0;
}

/* What a strip that is not whole has made: `width` columns from `first` on. */
static void add_edge(const real *edge, int64_t first, int64_t rows, int64_t width, real beta, real *c, int64_t row) {
  edge += first;
  for (int64_t m = 0; m < rows; m++, edge += PRODUCT_COLUMNS, c += row)
    for (int64_t j = 0; j < width; j++) c[j] = edge[j] + (beta == 0 ? 0 : beta * c[j]);
}

/* Rows [m0, m0 + rows) and columns [n0, n0 + columns) of C for one chunk of k. `a` is the packed block of these rows,
 * or NULL. */
static void multiply_block(const product_chunk *chunk, int64_t m0, int64_t rows, int64_t n0, int64_t columns,
                           const real *a) {
  const product_job *job = chunk->job;
  product_strip strip = {
      .cells = chunk->cells, .a = a, .a_row = A_STRIP, .a_cell = job->a.step_k, .b_cell = PRODUCT_COLUMNS};
  if (!a) {
    strip.a = job->a.x + m0 * job->a.step + chunk->first_k * job->a.step_k;
    strip.a_row = job->a.step;
    strip.a_cell = job->a.step_k;
  }
  real edge[PRODUCT_BLOCK_ROWS * PRODUCT_COLUMNS];
  for (int64_t n = 0; n < columns; n += PRODUCT_COLUMNS) {
    const int64_t width = cohort_least(PRODUCT_COLUMNS, columns - n), shift = strip_shift(n, columns);
    const int vectors = PRODUCT_TILES || width > PRODUCT_LANES ? 2 : 1;
    real *c = job->c + m0 * job->stride_c + n0 + n;
    product_target to = {job->alpha, chunk->beta, c - shift, job->stride_c};
    /* The columns on the left have had their sum already: they can be replaced, not added to. */
    const bool whole = width + (chunk->beta == 0 ? shift : 0) == vectors * PRODUCT_LANES;
    if (!whole) to = (product_target){job->alpha, 0, edge, PRODUCT_COLUMNS};
    if (chunk->b) {
      strip.b = chunk->b + n / PRODUCT_COLUMNS * chunk->strip_step;
    } else {
      strip.b = job->b.x + n0 + n - shift + chunk->first_k * job->b.step_k;
      strip.b_cell = job->b.step_k;
    }
    multiply_strip(&strip, vectors, a, rows, &to);
    if (!whole) add_edge(edge, shift, rows, width, chunk->beta, c, job->stride_c);
  }
}

static void pack_b(const product_job *job, int64_t n, int64_t columns, product_chunk *chunk, real *packed) {
  const int64_t filled = cohort_ceil_divide(chunk->depth, PRODUCT_CELL) * PRODUCT_COLUMNS;
  const int64_t whole = job->b.step == 1 ? columns / PRODUCT_COLUMNS : 0;
  const product_side side = part_of(&job->b, n, chunk->first_k);
  chunk->b = packed;
  chunk->strip_step = PRODUCT_COLUMNS * chunk->cells + PRODUCT_GAP;
  if (whole) product_pack_columns(&side, whole, chunk->depth, packed, chunk->strip_step);
  for (int64_t j = 0; j < columns; j += PRODUCT_COLUMNS, packed += chunk->strip_step) {
    const int64_t shift = strip_shift(j, columns);
    const product_side strip = part_of(&side, j - shift, 0);
    /* What one vector does not read of a strip need not be there. */
    const int64_t width = PRODUCT_TILES || columns - j > PRODUCT_LANES ? PRODUCT_COLUMNS : PRODUCT_LANES;
    if (j >= whole * PRODUCT_COLUMNS)
      product_pack(&strip, cohort_least(width, columns - j + shift), width, chunk->depth, packed, PRODUCT_COLUMNS);
    for (int64_t i = filled; i < chunk->strip_step - PRODUCT_GAP; i++) packed[i] = 0;
  }
}

/* Rows that lie on, without falling into the same places of the first cache, may be read a few times more. */
static bool packs_a(const product_job *job, int64_t columns) {
  enum { PAGE = 4096 / sizeof(real) };
  if (PRODUCT_ROUNDS) return true;
  const bool lies_well = job->a.step_k == 1 && job->a.step % (PAGE / 2) != 0;
  return columns > (lies_well ? 4 : 2) * PRODUCT_COLUMNS;
}

/* A short k's rows of B fit the first cache together as they lie. */
static bool packs_b(const product_job *job, int64_t rows) {
  enum { PAGE = 4096 / sizeof(real) };
  if (PRODUCT_ROUNDS || job->b.step != 1) return true;
  return rows > 4 * PRODUCT_ROWS && (job->k > PRODUCT_SHORT || job->b.step_k % (PAGE / 2) == 0);
}

/* Rows [m0, m1) and columns [n0, n1) of C. A side that is used but a few times is read where it lies. */
static void multiply_tile(const product_job *job, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  enum { DEPTH = PRODUCT_DEPTH * PRODUCT_CELL };
  real packed_a[PRODUCT_BLOCK_ROWS / PRODUCT_ROWS * A_STRIP] __attribute__((aligned(64)));
  real packed_b[PRODUCT_BLOCK_COLUMNS / PRODUCT_COLUMNS * (PRODUCT_COLUMNS * PRODUCT_DEPTH + PRODUCT_GAP)]
      __attribute__((aligned(64)));
  begin();
  const bool packs_rows = packs_a(job, n1 - n0), packed = packs_b(job, m1 - m0);
  for (int64_t n = n0; n < n1;) {
    const int64_t columns = cohort_least(PRODUCT_BLOCK_COLUMNS, n1 - n);
    for (int64_t k = 0; k < job->k || k == 0; k += DEPTH) {
      product_chunk chunk = {.job = job, .first_k = k, .depth = cohort_least(DEPTH, job->k - k)};
      chunk.cells = cohort_ceil_divide(chunk.depth, PRODUCT_CELL * PRODUCT_CELLS_STEP) * PRODUCT_CELLS_STEP;
      chunk.beta = k == 0 ? job->beta : 1;
      if (packed || (columns < PRODUCT_COLUMNS && columns != PRODUCT_LANES)) pack_b(job, n, columns, &chunk, packed_b);
      for (int64_t m = m0; m < m1; m += PRODUCT_BLOCK_ROWS) {
        const int64_t rows = cohort_least(PRODUCT_BLOCK_ROWS, m1 - m);
        if (packs_rows) {
          const product_side side = part_of(&job->a, m, k);
          pack_rows_of_a(&side, rows, chunk.depth, packed_a);
        }
        multiply_block(&chunk, m, rows, n, columns, packs_rows ? packed_a : NULL);
      }
    }
    n += columns;
  }
  end();
}

enum { SWAPPED_ROWS = 256, SWAPPED_COLUMNS = 2 * PRODUCT_COLUMNS };

/* Few rows of A would leave each packed element of B little to do: C' = B' A' instead reads B where it lies, as its
 * left side. A sum's order and bits are the same. */
static bool is_swapped(const product_job *job) {
  return !PRODUCT_ROUNDS && !job->blas && job->beta == 0 && job->b.step != 1 && job->m >= PRODUCT_LANES &&
         job->m <= SWAPPED_COLUMNS && job->n >= 2 * job->m;
}

static void multiply_swapped(const product_job *job, int64_t n0, int64_t n1) {
  real swapped[SWAPPED_ROWS * SWAPPED_COLUMNS] __attribute__((aligned(64)));
  const product_quad_memory *from = (const product_quad_memory *)swapped;
  for (int64_t n = n0; n < n1; n += SWAPPED_ROWS) {
    const int64_t rows = cohort_least(SWAPPED_ROWS, n1 - n);
    const product_job other = {.m = rows,
                               .n = job->m,
                               .k = job->k,
                               .alpha = job->alpha,
                               .a = part_of(&job->b, n, 0),
                               .b = job->a,
                               .c = swapped,
                               .stride_c = SWAPPED_COLUMNS};
    multiply_tile(&other, 0, rows, 0, job->m);
    for (int64_t m = 0; m < job->m; m += 4) {
      real *to = job->c + m * job->stride_c + n;
      int64_t i = 0;
      for (; i + 4 <= rows && m + 4 <= job->m; i += 4) {
        enum { ROW = SWAPPED_COLUMNS / 4 };
        const product_quad_memory *at = from + i * ROW + m / 4;
        product_store_transposed(at[0], at[ROW], at[2 * ROW], at[3 * ROW], to + i, job->stride_c);
      }
      for (; i < rows; i++)
        for (int64_t j = 0; j < cohort_least(4, job->m - m); j++)
          to[j * job->stride_c + i] = swapped[i * SWAPPED_COLUMNS + m + j];
    }
  }
}

/* OpenBLAS: its bits depend on the shape of a tile, so the tiles do not depend on the team. */
static pthread_once_t single_threaded = PTHREAD_ONCE_INIT;
static void make_single_threaded(void) { openblas_set_num_threads(1); }

static void multiply_library(const product_job *job, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  const bool ta = job->transpose_a, tb = job->transpose_b;
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)(m1 - m0),
              (blasint)(n1 - n0), (blasint)job->k, (double)job->alpha,
              (const double *)(const void *)part_of(&job->a, m0, 0).x, (blasint)(ta ? job->a.step_k : job->a.step),
              (const double *)(const void *)part_of(&job->b, n0, 0).x, (blasint)(tb ? job->b.step : job->b.step_k),
              (double)job->beta, (double *)(void *)(job->c + m0 * job->stride_c + n0), (blasint)job->stride_c);
}

static void run_tile(void *argument, int64_t index) {
  const product_job *job = argument;
  const int64_t first = index * job->tile, side = job->by_columns ? job->n : job->m;
  const int64_t last = cohort_least(side, first + job->tile);
  if (job->swapped) {
    multiply_swapped(job, first, last);
    return;
  }
  (job->blas ? multiply_library : multiply_tile)(job, job->by_columns ? 0 : first, job->by_columns ? job->m : last,
                                                 job->by_columns ? first : 0, job->by_columns ? last : job->n);
}

/* Cuts a side into at most `most` tiles that are worth a thread each: the longer one, so that the other is packed few
 * times; or rows, which lie together in memory for what a thread does with them next, where B is not packed for them.
 */
static int64_t cut(product_job *job, int64_t most) {
  const double work = (double)job->m * (double)job->n * (double)job->k;
  const int64_t tiles = cohort_least(most, (int64_t)(work / LEAST_WORK) + 1);
  const bool by_rows = !job->blas && job->m >= 4 * PRODUCT_ROWS * tiles && !packs_b(job, job->m);
  job->by_columns = job->n > job->m && !by_rows;
  const int64_t side = job->by_columns ? job->n : job->m;
  int64_t panel = job->by_columns ? PRODUCT_COLUMNS : by_rows ? 4 : PRODUCT_ROWS;
  if (job->swapped) panel = 4;
  /* Where B is read as it lies, a vector of columns costs half a strip, and a strip too many is time that others wait.
   */
  if (!PRODUCT_ROUNDS && job->by_columns && !packs_b(job, job->m)) panel = PRODUCT_LANES;
  job->tile = cohort_ceil_divide(cohort_ceil_divide(side, tiles), panel) * panel;
  return cohort_ceil_divide(side, job->tile);
}

void COHORT_VARIED(cohort_product)(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n,
                                   int64_t k, double alpha, const void *a, int64_t stride_a, const void *b,
                                   int64_t stride_b, double beta, void *c, int64_t stride_c) {
  if (m <= 0 || n <= 0) return;
  product_job job = {.m = m, .n = n, .k = k, .alpha = (real)alpha, .beta = (real)beta, .c = c, .stride_c = stride_c};
  job.transpose_a = transpose_a;
  job.transpose_b = transpose_b;
  job.a = transpose_a ? (product_side){a, 1, stride_a} : (product_side){a, stride_a, 1};
  job.b = transpose_b ? (product_side){b, stride_b, 1} : (product_side){b, 1, stride_b};
  /* Below this the library's own kernels for small matrices would allocate. */
  job.blas = sizeof(real) == sizeof(double) && (double)m * (double)n * (double)k > LIBRARY_WORK;
  if (job.blas) (void)pthread_once(&single_threaded, make_single_threaded);
  job.swapped = is_swapped(&job);
  const int64_t tiles = cut(&job, job.blas ? LIBRARY_TILES : team->threads);
  if (tiles == 1)
    run_tile(&job, 0);
  else
    cohort_team_run(team, tiles, run_tile, &job);
}
