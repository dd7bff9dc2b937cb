/* Group norm (Wu and He, 2018) of images [N, H, W, C] and its derivative. A tile is one image; sums run over pixels per
 * channel, in blocks, and are then joined over the channels of a group. Where channels are few, a row of the loops is
 * several pixels ("a fold"), so that it fills vectors: a channel's sums are then joined over the fold. */
#include <stdbool.h>
#include <string.h>

#include "kernel/function_real.h"
#include "kernel/row_real.h"

enum { PIXELS = 64, SCRATCH = 8, JOIN_CHANNELS = 512, SHORTEST_ROW = 64 };

typedef struct group_work {
  const real *x, *gain, *bias, *mean, *rstd, *dy, *added;
  real *y, *mean_out, *rstd_out, *dgain, *dbias, *scratch; /* scratch [N][SCRATCH][fold C] */
  int64_t images, pixels, channels, groups, fold;
  int64_t rows, width; /* pixels / fold, fold channels */
  double epsilon;
  bool relu;   /* y = relu(norm + added, where there is one) */
  bool begins; /* sums over images begin here */
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
                     .epsilon = call->attributes.reals[0],
                     .begins = cohort_call_begins(call)};
  work.pixels = cohort_shape_rows(shape) / cohort_most(1, work.images);
  work.fold = 1;
  while (work.fold * work.channels < SHORTEST_ROW && work.pixels % (2 * work.fold) == 0 && work.pixels > 0)
    work.fold *= 2;
  work.rows = work.pixels / work.fold;
  work.width = work.fold * work.channels;
  return work;
}

static size_t workspace(const cohort_call *call) {
  const group_work work = work_of(call);
  return cohort_workspace_reals(work.images * SCRATCH * work.width);
}

static void zero(real *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) x[i] = 0;
}

static void add_to(real *restrict sum, const real *part, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) sum[i] += part[i];
}

/* Joins a row of sums over the fold, into every part of it. */
static void join_fold(const group_work *work, real *sum) {
  const int64_t n = work->channels;
  for (int64_t k = 1; k < work->fold; k++) add_to(sum, sum + k * n, n);
  for (int64_t k = 1; k < work->fold; k++) memcpy(sum + k * n, sum, (size_t)n * sizeof *sum);
}

/* So many neighbouring channels are taken through all rows in registers, where a row has whole runs of them. */
enum { RUN = 4, RUN_CHANNELS = RUN * COHORT_LANES };

#define EACH_OF_RUN _Pragma("GCC unroll 4") for (int v = 0; v < RUN; v++)

static inline cohort_simd minus(cohort_simd a, cohort_simd b) {
  COHORT_EACH_REGISTER a.part[i] -= b.part[i];
  return a;
}

static inline cohort_simd positive(cohort_simd a) {
  typedef __typeof__(a.part[0] > 0) mask;
  COHORT_EACH_REGISTER a.part[i] = (cohort_register)((a.part[i] > 0) & (mask)a.part[i]);
  return a;
}

/* As channel_sums, of one run of channels; rows are n apart. */
static inline void run_sums(const group_work *work, const real *x, const real *centre, int power, real *sum) {
  cohort_simd middle[RUN] = {0}, all[RUN] = {0};
  if (power != 1) {
    EACH_OF_RUN middle[v] = cohort_load(centre + v * COHORT_LANES);
  }
  for (int64_t first = 0; first < work->rows; first += PIXELS) {
    cohort_simd part[RUN] = {0};
    const int64_t last = cohort_least(first + PIXELS, work->rows);
    for (int64_t row = first; row < last; row++) EACH_OF_RUN {
        const cohort_simd value = cohort_load(x + row * work->width + v * COHORT_LANES);
        const cohort_simd off = power == 1 ? value : minus(value, middle[v]);
        part[v] = power == 1 ? cohort_plus(part[v], off) : cohort_plus_product(part[v], off, off);
      }
    EACH_OF_RUN all[v] = cohort_plus(all[v], part[v]);
  }
  EACH_OF_RUN cohort_store(sum + v * COHORT_LANES, all[v]);
}

