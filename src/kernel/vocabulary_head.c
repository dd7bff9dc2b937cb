/* The vocabulary head: logits x weight' by panels of the vocabulary, so that all of them never stand in memory at once
 * and a panel stays in the caches between its products. Sums over the vocabulary go panel by panel, with the largest
 * logit so far (Milakov & Gimelshein 2018). */
#include <string.h>

#include "base/real.h"
#include "kernel/function_real.h"
#include "kernel/kernel.h"
#include "kernel/product/product_real.h"
#include "kernel/row_real.h"

void COHORT_VARIED(cohort_kernel_vocabulary_head)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_vocabulary_head_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_vocabulary_head)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_vocabulary_head_backward)(const cohort_call *call);

/* Rows of logits do not lie a power of two apart, where they would share a few lines of the cache. */
enum { PANEL = 1024, STEP = PANEL + 16, MOST_ROWS = 4096 };

/* Of a row and the panels so far: the largest logit, sums of e = exp(x - largest), of e (x - largest) and of x. */
typedef struct row_sums {
  real largest, exponentials, weighted, logits, target;
} row_sums;

typedef struct head_job {
  const cohort_call *call;
  int64_t rows, width, vocabulary;
  int64_t chunk;           /* rows at a time */
  int64_t first, count;    /* rows of the current chunk */
  int64_t column, columns; /* of the current panel */
  int64_t tile;            /* rows */
  real *logits;            /* [chunk, STEP] */
  row_sums *sums;          /* [chunk], forward */
} head_job;

static head_job describe(const cohort_call *call) {
  head_job job = {.call = call};
  job.rows = cohort_shape_rows(call->input[0].shape);
  job.width = cohort_shape_columns(call->input[0].shape);
  job.vocabulary = call->input[1].shape.size[0];
  job.chunk = cohort_least(job.rows, MOST_ROWS);
  job.tile = cohort_tile_rows(cohort_least(PANEL, job.vocabulary));
  job.logits = call->workspace;
  job.sums = (row_sums *)(job.logits + job.chunk * STEP);
  return job;
}

static void make_logits(const head_job *job) {
  const real *x = (const real *)job->call->input[0].data + job->first * job->width;
  const real *weight = (const real *)job->call->input[1].data + job->column * job->width;
  COHORT_VARIED(cohort_product)
  (job->call->team, 0, 1, job->count, job->columns, job->width, 1, x, job->width, weight, job->width, 0, job->logits,
   STEP);
}

static void add_panel(const head_job *job, const real *x, int64_t target, row_sums *row) {
  const int64_t n = job->columns;
  const real highest = cohort_row_max(x, n), largest = highest > row->largest ? highest : row->largest;
  real part[COHORT_LANES] = {0}, weighted[COHORT_LANES] = {0}, tail = 0, weighted_tail = 0;
  int64_t j = 0;
  for (; j + COHORT_LANES <= n; j += COHORT_LANES)
    for (int lane = 0; lane < COHORT_LANES; lane++) {
      const real t = x[j + lane] - largest, e = cohort_exponential_flushed(t);
      part[lane] += e;
      weighted[lane] += e * t;
    }
  for (; j < n; j++) {
    const real t = x[j] - largest, e = cohort_exponential_flushed(t);
    tail += e;
    weighted_tail += e * t;
  }
  if (job->column > 0) { /* what was summed before moves to the new largest */
    const real shift = row->largest - largest, factor = cohort_exponential_flushed(shift);
    row->weighted = factor * (row->weighted + shift * row->exponentials);
    row->exponentials *= factor;
  }
  row->largest = largest;
  row->exponentials += cohort_join_lanes(cohort_load(part)) + tail;
  row->weighted += cohort_join_lanes(cohort_load(weighted)) + weighted_tail;
  row->logits += cohort_row_sum(x, n);
  if (target >= job->column && target < job->column + n) row->target = x[target - job->column];
}

static void store_row(const head_job *job, int64_t r, const row_sums *row) {
  const cohort_call *call = job->call;
  real *log_p = call->output[0].data, *lse = call->output[1].data, *mean = call->output[2].data;
  real *entropy = call->output[3].data;
  const real log_sum = (real)log((double)row->exponentials);
  lse[r] = row->largest + log_sum;
  log_p[r] = row->target - lse[r];
  mean[r] = row->logits / (real)job->vocabulary - lse[r];
  entropy[r] = log_sum - row->weighted / row->exponentials;
}

/* The target of a row, or -1. */
static int64_t target_of(const head_job *job, int64_t r) {
  const int64_t target = ((const int32_t *)job->call->input[2].data)[r];
  return target < job->vocabulary ? target : -1;
}

