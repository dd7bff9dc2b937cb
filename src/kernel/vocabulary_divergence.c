/* KL divergence of two models' distributions over the vocabulary, row by row: the logits of both by panels, as the
 * vocabulary head makes them, so that no [rows, vocabulary] table stands in memory. Two equal models give exactly 0.
 * Costs the products of both heads; backward both again and the gradients of one. */
#include <string.h>

#include "base/real.h"
#include "kernel/function_real.h"
#include "kernel/kernel.h"
#include "kernel/product/product_real.h"
#include "kernel/row_real.h"

void COHORT_VARIED(cohort_kernel_vocabulary_divergence)(const cohort_call *call);
void COHORT_VARIED(cohort_kernel_vocabulary_divergence_backward)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_vocabulary_divergence)(const cohort_call *call);
size_t COHORT_VARIED(cohort_workspace_vocabulary_divergence_backward)(const cohort_call *call);

/* As the head's. */
enum { PANEL = 1024, STEP = PANEL + 16, MOST_ROWS = 4096 };

/* Of a row and the panels so far: both largest logits, sums of e^(z - largest), e^(r - largest), and of the latter
 * times r - z; z are x's logits, r the others'. */
typedef struct row_sums {
  real largest, others_largest, exponentials, others, weighted;
} row_sums;

typedef struct divergence_job {
  const cohort_call *call;
  int64_t rows, vocabulary;
  int64_t chunk, first, count; /* rows at a time; of the current chunk */
  int64_t column, columns;     /* of the current panel */
  int64_t tile;                /* rows */
  real *logits, *others;       /* [chunk, STEP] */
  row_sums *sums;              /* [chunk], forward */
} divergence_job;

static divergence_job describe(const cohort_call *call) {
  divergence_job job = {.call = call};
  job.rows = cohort_shape_rows(call->input[0].shape);
  job.vocabulary = call->input[1].shape.size[0];
  job.chunk = cohort_least(job.rows, MOST_ROWS);
  job.tile = cohort_tile_rows(cohort_least(PANEL, job.vocabulary));
  job.logits = call->workspace;
  job.others = job.logits + job.chunk * STEP;
  job.sums = (row_sums *)(job.others + job.chunk * STEP);
  return job;
}

static void make_logits(const divergence_job *job, int input, real *logits) {
  const int64_t width = cohort_shape_columns(job->call->input[input].shape);
  const real *x = (const real *)job->call->input[input].data + job->first * width;
  const real *weight = (const real *)job->call->input[input + 1].data + job->column * width;
  COHORT_VARIED(cohort_product)
  (job->call->team, 0, 1, job->count, job->columns, width, 1, x, width, weight, width, 0, logits, STEP);
}

/* Sums of a panel's row, a lane each, then the tail. */
static void add_panel(const divergence_job *job, const real *z, const real *r, row_sums *row) {
  const int64_t n = job->columns;
  const real highest = cohort_row_max(z, n), others_highest = cohort_row_max(r, n);
  const real largest = highest > row->largest ? highest : row->largest;
  const real others_largest = others_highest > row->others_largest ? others_highest : row->others_largest;
  real part[COHORT_LANES] = {0}, others[COHORT_LANES] = {0}, weighted[COHORT_LANES] = {0};
  int64_t j = 0;
  for (; j + COHORT_LANES <= n; j += COHORT_LANES)
    for (int lane = 0; lane < COHORT_LANES; lane++) {
      const real e = cohort_exponential_flushed(r[j + lane] - others_largest);
      part[lane] += cohort_exponential_flushed(z[j + lane] - largest);
      others[lane] += e;
      weighted[lane] += e * (r[j + lane] - z[j + lane]);
    }
  for (int lane = 0; j < n; j++, lane++) {
    const real e = cohort_exponential_flushed(r[j] - others_largest);
    part[lane] += cohort_exponential_flushed(z[j] - largest);
    others[lane] += e;
    weighted[lane] += e * (r[j] - z[j]);
  }
  if (job->column > 0) { /* what was summed before moves to the new largest */
    const real factor = cohort_exponential_flushed(row->others_largest - others_largest);
    row->exponentials *= cohort_exponential_flushed(row->largest - largest);
    row->others *= factor;
    row->weighted *= factor;
  }
  row->largest = largest;
  row->others_largest = others_largest;
  row->exponentials += cohort_join_lanes(cohort_load(part));
  row->others += cohort_join_lanes(cohort_load(others));
  row->weighted += cohort_join_lanes(cohort_load(weighted));
}