/* sum[c] over pixels of (x - centre[c])^power, power 1 or 2. */
static void channel_sums(const group_work *work, const real *x, const real *centre, int power, real *restrict sum,
                         real *restrict part) {
  const int64_t n = work->width;
  if (n % RUN_CHANNELS == 0) {
    for (int64_t c = 0; c < n; c += RUN_CHANNELS) {
      if (power == 1)
        run_sums(work, x + c, centre, 1, sum + c);
      else
        run_sums(work, x + c, centre + c, 2, sum + c);
    }
    join_fold(work, sum);
    return;
  }
  zero(sum, n);
  for (int64_t first = 0; first < work->rows; first += PIXELS) {
    const int64_t last = cohort_least(first + PIXELS, work->rows);
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
  join_fold(work, sum);
}

/* Writes one row of channels over the others of the fold. */
static void spread_fold(const group_work *work, real *value) {
  for (int64_t k = 1; k < work->fold; k++)
    memcpy(value + k * work->channels, value, (size_t)work->channels * sizeof *value);
}

/* Writes the sum of each group's values into all its channels. */
static void spread_groups(const group_work *work, const real *value, real *out) {
  const int64_t width = work->channels / work->groups;
  for (int64_t group = 0; group < work->groups; group++) {
    const real sum = cohort_row_sum(value + group * width, width);
    for (int64_t c = group * width; c < (group + 1) * width; c++) out[c] = sum;
  }
}

typedef struct scaling {
  const real *mean, *scale, *shift; /* rows of channels */
} scaling;

/* y = (x - mean) scale + shift over a run of channels, and what follows it: constants where this is inlined. */
static inline __attribute__((always_inline)) void scale_run(const group_work *work, const real *x, scaling of,
                                                            bool relu, const real *added, real *y) {
  cohort_simd middle[RUN], factor[RUN], shift[RUN];
  EACH_OF_RUN {
    middle[v] = cohort_load(of.mean + v * COHORT_LANES);
    factor[v] = cohort_load(of.scale + v * COHORT_LANES);
    shift[v] = cohort_load(of.shift + v * COHORT_LANES);
  }
  for (int64_t row = 0; row < work->rows; row++) EACH_OF_RUN {
      const int64_t at = row * work->width + v * COHORT_LANES;
      cohort_simd value = cohort_plus_product(shift[v], minus(cohort_load(x + at), middle[v]), factor[v]);
      if (added) value = cohort_plus(value, cohort_load(added + at));
      cohort_store(y + at, relu ? positive(value) : value);
    }
}

/* The same of one row of any length. */
static void scale_row(const group_work *work, const real *restrict x, scaling of, const real *restrict added,
                      real *restrict y) {
  for (int64_t c = 0; c < work->width; c++) {
    real value = (x[c] - of.mean[c]) * of.scale[c] + of.shift[c];
    if (added) value += added[c];
    y[c] = !work->relu || value > 0 ? value : 0;
  }
}

static void scale_image(const group_work *work, const real *x, scaling of, const real *added, real *y) {
  if (work->width % RUN_CHANNELS != 0) {
    for (int64_t i = 0; i < work->rows * work->width; i += work->width)
      scale_row(work, x + i, of, added ? added + i : NULL, y + i);
    return;
  }
  for (int64_t c = 0; c < work->width; c += RUN_CHANNELS) {
    const scaling run = {of.mean + c, of.scale + c, of.shift + c};
    if (added)
      scale_run(work, x + c, run, true, added + c, y + c);
    else if (work->relu)
      scale_run(work, x + c, run, true, NULL, y + c);
    else
      scale_run(work, x + c, run, false, NULL, y + c);
  }
}

static void forward_tile(void *argument, int64_t image) {
  const group_work *work = argument;
  const int64_t n = work->channels, wide = work->width, width = n / work->groups, size = work->pixels * n;
  const real *x = work->x + image * size;
  real *restrict y = work->y + image * size;
  real *sum = work->scratch + image * SCRATCH * wide, *part = sum + wide, *mean = part + wide, *scale = mean + wide;
  real *shift = scale + wide;
  const real count = (real)(width * work->pixels);
  channel_sums(work, x, NULL, 1, sum, part);
  spread_groups(work, sum, mean);
  for (int64_t c = 0; c < n; c++) mean[c] /= count;
  spread_fold(work, mean);
  channel_sums(work, x, mean, 2, sum, part);
  spread_groups(work, sum, scale);
  for (int64_t c = 0; c < n; c++) {
    scale[c] = (real)(1 / sqrt((double)(scale[c] / count) + work->epsilon));
    if (c % width == 0) {
      work->mean_out[image * work->groups + c / width] = mean[c];
      work->rstd_out[image * work->groups + c / width] = scale[c];
    }
    scale[c] *= work->gain[c];
    shift[c] = work->bias[c];
  }
  spread_fold(work, scale);
  spread_fold(work, shift);
  scale_image(work, x, (scaling){mean, scale, shift}, work->added ? work->added + image * size : NULL, y);
}

void COHORT_VARIED(cohort_kernel_group_norm)(const cohort_call *call) {
  group_work work = work_of(call);
  work.bias = call->input[2].data;
  work.relu = call->attributes.integers[1] != 0;
  work.added = call->inputs == 4 ? call->input[3].data : NULL;
  work.mean_out = call->output[1].data;
  work.rstd_out = call->output[2].data;
  cohort_tiles_run(call, work.images, forward_tile, &work);
}

size_t COHORT_VARIED(cohort_workspace_group_norm)(const cohort_call *call) { return workspace(call); }

/* As gradient_sums, of one run of channels. */
static void run_gradient_sums(const group_work *work, const real *x, const real *dy, const real *mean, const real *rstd,
                              real *dgain, real *dbias) {
  cohort_simd middle[RUN], factor[RUN], gain[RUN] = {0}, bias[RUN] = {0};
  EACH_OF_RUN {
    middle[v] = cohort_load(mean + v * COHORT_LANES);
    factor[v] = cohort_load(rstd + v * COHORT_LANES);
  }
  for (int64_t first = 0; first < work->rows; first += PIXELS) {
    cohort_simd part[RUN] = {0}, part_bias[RUN] = {0};
    const int64_t last = cohort_least(first + PIXELS, work->rows);
    for (int64_t row = first; row < last; row++) EACH_OF_RUN {
        const int64_t at = row * work->width + v * COHORT_LANES;
        const cohort_simd given = cohort_load(dy + at);
        const cohort_simd normal = cohort_times(minus(cohort_load(x + at), middle[v]), factor[v]);
        part[v] = cohort_plus_product(part[v], given, normal);
        part_bias[v] = cohort_plus(part_bias[v], given);
      }
    EACH_OF_RUN {
      gain[v] = cohort_plus(gain[v], part[v]);
      bias[v] = cohort_plus(bias[v], part_bias[v]);
    }
  }
  EACH_OF_RUN {
    cohort_store(dgain + v * COHORT_LANES, gain[v]);
    cohort_store(dbias + v * COHORT_LANES, bias[v]);
  }
}

/* dgain[c] and dbias[c] of one image: sums over pixels of dy xhat and dy. `part` holds 2 rows. */
static void gradient_sums(const group_work *work, const real *x, const real *dy, const real *mean, const real *rstd,
                          real *restrict dgain, real *restrict dbias, real *restrict part) {
  const int64_t n = work->width;
  real *restrict part_bias = part + n;
  if (n % RUN_CHANNELS == 0) {
    for (int64_t c = 0; c < n; c += RUN_CHANNELS)
      run_gradient_sums(work, x + c, dy + c, mean + c, rstd + c, dgain + c, dbias + c);
    join_fold(work, dgain);
    join_fold(work, dbias);
    return;
  }
  zero(dgain, n);
  zero(dbias, n);
  for (int64_t first = 0; first < work->rows; first += PIXELS) {
    const int64_t last = cohort_least(first + PIXELS, work->rows);
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
  join_fold(work, dgain);
  join_fold(work, dbias);
}

/* What a run's gradient is made of, a row of each. */
typedef struct run_terms {
  const real *mean, *rstd, *slope, *plain, *weighted;
} run_terms;

/* dx = rstd (slope dy - plain - normal weighted) over a run of channels. */
static void gradient_run(const group_work *work, const real *x, const real *dy, run_terms of, real *dx) {
  cohort_simd mean[RUN], rstd[RUN], slope[RUN], plain[RUN], weighted[RUN];
  EACH_OF_RUN {
    mean[v] = cohort_load(of.mean + v * COHORT_LANES);
    rstd[v] = cohort_load(of.rstd + v * COHORT_LANES);
    slope[v] = cohort_load(of.slope + v * COHORT_LANES);
    plain[v] = cohort_load(of.plain + v * COHORT_LANES);
    weighted[v] = cohort_load(of.weighted + v * COHORT_LANES);
  }
  for (int64_t row = 0; row < work->rows; row++) EACH_OF_RUN {
      const int64_t at = row * work->width + v * COHORT_LANES;
      const cohort_simd normal = cohort_times(minus(cohort_load(x + at), mean[v]), rstd[v]);
      const cohort_simd straight = minus(cohort_times(slope[v], cohort_load(dy + at)), plain[v]);
      cohort_store(dx + at, cohort_times(rstd[v], minus(straight, cohort_times(normal, weighted[v]))));
    }
}

static void backward_tile(void *argument, int64_t image) {
  const group_work *work = argument;
  const int64_t n = work->channels, wide = work->width, width = n / work->groups, size = work->pixels * n;
  const real *x = work->x + image * size, *dy = work->dy + image * size, *gain = work->gain;
  real *restrict dx = work->y + image * size;
  real *dgain = work->scratch + image * SCRATCH * wide, *dbias = dgain + wide;
  real *mean = dbias + wide, *rstd = mean + wide, *plain = rstd + wide, *weighted = plain + wide,
       *slope = weighted + wide;
  for (int64_t c = 0; c < n; c++) {
    mean[c] = work->mean[image * work->groups + c / width];
    rstd[c] = work->rstd[image * work->groups + c / width];
    slope[c] = gain[c];
  }
  spread_fold(work, mean);
  spread_fold(work, rstd);
  spread_fold(work, slope);
  gradient_sums(work, x, dy, mean, rstd, dgain, dbias, plain);
  const real share = 1 / (real)(width * work->pixels);
  for (int64_t c = 0; c < n; c++) {
    plain[c] = gain[c] * dbias[c] * share;
    weighted[c] = gain[c] * dgain[c] * share;
  }
  spread_groups(work, plain, plain);
  spread_groups(work, weighted, weighted);
  spread_fold(work, plain);
  spread_fold(work, weighted);
  if (wide % RUN_CHANNELS == 0) {
    for (int64_t c = 0; c < wide; c += RUN_CHANNELS)
      gradient_run(work, x + c, dy + c, (run_terms){mean + c, rstd + c, slope + c, plain + c, weighted + c}, dx + c);
    return;
  }
  for (int64_t pixel = 0; pixel < work->rows; pixel++) {
    const real *row = x + pixel * wide, *given = dy + pixel * wide;
#pragma omp simd
    for (int64_t c = 0; c < wide; c++) {
      const real normal = (row[c] - mean[c]) * rstd[c];
      dx[pixel * wide + c] = rstd[c] * (slope[c] * given[c] - plain[c] - normal * weighted[c]);
    }
  }
}

static void join_tile(void *argument, int64_t tile) {
  const group_work *work = argument;
  const int64_t first = tile * JOIN_CHANNELS, count = cohort_least(JOIN_CHANNELS, work->channels - first);
  if (work->begins) {
    zero(work->dgain + first, count);
    zero(work->dbias + first, count);
  }
  for (int64_t image = 0; image < work->images; image++) {
    const real *sums = work->scratch + image * SCRATCH * work->width + first;
    add_to(work->dgain + first, sums, count);
    add_to(work->dbias + first, sums + work->width, count);
  }
}

void COHORT_VARIED(cohort_kernel_group_norm_backward)(const cohort_call *call) {
  group_work work = work_of(call);
  work.mean = call->input[2].data;
  work.rstd = call->input[3].data;
  work.dy = call->input[4].data;
  work.dgain = call->output[1].data;
  work.dbias = call->output[2].data;
  cohort_tiles_run(call, work.images, backward_tile, &work);
  cohort_tiles_run(call, cohort_ceil_divide(work.channels, JOIN_CHANNELS), join_tile, &work);
}

size_t COHORT_VARIED(cohort_workspace_group_norm_backward)(const cohort_call *call) { return workspace(call); }
