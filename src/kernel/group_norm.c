/* Group norm (Wu and He, 2018) of images [N, H, W, C] and its derivative. A tile is one image; sums run over pixels per
 * channel, in blocks, and are then joined over the channels of a group. */
#include "kernel/function_real.h"
#include "kernel/row_real.h"

enum { PIXELS = 64, SCRATCH = 6, JOIN_CHANNELS = 512 };

typedef struct group_work {
  const real *x, *gain, *bias, *mean, *rstd, *dy;
  real *y, *mean_out, *rstd_out, *dgain, *dbias, *scratch; /* scratch [N][SCRATCH][C] */
  int64_t images, pixels, channels, groups;
  double epsilon;
} group_work;

static group_work work_of(const cohort_call *call) {
  const cohort_shape shape = call->input[0].shape;
  group_work work = {.x = call->input[0].data,
                     .gain = call->input[1].data,
                     .y = call->output[0].data,
                     .scratch = call->workspace,
                     .images = shape.size[0],
                     .channels = cohort_shape_columns(shape),
                     .groups = call->attributes.integers[0],
                     .epsilon = call->attributes.reals[0]};
  work.pixels = cohort_shape_rows(shape) / cohort_most(1, work.images);
  return work;
}

static size_t workspace(const cohort_call *call) {
  const cohort_shape shape = call->input[0].shape;
  return cohort_workspace_reals(shape.size[0] * SCRATCH * cohort_shape_columns(shape));
}

static void zero(real *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) x[i] = 0;
}

static void add_to(real *restrict sum, const real *part, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) sum[i] += part[i];
}

/* sum[c] over pixels of (x - centre[c])^power, power 1 or 2. */
static void channel_sums(const group_work *work, const real *x, const real *centre, int power, real *restrict sum,
                         real *restrict part) {
  const int64_t n = work->channels;
  zero(sum, n);
  for (int64_t first = 0; first < work->pixels; first += PIXELS) {
    const int64_t last = cohort_least(first + PIXELS, work->pixels);
    zero(part, n);
    for (int64_t pixel = first; pixel < last; pixel++) {
      const real *row = x + pixel * n;
      if (power == 1) {
        add_to(part, row, n);
      } else {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) part[c] += (row[c] - centre[c]) * (row[c] - centre[c]);
      }
    }
    add_to(sum, part, n);
  }
}

/* Writes the sum of each group's values into all its channels. */
static void spread_groups(const group_work *work, const real *value, real *out) {
  const int64_t width = work->channels / work->groups;
  for (int64_t group = 0; group < work->groups; group++) {
    const real sum = cohort_row_sum(value + group * width, width);
    for (int64_t c = group * width; c < (group + 1) * width; c++) out[c] = sum;
  }
}

static void forward_tile(void *argument, int64_t image) {
  const group_work *work = argument;
  const int64_t n = work->channels, width = n / work->groups, size = work->pixels * n;
  const real *x = work->x + image * size;
  real *restrict y = work->y + image * size;
  real *sum = work->scratch + image * SCRATCH * n, *part = sum + n, *mean = part + n, *scale = mean + n;
  const real count = (real)(width * work->pixels);
  channel_sums(work, x, NULL, 1, sum, part);
  spread_groups(work, sum, mean);
  for (int64_t c = 0; c < n; c++) mean[c] /= count;
  channel_sums(work, x, mean, 2, sum, part);
  spread_groups(work, sum, scale);
  for (int64_t c = 0; c < n; c++) {
    scale[c] = (real)(1 / sqrt((double)(scale[c] / count) + work->epsilon));
    if (c % width == 0) {
      work->mean_out[image * work->groups + c / width] = mean[c];
      work->rstd_out[image * work->groups + c / width] = scale[c];
    }
    scale[c] *= work->gain[c];
  }
  const real *bias = work->bias;
  for (int64_t pixel = 0; pixel < work->pixels; pixel++) {
#pragma omp simd
    for (int64_t c = 0; c < n; c++) y[pixel * n + c] = (x[pixel * n + c] - mean[c]) * scale[c] + bias[c];
  }
}

