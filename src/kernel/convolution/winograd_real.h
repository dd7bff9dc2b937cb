/* Winograd's algorithm: the tiles of an image and their values at the points, for convolution_winograd.c (outputs, and
 * gradients of inputs) and convolution_winograd_weight.c (gradients of weights). The algorithm and its sources stand in
 * convolution_winograd.c. */
#ifndef COHORT_KERNEL_CONVOLUTION_WINOGRAD_REAL_H
#define COHORT_KERNEL_CONVOLUTION_WINOGRAD_REAL_H

#include "kernel/convolution/convolution_real.h"
#include "kernel/row_real.h"

enum { LANES = COHORT_REGISTER_LANES, OUT = 4, IN = 6, POINTS = IN * IN, BLOCK = 16, MOST_CUTS = 8, CUT_TILES = 128 };
enum { WEIGHT_BLOCK_REALS = 32 * 1024, SPAN = POINTS * LANES, FEWEST = 16 };

/* Rows of a block of products with two vectors of outputs, and with one. */
#if defined(__AVX512F__)
enum { WIDE_ROWS = 8, NARROW_ROWS = 16 };
#elif defined(__AVX2__)
enum { WIDE_ROWS = 4, NARROW_ROWS = 8 };
#else
enum { WIDE_ROWS = 4, NARROW_ROWS = 4 };
#endif

#define ROOT_HALF ((real)0.70710678118654752440)
#define ROOT_TWO ((real)1.41421356237309504880)

typedef cohort_unaligned_register unaligned;

typedef struct six {
  cohort_register at[IN];
} six;

typedef struct winograd {
  const convolution *c;
  const real *x, *weight, *dy;
  real *y;
  real *kernels;               /* [POINTS][C][O] and a gap: the weights at the points */
  real *sums;                  /* [bands][POINTS][C][O] and gaps: of the weight's gradient */
  real *scratch;               /* [bands][band_reals]: zeros, tiles at the points */
  bool rotated;                /* weights are rotated around, in and out exchanged */
  int64_t down, across, tiles; /* tiles of an image, and of all */
  int64_t bands, block;        /* tiles at the points at a time */
  /* A tile at the points is [channels / LANES][POINTS][LANES] long, or so for the outputs. */
  int64_t left_step, right_step;
  int64_t zeros, band_reals;
} winograd;

/* From one point's weights, or their sums, to the next: a power of two would put all into one set of the cache. */
static inline int64_t point_step(const convolution *c) { return c->channels * c->outputs + LANES; }

static inline winograd lay_out(const convolution *c, bool weights) {
  winograd w = {.c = c,
                .down = cohort_ceil_divide(c->out_height, OUT),
                .across = cohort_ceil_divide(c->out_width, OUT),
                .block = BLOCK};
  w.tiles = c->images * w.down * w.across;
  w.bands = cohort_most(1, cohort_least(MOST_CUTS, weights ? w.tiles / CUT_TILES : cohort_ceil_divide(w.tiles, BLOCK)));
  if (weights) w.block = cohort_most(BLOCK, WEIGHT_BLOCK_REALS / (POINTS * (c->channels + c->outputs)));
  w.left_step = c->channels * POINTS;
  w.right_step = c->outputs * POINTS;
  w.zeros = IN * cohort_most(c->channels, c->outputs);
  w.band_reals = w.zeros + w.block * (w.left_step + w.right_step);
  return w;
}

static inline winograd divide(const convolution *c, bool weights) {
  winograd w = lay_out(c, weights);
  w.kernels = w.sums = c->call->workspace;
  w.scratch = w.kernels + POINTS * point_step(c) * (weights ? w.bands : 1);
  return w;
}

/* B' d */
static inline six points_of_inputs(six d) {
  const cohort_register near = d.at[4] - 2 * d.at[2], near_odd = ROOT_HALF * (d.at[3] - 2 * d.at[1]);
  const cohort_register far = d.at[4] - (real)0.5 * d.at[2], far_odd = ROOT_TWO * (d.at[3] - (real)0.5 * d.at[1]);
  return (six){{d.at[0] - (real)2.5 * d.at[2] + d.at[4], near + near_odd, near - near_odd, far + far_odd, far - far_odd,
                d.at[1] - (real)2.5 * d.at[3] + d.at[5]}};
}

typedef six (*axis)(six);

/* Both axes of `from` x `from` values; columns outside [first, last) are zeros. Values of the first column inside are
 * at row[r], those of the next `step` further; point p goes to out[p * stride]. Two rows of points are made at a time:
 * all six would not stay in registers. */
