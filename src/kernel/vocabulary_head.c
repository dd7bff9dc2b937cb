/* The vocabulary head: logits x weight' by chunks of rows, so that all of them never stand in memory at once. A chunk's
 * products and rows are shared by the team; chunks follow one another, so sums over rows have one order. */
#include <string.h>

#include "base/real.h"
#include "kernel/exponential_real.h"
#include "kernel/kernel.h"
#include "kernel/product_real.h"
#include "kernel/row_real.h"

void COHORT_VARIED(cohort_run_vocabulary_head)(const cohort_call *call);
void COHORT_VARIED(cohort_run_vocabulary_head_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_vocabulary_head)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_vocabulary_head_backward)(const cohort_call *call);

enum { CHUNK_ELEMENTS = 1 << 19, FEWEST_ROWS = 64 };

typedef struct head_job {
  const cohort_call *call;
  int64_t rows, width, vocabulary;
  int64_t chunk; /* rows */
  int64_t first, count; /* of the current chunk */
  int64_t tile;  /* rows */
  real *logits;  /* [chunk, vocabulary] */
} head_job;

static head_job describe(const cohort_call *call) {
  head_job job = {.call = call};
  job.rows = cohort_shape_rows(call->input[0].shape);
  job.width = cohort_shape_columns(call->input[0].shape);
  job.vocabulary = call->input[1].shape.size[0];
  job.chunk = cohort_most(FEWEST_ROWS, CHUNK_ELEMENTS / job.vocabulary);
  if (job.chunk > job.rows) job.chunk = job.rows;
  job.tile = cohort_tile_rows(job.vocabulary);
  job.logits = call->workspace;
  return job;
}

static size_t workspace(const cohort_call *call) {
  const head_job job = describe(call);
  return cohort_workspace_reals(job.chunk * job.vocabulary);
}

static void make_logits(const head_job *job) {
  const real *x = (const real *)job->call->input[0].data + job->first * job->width;
  COHORT_VARIED(cohort_product)
  (job->call->team, 0, 1, job->count, job->vocabulary, job->width, 1, x, job->width, job->call->input[1].data, job->width, 0,
   job->logits, job->vocabulary);
}

static void forward_row(const head_job *job, int64_t r, const real *x) {
  const int64_t n = job->vocabulary;
  const cohort_call *call = job->call;
  const int32_t target = ((const int32_t *)call->input[2].data)[r];
  real *log_p = call->output[0].data, *lse = call->output[1].data, *mean = call->output[2].data;
  real *entropy = call->output[3].data;
  if (target < 0 || target >= n) {
    log_p[r] = lse[r] = mean[r] = entropy[r] = 0;
    return;
  }
  const real largest = cohort_row_max(x, n);
  real part[COHORT_LANES] = {0}, weighted[COHORT_LANES] = {0}, tail = 0, weighted_tail = 0;
  int64_t j = 0;
  for (; j + COHORT_LANES <= n; j += COHORT_LANES)
    for (int lane = 0; lane < COHORT_LANES; lane++) {
      const real t = x[j + lane] - largest, e = cohort_exponential(t);
      part[lane] += e;
      weighted[lane] += e * t;
    }
  for (; j < n; j++) {
    const real t = x[j] - largest, e = cohort_exponential(t);
    tail += e;
    weighted_tail += e * t;
  }
  const real sum = cohort_join_lanes(cohort_load(part)) + tail;
  const real expected = (cohort_join_lanes(cohort_load(weighted)) + weighted_tail) / sum;
  const real log_sum = (real)log((double)sum);
  lse[r] = largest + log_sum;
  log_p[r] = x[target] - lse[r];
  mean[r] = cohort_row_sum(x, n) / (real)n - lse[r];
  entropy[r] = log_sum - expected;
}

/* The logits of a row become their gradient. */
static void backward_row(const head_job *job, int64_t r, real *restrict x) {
  const cohort_call *call = job->call;
  const int64_t n = job->vocabulary;
  const int32_t target = ((const int32_t *)call->input[2].data)[r];
  if (target < 0 || target >= n) {
    memset(x, 0, (size_t)n * sizeof *x);
    return;
  }
  const real lse = ((const real *)call->input[3].data)[r], entropy = ((const real *)call->input[4].data)[r];
  const real d_log_p = ((const real *)call->input[5].data)[r], d_mean = ((const real *)call->input[6].data)[r];
  const real d_entropy = ((const real *)call->input[7].data)[r];
  const real pull = d_log_p + d_mean, share = d_mean / (real)n;
  if (d_entropy == 0)
    for (int64_t j = 0; j < n; j++) x[j] = share - pull * cohort_exponential(x[j] - lse);
  else
    for (int64_t j = 0; j < n; j++) {
      const real log_p = x[j] - lse, p = cohort_exponential(log_p);
      x[j] = share - p * (pull + d_entropy * (log_p + entropy));
    }
  x[target] += d_log_p;
}

static void forward_tile(void *argument, int64_t tile) {
  const head_job *job = argument;
  for (int64_t i = tile * job->tile; i < cohort_least(job->count, (tile + 1) * job->tile); i++)
    forward_row(job, job->first + i, job->logits + i * job->vocabulary);
}

static void backward_tile(void *argument, int64_t tile) {
  const head_job *job = argument;
  for (int64_t i = tile * job->tile; i < cohort_least(job->count, (tile + 1) * job->tile); i++)
    backward_row(job, job->first + i, job->logits + i * job->vocabulary);
}

void COHORT_VARIED(cohort_run_vocabulary_head)(const cohort_call *call) {
  head_job job = describe(call);
  for (job.first = 0; job.first < job.rows; job.first += job.chunk) {
    job.count = cohort_least(job.chunk, job.rows - job.first);
    make_logits(&job);
    cohort_run_tiles(call, cohort_ceil_divide(job.count, job.tile), forward_tile, &job);
  }
}

void COHORT_VARIED(cohort_run_vocabulary_head_backward)(const cohort_call *call) {
  head_job job = describe(call);
  real *dx = call->output[0].data, *dweight = call->output[1].data;
  for (job.first = 0; job.first < job.rows; job.first += job.chunk) {
    job.count = cohort_least(job.chunk, job.rows - job.first);
    make_logits(&job);
    cohort_run_tiles(call, cohort_ceil_divide(job.count, job.tile), backward_tile, &job);
    COHORT_VARIED(cohort_product)
    (call->team, 0, 0, job.count, job.width, job.vocabulary, 1, job.logits, job.vocabulary, call->input[1].data, job.width, 0,
     dx + job.first * job.width, job.width);
    COHORT_VARIED(cohort_product)
    (call->team, 1, 0, job.vocabulary, job.width, job.count, 1, job.logits, job.vocabulary,
     (const real *)call->input[0].data + job.first * job.width, job.width, job.first == 0 ? 0 : 1, dweight, job.width);
  }
}

size_t COHORT_VARIED(cohort_workspace_vocabulary_head)(const cohort_call *call) { return workspace(call); }
size_t COHORT_VARIED(cohort_workspace_vocabulary_head_backward)(const cohort_call *call) { return workspace(call); }
