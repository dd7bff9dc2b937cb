/* Small products, up to about 100^3: our own loops, since OpenBLAS allocates in its small-matrix kernels. A panel of B is
 * packed on the stack, then blocks of rows of A run over it with the sums in registers. */
#include "base/real.h"
#include "kernel/product_small_real.h"
#include "kernel/row_real.h"

enum { ROWS = 4, VECTORS = 2, WIDTH = VECTORS * COHORT_LANES, DEPTH = 256 };

typedef struct panel {
  real b[DEPTH][WIDTH]; /* rows of op(B), zeros past its last column */
  real a[DEPTH][ROWS];  /* columns of op(A), zeros past its last row */
} panel;

static void pack_b(const cohort_small_product *p, int64_t first_k, int64_t depth, int64_t first_n, int64_t width,
                   panel *out) {
  for (int64_t l = 0; l < depth; l++) {
    real *restrict row = out->b[l];
    if (p->transpose_b)
      for (int64_t j = 0; j < width; j++) row[j] = p->b[(first_n + j) * p->stride_b + first_k + l];
    else
      for (int64_t j = 0; j < width; j++) row[j] = p->b[(first_k + l) * p->stride_b + first_n + j];
    for (int64_t j = width; j < WIDTH; j++) row[j] = 0;
  }
}

static void pack_a(const cohort_small_product *p, int64_t first_k, int64_t depth, int64_t first_m, int64_t rows,
                   panel *out) {
  for (int64_t i = 0; i < ROWS; i++)
    for (int64_t l = 0; l < depth; l++) {
      const int64_t m = first_m + i, k = first_k + l;
      out->a[l][i] = i >= rows ? 0 : p->transpose_a ? p->a[k * p->stride_a + m] : p->a[m * p->stride_a + k];
    }
}

static void multiply(const panel *in, int64_t depth, real *restrict out) {
  cohort_vector sum[ROWS][VECTORS] = {{{0}}};
  for (int64_t l = 0; l < depth; l++) {
    const cohort_vector left = cohort_load(in->b[l]), right = cohort_load(in->b[l] + COHORT_LANES);
    for (int i = 0; i < ROWS; i++) {
      sum[i][0] += in->a[l][i] * left;
      sum[i][1] += in->a[l][i] * right;
    }
  }
  for (int i = 0; i < ROWS; i++)
    for (int v = 0; v < VECTORS; v++) cohort_store(out + i * WIDTH + v * COHORT_LANES, sum[i][v]);
}

/* The first chunk of the depth meets beta; what stands in C is not read when beta is 0, for it may be NaN. */
static void store(const cohort_small_product *p, const real *block, int64_t first_m, int64_t rows, int64_t first_n,
                  int64_t width, int first_chunk) {
  for (int64_t i = 0; i < rows; i++) {
    real *restrict c = p->c + (first_m + i) * p->stride_c + first_n;
    const real *restrict from = block + i * WIDTH;
    if (!first_chunk)
      for (int64_t j = 0; j < width; j++) c[j] += p->alpha * from[j];
    else if (p->beta == 0)
      for (int64_t j = 0; j < width; j++) c[j] = p->alpha * from[j];
    else
      for (int64_t j = 0; j < width; j++) c[j] = p->beta * c[j] + p->alpha * from[j];
  }
}

void COHORT_VARIED(cohort_product_small)(const cohort_small_product *p) {
  panel own;
  real block[ROWS * WIDTH];
  for (int64_t n = 0; n < p->n; n += WIDTH) {
    const int64_t width = cohort_least(WIDTH, p->n - n);
    for (int64_t k = 0; k < p->k || k == 0; k += DEPTH) {
      const int64_t depth = cohort_least(DEPTH, p->k - k);
      pack_b(p, k, depth, n, width, &own);
      for (int64_t m = 0; m < p->m; m += ROWS) {
        const int64_t rows = cohort_least(ROWS, p->m - m);
        pack_a(p, k, depth, m, rows, &own);
        multiply(&own, depth, block);
        store(p, block, m, rows, n, width, k == 0);
      }
    }
  }
}