static void forward_tile(void *argument, int64_t tile) {
  const head_job *job = argument;
  for (int64_t i = tile * job->tile; i < cohort_least(job->count, (tile + 1) * job->tile); i++) {
    const int64_t r = job->first + i, target = target_of(job, r);
    row_sums *row = &job->sums[i];
    if (job->column == 0) *row = (row_sums){.largest = -(real)INFINITY};
    if (target >= 0) {
      add_panel(job, job->logits + i * STEP, target, row);
      if (job->column + job->columns == job->vocabulary) store_row(job, r, row);
    } else if (job->column == 0) {
      for (int output = 0; output < 4; output++) ((real *)job->call->output[output].data)[r] = 0;
    }
  }
}

/* The logits of a row become their gradient. */
static void backward_row(const head_job *job, int64_t r, real *restrict x) {
  const cohort_call *call = job->call;
  const int64_t n = job->columns, target = target_of(job, r);
  if (target < 0) {
    memset(x, 0, (size_t)n * sizeof *x);
    return;
  }
  const real lse = ((const real *)call->input[3].data)[r], entropy = ((const real *)call->input[4].data)[r];
  const real d_log_p = ((const real *)call->input[5].data)[r], d_mean = ((const real *)call->input[6].data)[r];
  const real d_entropy = ((const real *)call->input[7].data)[r];
  const real pull = d_log_p + d_mean, share = d_mean / (real)job->vocabulary;
  if (d_entropy == 0)
    for (int64_t j = 0; j < n; j++) x[j] = share - pull * cohort_exponential_flushed(x[j] - lse);
  else
    for (int64_t j = 0; j < n; j++) {
      const real log_p = x[j] - lse, p = cohort_exponential_flushed(log_p);
      x[j] = share - p * (pull + d_entropy * (log_p + entropy));
    }
  if (target >= job->column && target < job->column + n) x[target - job->column] += d_log_p;
}

static void backward_tile(void *argument, int64_t tile) {
  const head_job *job = argument;
  for (int64_t i = tile * job->tile; i < cohort_least(job->count, (tile + 1) * job->tile); i++)
    backward_row(job, job->first + i, job->logits + i * STEP);
}

static void run_panels(head_job *job, cohort_tile_function tile, void (*then)(const head_job *job)) {
  for (job->first = 0; job->first < job->rows; job->first += job->chunk) {
    job->count = cohort_least(job->chunk, job->rows - job->first);
    for (job->column = 0; job->column < job->vocabulary; job->column += PANEL) {
      job->columns = cohort_least(PANEL, job->vocabulary - job->column);
      make_logits(job);
      cohort_tiles_run(job->call, cohort_ceil_divide(job->count, job->tile), tile, job);
      if (then) then(job);
    }
  }
}

/* From a panel's gradient: its share of dx, and its rows of dweight where that is wanted. */
static void multiply_back(const head_job *job) {
  const cohort_call *call = job->call;
  const int64_t x = job->first * job->width, weight = job->column * job->width;
  COHORT_VARIED(cohort_product)
  (call->team, 0, 0, job->count, job->width, job->columns, 1, job->logits, STEP,
   (const real *)call->input[1].data + weight, job->width, job->column == 0 ? 0 : 1, (real *)call->output[0].data + x,
   job->width);
  if (call->outputs < 2) return;
  COHORT_VARIED(cohort_product)
  (call->team, 1, 0, job->columns, job->width, job->count, 1, job->logits, STEP, (const real *)call->input[0].data + x,
   job->width, job->first == 0 ? 0 : 1, (real *)call->output[1].data + weight, job->width);
}

void COHORT_VARIED(cohort_kernel_vocabulary_head)(const cohort_call *call) {
  head_job job = describe(call);
  run_panels(&job, forward_tile, NULL);
}

void COHORT_VARIED(cohort_kernel_vocabulary_head_backward)(const cohort_call *call) {
  head_job job = describe(call);
  run_panels(&job, backward_tile, multiply_back);
}

size_t COHORT_VARIED(cohort_workspace_vocabulary_head)(const cohort_call *call) {
  const head_job job = describe(call);
  return cohort_workspace_reals(job.chunk * STEP + job.chunk * (int64_t)(sizeof(row_sums) / sizeof(real)));
}

size_t COHORT_VARIED(cohort_workspace_vocabulary_head_backward)(const cohort_call *call) {
  return cohort_workspace_reals(describe(call).chunk * STEP);
}