void COHORT_VARIED(cohort_run_group_norm)(const cohort_call *call) {
  group_work work = work_of(call);
  work.bias = call->input[2].data;
  work.mean_out = call->output[1].data;
  work.rstd_out = call->output[2].data;
  cohort_run_tiles(call, work.images, forward_tile, &work);
}

size_t COHORT_VARIED(cohort_workspace_group_norm)(const cohort_call *call) { return workspace(call); }

/* dgain[c] and dbias[c] of one image: sums over pixels of dy xhat and dy. `part` holds 2 rows. */
static void gradient_sums(const group_work *work, const real *x, const real *dy, const real *mean, const real *rstd,
                          real *restrict dgain, real *restrict dbias, real *restrict part) {
  const int64_t n = work->channels;
  real *restrict part_bias = part + n;
  zero(dgain, n);
  zero(dbias, n);
  for (int64_t first = 0; first < work->pixels; first += PIXELS) {
    const int64_t last = cohort_least(first + PIXELS, work->pixels);
    zero(part, 2 * n);
    for (int64_t pixel = first; pixel < last; pixel++) {
      const real *row = x + pixel * n, *given = dy + pixel * n;
#pragma omp simd
      for (int64_t c = 0; c < n; c++) {
        part[c] += given[c] * ((row[c] - mean[c]) * rstd[c]);
        part_bias[c] += given[c];
      }
    }
    add_to(dgain, part, n);
    add_to(dbias, part_bias, n);
  }
}

static void backward_tile(void *argument, int64_t image) {
  const group_work *work = argument;
  const int64_t n = work->channels, width = n / work->groups, size = work->pixels * n;
  const real *x = work->x + image * size, *dy = work->dy + image * size, *gain = work->gain;
  real *restrict dx = work->y + image * size;
  real *dgain = work->scratch + image * SCRATCH * n, *dbias = dgain + n;
  real *mean = dbias + n, *rstd = mean + n, *plain = rstd + n, *weighted = plain + n;
  for (int64_t c = 0; c < n; c++) {
    mean[c] = work->mean[image * work->groups + c / width];
    rstd[c] = work->rstd[image * work->groups + c / width];
  }
  gradient_sums(work, x, dy, mean, rstd, dgain, dbias, plain);
  const real share = 1 / (real)(width * work->pixels);
  for (int64_t c = 0; c < n; c++) {
    plain[c] = gain[c] * dbias[c] * share;
    weighted[c] = gain[c] * dgain[c] * share;
  }
  spread_groups(work, plain, plain);
  spread_groups(work, weighted, weighted);
  for (int64_t pixel = 0; pixel < work->pixels; pixel++) {
    const real *row = x + pixel * n, *given = dy + pixel * n;
#pragma omp simd
    for (int64_t c = 0; c < n; c++) {
      const real normal = (row[c] - mean[c]) * rstd[c];
      dx[pixel * n + c] = rstd[c] * (gain[c] * given[c] - plain[c] - normal * weighted[c]);
    }
  }
}

static void join_tile(void *argument, int64_t tile) {
  const group_work *work = argument;
  const int64_t first = tile * JOIN_CHANNELS, count = cohort_least(JOIN_CHANNELS, work->channels - first);
  zero(work->dgain + first, count);
  zero(work->dbias + first, count);
  for (int64_t image = 0; image < work->images; image++) {
    const real *sums = work->scratch + image * SCRATCH * work->channels + first;
    add_to(work->dgain + first, sums, count);
    add_to(work->dbias + first, sums + work->channels, count);
  }
}

void COHORT_VARIED(cohort_run_group_norm_backward)(const cohort_call *call) {
  group_work work = work_of(call);
  work.mean = call->input[2].data;
  work.rstd = call->input[3].data;
  work.dy = call->input[4].data;
  work.dgain = call->output[1].data;
  work.dbias = call->output[2].data;
  cohort_run_tiles(call, work.images, backward_tile, &work);
  cohort_run_tiles(call, cohort_ceil_divide(work.channels, JOIN_CHANNELS), join_tile, &work);
}

size_t COHORT_VARIED(cohort_workspace_group_norm_backward)(const cohort_call *call) { return workspace(call); }