static inline __attribute__((always_inline)) void to_points(axis turn, int from, const real *const row[IN],
                                                            int64_t step, int first, int last, real *out,
                                                            int64_t stride) {
#pragma GCC unroll 3
  for (int pair = 0; pair < IN / 2; pair++) {
    const int one = pair ? 2 * pair - 1 : 0, two = pair ? 2 * pair : IN - 1;
    six half[2] = {0};
#pragma GCC unroll 6
    for (int x = 0; x < from; x++) {
      if (x < first || x >= last) continue;
      six value = {0};
#pragma GCC unroll 6
      for (int r = 0; r < from; r++) value.at[r] = *(const unaligned *)(row[r] + (x - first) * step);
      value = turn(value);
      half[0].at[x] = value.at[one];
      half[1].at[x] = value.at[two];
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      const six value = turn(half[h]);
#pragma GCC unroll 6
      for (int x = 0; x < IN; x++) *(unaligned *)(out + ((h ? two : one) * IN + x) * stride) = value.at[x];
    }
  }
}

typedef struct place {
  int64_t image, y, x; /* of a tile */
} place;

static inline place find_tile(const winograd *w, int64_t tile) {
  return (place){tile / (w->down * w->across), tile / w->across % w->down * OUT, tile % w->across * OUT};
}

static inline place next_tile(const winograd *w, place at) {
  at.x += OUT;
  if (at.x < w->across * OUT) return at;
  at.x = 0;
  at.y += OUT;
  if (at.y < w->down * OUT) return at;
  return (place){at.image + 1, 0, 0};
}

/* As to_points, through all channels. */
static inline __attribute__((always_inline)) void channels_to_points(axis turn, int from, const real *const start[IN],
                                                                     int64_t channels, int first, int last, real *out) {
  const real *row[IN];
  for (int r = 0; r < from; r++) row[r] = start[r];
  for (int64_t c = 0; c < channels; c += LANES, out += SPAN) {
    to_points(turn, from, row, channels, first, last, out, LANES);
    for (int r = 0; r < from; r++) row[r] += LANES;
  }
}

/* A tile's values of an image [height][width][channels] beginning at (y, x), zeros around it, at the points. */
static inline __attribute__((always_inline)) void tile_to_points(axis turn, int from, const real *image, int64_t height,
                                                                 int64_t width, int64_t channels, int64_t y, int64_t x,
                                                                 const real *zeros, real *out) {
  const int first = x < 0 ? (int)-x : 0, last = (int)cohort_least(from, width - x);
  const real *row[IN];
  for (int r = 0; r < from; r++)
    row[r] = y + r < 0 || y + r >= height ? zeros : image + ((y + r) * width + x + first) * channels;
  if (first == 0 && last == from)
    channels_to_points(turn, from, row, channels, 0, from, out);
  else if (first == 1 && last == from)
    channels_to_points(turn, from, row, channels, 1, from, out);
  else if (first == 0 && last == from - 1)
    channels_to_points(turn, from, row, channels, 0, from - 1, out);
  else
    channels_to_points(turn, from, row, channels, first, last, out);
}

/* Tiles of several neighbouring rows are too short for the processor to see what comes next: the part of images
 * [height][width][channels] under tiles [first, first + count) is asked for, a share at each of the points. */
typedef struct ahead {
  const real *from;
  int64_t length, share;
} ahead;

enum { LINE = 64 / sizeof(real) };

static inline ahead look_ahead(const winograd *w, const real *images, int64_t image, int64_t first, int64_t count) {
  const int64_t per_tile = image / (w->down * w->across), from = first * per_tile;
  const int64_t length = cohort_most(0, cohort_least(count * per_tile, w->c->images * image - from));
  return (ahead){images + from, length, cohort_ceil_divide(length, POINTS * LINE) * LINE};
}

static inline __attribute__((always_inline)) void ask_for(ahead what, int64_t point, bool to_write) {
  const int64_t last = cohort_least((point + 1) * what.share, what.length);
  for (int64_t i = point * what.share; i < last; i += LINE) {
    if (to_write)
      __builtin_prefetch(what.from + i, 1, 2);
    else
      __builtin_prefetch(what.from + i, 0, 2);
  }
}

static inline void inputs_to_points(const winograd *w, int64_t first, int64_t count, const real *zeros, real *out) {
  const convolution *c = w->c;
  place at = find_tile(w, first);
  for (int64_t t = 0; t < count; t++, at = next_tile(w, at))
    tile_to_points(points_of_inputs, IN, w->x + at.image * c->height * c->width * c->channels, c->height, c->width,
                   c->channels, at.y - c->padding, at.x - c->padding, zeros, out + t * w->left_step);
}

/* Of one point: tiles' inputs [channels / LANES][.][LANES], left_step apart, times weights [channels][outputs]; the
 * first `vectors` of outputs go to the tiles' outputs, out_step apart. */
typedef struct point_product {
  int64_t channels, outputs, left_step, out_step;
} point_product;

/* The fewest channels, where addresses cost as much as products: the shape as a constant. */
static const point_product fewest = {FEWEST, FEWEST, FEWEST *POINTS, FEWEST *POINTS};

/* Bands that one thread does one after another share their memory, which then stays in the caches. */
static inline real *scratch_of(const winograd *w, int64_t band) {
  return w->scratch + (w->c->call->team->threads == 1 ? 0 : band) * w->band_reals;
}

#endif
