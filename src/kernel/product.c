/* Products of matrices: OpenBLAS, single-threaded, on tiles that are cut by shape alone; threads only take tiles. Small
 * products are our own (product_small.c). Which way a product goes depends on its shape and nothing else. */
#include <cblas.h>
#include <pthread.h>

#include "base/real.h"
#include "kernel/kernel.h"
#include "kernel/product_small_real.h"

enum { SMALL = 1000000, SPLIT_FLOPS = 1 << 23, MOST_TILES = 16, SMALLEST_TILE = 64 };

typedef struct product_job {
  int transpose_a, transpose_b;
  int64_t m, n, k;
  real alpha, beta;
  const real *a, *b;
  real *c;
  int64_t stride_a, stride_b, stride_c;
  int64_t tile;  /* rows or columns of C in a tile */
  int by_columns;
} product_job;

static pthread_once_t single_threaded = PTHREAD_ONCE_INIT;
static void make_single_threaded(void) { openblas_set_num_threads(1); }

static void call_library(const product_job *job, int64_t m, int64_t n, const real *a, const real *b, real *c) {
  const CBLAS_TRANSPOSE ta = job->transpose_a ? CblasTrans : CblasNoTrans;
  const CBLAS_TRANSPOSE tb = job->transpose_b ? CblasTrans : CblasNoTrans;
  if (sizeof(real) == sizeof(float))
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)job->k, (float)job->alpha, (const float *)(const void *)a,
                (blasint)job->stride_a, (const float *)(const void *)b, (blasint)job->stride_b, (float)job->beta,
                (float *)(void *)c, (blasint)job->stride_c);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)job->k, (double)job->alpha,
                (const double *)(const void *)a, (blasint)job->stride_a, (const double *)(const void *)b,
                (blasint)job->stride_b, (double)job->beta, (double *)(void *)c, (blasint)job->stride_c);
}

static void run_tile(void *argument, int64_t index) {
  const product_job *job = argument;
  const int64_t first = index * job->tile;
  if (job->by_columns) {
    const int64_t n = job->n - first < job->tile ? job->n - first : job->tile;
    const real *b = job->transpose_b ? job->b + first * job->stride_b : job->b + first;
    call_library(job, job->m, n, job->a, b, job->c + first);
  } else {
    const int64_t m = job->m - first < job->tile ? job->m - first : job->tile;
    const real *a = job->transpose_a ? job->a + first : job->a + first * job->stride_a;
    call_library(job, m, job->n, a, job->b, job->c + first * job->stride_c);
  }
}

/* Tiles along the longer side of C, as many as give each some work, in multiples of the library's panels. */
static int64_t cut(product_job *job) {
  const double flops = 2.0 * (double)job->m * (double)job->n * (double)job->k;
  int64_t tiles = (int64_t)(flops / SPLIT_FLOPS);
  job->by_columns = job->n > job->m;
  const int64_t side = job->by_columns ? job->n : job->m;
  if (tiles > MOST_TILES) tiles = MOST_TILES;
  if (tiles > side / SMALLEST_TILE) tiles = side / SMALLEST_TILE;
  if (tiles < 1) tiles = 1;
  job->tile = ((side + tiles - 1) / tiles + 15) / 16 * 16;
  return (side + job->tile - 1) / job->tile;
}

void COHORT_VARIED(cohort_product)(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                                   double alpha, const void *a, int64_t stride_a, const void *b, int64_t stride_b,
                                   double beta, void *c, int64_t stride_c);

void COHORT_VARIED(cohort_product)(const cohort_team *team, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                                   double alpha, const void *a, int64_t stride_a, const void *b, int64_t stride_b,
                                   double beta, void *c, int64_t stride_c) {
  product_job job = {transpose_a, transpose_b, m, n, k, (real)alpha, (real)beta, a, b, c, stride_a, stride_b, stride_c, 0, 0};
  if (m <= 0 || n <= 0) return;
  /* The library's own limit for its small-matrix kernels, which allocate. */
  if ((double)m * (double)n * (double)k <= SMALL) {
    const cohort_small_product small = {transpose_a, transpose_b, m,         n,        k,       (real)alpha,
                                        (real)beta,  a,           b,         c,        stride_a, stride_b, stride_c};
    COHORT_VARIED(cohort_product_small)(&small);
    return;
  }
  (void)pthread_once(&single_threaded, make_single_threaded);
  cohort_team_run(team, cut(&job), run_tile, &job);
}