static void store_row(const divergence_job *job, int64_t r, const row_sums *row) {
  real *kl = job->call->output[0].data, *sum = job->call->output[1].data, *others = job->call->output[2].data;
  sum[r] = row->largest + (real)log((double)row->exponentials);
  others[r] = row->others_largest + (real)log((double)row->others);
  kl[r] = row->weighted / row->others + (sum[r] - others[r]);
}

static void forward_tile(void *argument, int64_t tile) {
  const divergence_job *job = argument;
  for (int64_t i = tile * job->tile; i < cohort_least(job->count, (tile + 1) * job->tile); i++) {
    row_sums *row = &job->sums[i];
    if (job->column == 0) *row = (row_sums){.largest = -(real)INFINITY, .others_largest = -(real)INFINITY};
    add_panel(job, job->logits + i * STEP, job->others + i * STEP, row);
    if (job->column + job->columns == job->vocabulary) store_row(job, job->first + i, row);
  }
}

/* x's logits become their gradient: dkl (p - q), q the others' distribution. */
static void backward_tile(void *argument, int64_t tile) {
  const divergence_job *job = argument;
  const real *sum = job->call->input[4].data, *others = job->call->input[5].data, *dkl = job->call->input[6].data;
  for (int64_t i = tile * job->tile; i < cohort_least(job->count, (tile + 1) * job->tile); i++) {
    const int64_t row = job->first + i;
    real *restrict z = job->logits + i * STEP;
    const real *restrict r = job->others + i * STEP;
    for (int64_t j = 0; j < job->columns; j++)
      z[j] = dkl[row] * (cohort_exponential_flushed(z[j] - sum[row]) - cohort_exponential_flushed(r[j] - others[row]));
  }
}

/* From a panel's gradient: its share of dx, and its rows of dweight where that is wanted. */
static void multiply_back(const divergence_job *job) {
  const cohort_call *call = job->call;
  const int64_t width = cohort_shape_columns(call->input[0].shape);
  const int64_t x = job->first * width, weight = job->column * width;
  COHORT_VARIED(cohort_product)
  (call->team, 0, 0, job->count, width, job->columns, 1, job->logits, STEP, (const real *)call->input[1].data + weight,
   width, job->column == 0 ? 0 : 1, (real *)call->output[0].data + x, width);
  if (call->outputs < 2) return;
  COHORT_VARIED(cohort_product)
  (call->team, 1, 0, job->columns, width, job->count, 1, job->logits, STEP, (const real *)call->input[0].data + x,
   width, job->first == 0 ? 0 : 1, (real *)call->output[1].data + weight, width);
}

static void run_panels(divergence_job *job, cohort_tile_function tile, void (*then)(const divergence_job *job)) {
  for (job->first = 0; job->first < job->rows; job->first += job->chunk) {
    job->count = cohort_least(job->chunk, job->rows - job->first);
    for (job->column = 0; job->column < job->vocabulary; job->column += PANEL) {
      job->columns = cohort_least(PANEL, job->vocabulary - job->column);
      make_logits(job, 0, job->logits);
      make_logits(job, 2, job->others);
      cohort_tiles_run(job->call, cohort_ceil_divide(job->count, job->tile), tile, job);
      if (then) then(job);
    }
  }
}

void COHORT_VARIED(cohort_kernel_vocabulary_divergence)(const cohort_call *call) {
  divergence_job job = describe(call);
  run_panels(&job, forward_tile, NULL);
}

void COHORT_VARIED(cohort_kernel_vocabulary_divergence_backward)(const cohort_call *call) {
  divergence_job job = describe(call);
  run_panels(&job, backward_tile, multiply_back);
}

size_t COHORT_VARIED(cohort_workspace_vocabulary_divergence)(const cohort_call *call) {
  const divergence_job job = describe(call);
  return cohort_workspace_reals(2 * job.chunk * STEP + job.chunk * (int64_t)(sizeof(row_sums) / sizeof(real)));
}

size_t COHORT_VARIED(cohort_workspace_vocabulary_divergence_backward)(const cohort_call *call) {
  return cohort_workspace_reals(2 * describe(call).chunk * STEP);
}
