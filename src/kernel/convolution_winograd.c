/* 3x3 convolutions of stride 1 by Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, Fast Algorithms for Convolutional
 * Neural Networks, CVPR 2016; points after Alam et al., 2022): a tile of 4x4 outputs takes 36 products instead of 144.
 *
 * Along one axis 6 inputs d, 3 weights g and 4 outputs y are polynomials evaluated at 0, +-a, +-b and infinity, with
 * a = sqrt(1/2), b = sqrt(2): y = A' ((G g) * (B' d)). With these points the error in float32 is about five times that
 * of a sum in order, some 5e-7 of the result's root mean square. The gradient of the weights is the same with the
 * roles exchanged, F(3x3, 4x4): weights' gradients are the outputs, 4x4 tiles of dy the weights; its last step is taken
 * once, after the sum over tiles. An element's sum runs in the order of channels, or of tiles; both are cut by shape.
 */
#include "kernel/convolution_real.h"
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
  bool turned;                 /* weights are turned around, in and out exchanged */
  int64_t down, across, tiles; /* tiles of an image, and of all */
  int64_t bands, block;        /* tiles at the points at a time */
  /* A tile at the points is [channels / LANES][POINTS][LANES] long, or so for the outputs. */
  int64_t left_step, right_step;
  int64_t zeros, band_reals;
} winograd;

/* From one point's weights, or their sums, to the next: a power of two would put all into one set of the cache. */
static int64_t point_step(const convolution *c) { return c->channels * c->outputs + LANES; }

static winograd lay_out(const convolution *c, bool weights) {
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

static winograd divide(const convolution *c, bool weights) {
  winograd w = lay_out(c, weights);
  w.kernels = w.sums = c->call->workspace;
  w.scratch = w.kernels + POINTS * point_step(c) * (weights ? w.bands : 1);
  return w;
}

size_t COHORT_BASED(cohort_winograd_workspace)(const convolution *c, bool weights) {
  const winograd w = lay_out(c, weights);
  return cohort_workspace_reals(POINTS * point_step(c) * (weights ? w.bands : 1) + w.bands * w.band_reals);
}

/* B' d */
static inline six points_of_inputs(six d) {
  const cohort_register near = d.at[4] - 2 * d.at[2], near_odd = ROOT_HALF * (d.at[3] - 2 * d.at[1]);
  const cohort_register far = d.at[4] - (real)0.5 * d.at[2], far_odd = ROOT_TWO * (d.at[3] - (real)0.5 * d.at[1]);
  return (six){{d.at[0] - (real)2.5 * d.at[2] + d.at[4], near + near_odd, near - near_odd, far + far_odd, far - far_odd,
                d.at[1] - (real)2.5 * d.at[3] + d.at[5]}};
}

/* Four values as a polynomial at the points. */
static inline six points_of_four(six g) {
  const cohort_register near = g.at[0] + (real)0.5 * g.at[2], near_odd = ROOT_HALF * (g.at[1] + (real)0.5 * g.at[3]);
  const cohort_register far = g.at[0] + 2 * g.at[2], far_odd = ROOT_TWO * (g.at[1] + 2 * g.at[3]);
  return (six){{g.at[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, g.at[3]}};
}

/* G g: three values as a polynomial at the points, divided by the products of the points' distances. */
static inline six points_of_kernel(six g) {
  const cohort_register near = (g.at[0] + (real)0.5 * g.at[2]) * (real)(-1 / 1.5), far = (g.at[0] + 2 * g.at[2]) / 6;
  const cohort_register near_odd = g.at[1] * (real)(-0.70710678118654752440 / 1.5);
  const cohort_register far_odd = g.at[1] * (real)(1.41421356237309504880 / 6);
  return (six){{g.at[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, g.at[2]}};
}

/* A' m: four outputs. */
static inline six four_outputs(six m) {
  const cohort_register near = m.at[1] + m.at[2], near_odd = ROOT_HALF * (m.at[1] - m.at[2]);
  const cohort_register far = m.at[3] + m.at[4], far_odd = ROOT_TWO * (m.at[3] - m.at[4]);
  return (six){{m.at[0] + near + far, near_odd + far_odd, (real)0.5 * near + 2 * far,
                (real)0.5 * near_odd + 2 * far_odd + m.at[5]}};
}

/* Three outputs of products that the kernel's divisors have not reached. */
static inline six three_outputs(six m) {
  const cohort_register near = (m.at[1] + m.at[2]) * (real)(-1 / 1.5), far = (m.at[3] + m.at[4]) / 6;
  const cohort_register near_odd = (m.at[1] - m.at[2]) * (real)(-0.70710678118654752440 / 1.5);
  const cohort_register far_odd = (m.at[3] - m.at[4]) * (real)(1.41421356237309504880 / 6);
  return (six){{m.at[0] + near + far, near_odd + far_odd, (real)0.5 * near + 2 * far + m.at[5]}};
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

static ahead look_ahead(const winograd *w, const real *images, int64_t image, int64_t first, int64_t count) {
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

static void inputs_to_points(const winograd *w, int64_t first, int64_t count, const real *zeros, real *out) {
  const convolution *c = w->c;
  place at = find_tile(w, first);
  for (int64_t t = 0; t < count; t++, at = next_tile(w, at))
    tile_to_points(points_of_inputs, IN, w->x + at.image * c->height * c->width * c->channels, c->height, c->width,
                   c->channels, at.y - c->padding, at.x - c->padding, zeros, out + t * w->left_step);
}

static void gradients_to_points(const winograd *w, int64_t first, int64_t count, const real *zeros, real *out) {
  const convolution *c = w->c;
  place at = find_tile(w, first);
  for (int64_t t = 0; t < count; t++, at = next_tile(w, at))
    tile_to_points(points_of_four, OUT, w->dy + at.image * c->positions * c->outputs, c->out_height, c->out_width,
                   c->outputs, at.y, at.x, zeros, out + t * w->right_step);
}

/* `rows` x `columns` outputs of a tile; a row of the image is `line` long. */
static inline __attribute__((always_inline)) void tile_of_points(int rows, int columns, int64_t outputs, int64_t line,
                                                                 const real *points, real *out) {
  for (int64_t o = 0; o < outputs; o += LANES, points += SPAN) {
    six half[IN];
#pragma GCC unroll 6
    for (int x = 0; x < IN; x++) {
      six value;
#pragma GCC unroll 6
      for (int r = 0; r < IN; r++) value.at[r] = *(const unaligned *)(points + (r * IN + x) * LANES);
      half[x] = four_outputs(value);
    }
#pragma GCC unroll 4
    for (int r = 0; r < OUT; r++) {
      six value;
#pragma GCC unroll 6
      for (int x = 0; x < IN; x++) value.at[x] = half[x].at[r];
      value = four_outputs(value);
#pragma GCC unroll 4
      for (int x = 0; x < OUT; x++)
        if (r < rows && x < columns) *(unaligned *)(out + r * line + x * outputs + o) = value.at[x];
    }
  }
}

static void outputs_of_points(const winograd *w, int64_t first, int64_t count, const real *points) {
  const convolution *c = w->c;
  const int64_t line = c->out_width * c->outputs;
  place at = find_tile(w, first);
  for (int64_t t = 0; t < count; t++, at = next_tile(w, at), points += w->right_step) {
    const int rows = (int)cohort_least(OUT, c->out_height - at.y),
              columns = (int)cohort_least(OUT, c->out_width - at.x);
    real *out = w->y + at.image * c->positions * c->outputs + at.y * line + at.x * c->outputs;
    if (rows == OUT && columns == OUT)
      tile_of_points(OUT, OUT, c->outputs, line, points, out);
    else
      tile_of_points(rows, columns, c->outputs, line, points, out);
  }
}

/* Weights of some channels and outputs, [channel][3][3][output]. */
static void gather_windows(const winograd *w, int64_t channel, int64_t output, real out[LANES][9][LANES]) {
  const convolution *c = w->c;
  for (int64_t o = 0; o < LANES; o++)
    for (int64_t at = 0; at < 9; at++) {
      const real *weight = w->weight + (output + o) * c->patch + at * c->channels + channel;
      for (int64_t i = 0; i < LANES; i++) out[i][at][o] = weight[i];
    }
}

/* The weights at the points: kernels[p][channel][o]. */
static void kernels_to_points(const winograd *w) {
  const convolution *c = w->c;
  for (int64_t o = 0; o < c->outputs; o += LANES)
    for (int64_t channel = 0; channel < c->channels; channel++) {
      real window[LANES][9][LANES];
      const real *first = window[channel % LANES][0];
      int64_t step = LANES;
      if (w->turned) {
        first = w->weight + (channel * 9 + 8) * c->outputs + o;
        step = -c->outputs;
      } else if (channel % LANES == 0) {
        gather_windows(w, channel, o, window);
      }
      const real *row[IN] = {first, first + 3 * step, first + 6 * step};
      to_points(points_of_kernel, 3, row, step, 0, 3, w->kernels + channel * c->outputs + o, point_step(c));
    }
}

/* Of one point: tiles' inputs [channels / LANES][.][LANES], left_step apart, times weights [channels][outputs]; the
 * first `vectors` of outputs go to the tiles' outputs, out_step apart. */
typedef struct point_product {
  int64_t channels, outputs, left_step, out_step;
} point_product;

/* The fewest channels, where addresses cost as much as products: the shape as a constant. */
static const point_product fewest = {FEWEST, FEWEST, FEWEST *POINTS, FEWEST *POINTS};

/* `rows` tiles. */
static inline __attribute__((always_inline)) void multiply_block(int rows, int vectors, point_product of,
                                                                 const real *left, const real *right, real *out) {
  cohort_register sum[NARROW_ROWS][2];
  const real *p[4];
  for (int i = 0; i < 4; i++) p[i] = left + 4 * i * of.left_step;
  for (int m = 0; m < rows; m++) sum[m][0] = sum[m][1] = (cohort_register){0};
  for (int64_t channel = 0; channel < of.channels; channel += LANES) {
    for (int k = 0; k < LANES; k++, right += of.outputs) {
      const cohort_register one = *(const unaligned *)right;
      cohort_register two = {0};
      if (vectors == 2) two = *(const unaligned *)(right + LANES);
#pragma GCC unroll 16
      for (int m = 0; m < rows; m++) {
        const real factor = p[m / 4][m % 4 * of.left_step];
        sum[m][0] += factor * one;
        if (vectors == 2) sum[m][1] += factor * two;
      }
      for (int i = 0; i < 4; i++) p[i]++;
    }
    for (int i = 0; i < 4; i++) p[i] += SPAN - LANES;
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) *(unaligned *)(out + m * of.out_step + v * SPAN) = sum[m][v];
}

static inline __attribute__((always_inline)) void multiply_tiles(int vectors, int64_t count, point_product of,
                                                                 const real *left, const real *right, real *out) {
  enum { FEW = 4 };
  const int rows = vectors == 2 ? WIDE_ROWS : NARROW_ROWS;
  int64_t m = 0;
  for (; m + rows <= count; m += rows)
    multiply_block(rows, vectors, of, left + m * of.left_step, right, out + m * of.out_step);
  for (; m + FEW <= count; m += FEW)
    multiply_block(FEW, vectors, of, left + m * of.left_step, right, out + m * of.out_step);
  for (; m < count; m++) multiply_block(1, vectors, of, left + m * of.left_step, right, out + m * of.out_step);
}

static inline __attribute__((always_inline)) void multiply_points(const winograd *w, point_product of, int64_t first,
                                                                  int64_t count, const real *left, real *out) {
  const convolution *c = w->c;
  const ahead x = look_ahead(w, w->x, c->height * c->width * c->channels, first + count, w->block);
  const ahead y = look_ahead(w, w->y, c->positions * c->outputs, first, count);
  const real *right = w->kernels;
  const int64_t step = of.channels * of.outputs + LANES;
  for (int64_t p = 0; p < POINTS; p++, left += LANES, out += LANES, right += step) {
    ask_for(x, p, false);
    ask_for(y, p, true);
    int64_t o = 0;
    for (; o + 2 * LANES <= of.outputs; o += 2 * LANES) multiply_tiles(2, count, of, left, right + o, out + o * POINTS);
    for (; o < of.outputs; o += LANES) multiply_tiles(1, count, of, left, right + o, out + o * POINTS);
  }
}

/* Bands that one thread does one after another share their memory, which then stays in the caches. */
static real *scratch_of(const winograd *w, int64_t band) {
  return w->scratch + (w->c->call->team->threads == 1 ? 0 : band) * w->band_reals;
}

static void convolve_band(void *argument, int64_t band) {
  const winograd *w = argument;
  const convolution *c = w->c;
  const point_product of = {c->channels, c->outputs, w->left_step, w->right_step};
  real *zeros = scratch_of(w, band), *left = zeros + w->zeros, *out = left + w->block * w->left_step;
  memset(zeros, 0, (size_t)w->zeros * sizeof *zeros);
  const int64_t end = (band + 1) * w->tiles / w->bands;
  for (int64_t first = band * w->tiles / w->bands; first < end; first += w->block) {
    const int64_t count = cohort_least(w->block, end - first);
    inputs_to_points(w, first, count, zeros, left);
    if (of.channels == FEWEST && of.outputs == FEWEST)
      multiply_points(w, fewest, first, count, left, out);
    else
      multiply_points(w, of, first, count, left, out);
    outputs_of_points(w, first, count, out);
  }
}

static void convolve(const convolution *c, bool turned, const real *x, const real *weight, real *y) {
  winograd w = divide(c, false);
  w.turned = turned;
  w.x = x;
  w.weight = weight;
  w.y = y;
  kernels_to_points(&w);
  cohort_team_run(c->call->team, w.bands, convolve_band, &w);
}

void COHORT_BASED(cohort_winograd)(const convolution *c, const real *x, const real *weight, real *y) {
  convolve(c, false, x, weight, y);
}

void COHORT_BASED(cohort_winograd_input)(const convolution *c, const real *dy, const real *weight, real *dx) {
  const convolution turned = turn_convolution(c);
  convolve(&turned, true, dy, weight, dx);
}

/* sums[m][o] += sum over tiles t of left[t][m] right[t][o] for `rows` m of one vector and `vectors` of o. */
static inline __attribute__((always_inline)) void weigh_block(int rows, int vectors, int64_t count, point_product of,
                                                              const real *left, const real *right, real *sums) {
  cohort_register sum[NARROW_ROWS][2];
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) sum[m][v] = *(const unaligned *)(sums + m * of.outputs + v * LANES);
  for (int64_t t = 0; t < count; t++, left += of.left_step, right += of.out_step) {
    const cohort_register one = *(const unaligned *)right;
    cohort_register two = {0};
    if (vectors == 2) two = *(const unaligned *)(right + SPAN);
#pragma GCC unroll 16
    for (int m = 0; m < rows; m++) {
      sum[m][0] += left[m] * one;
      if (vectors == 2) sum[m][1] += left[m] * two;
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) *(unaligned *)(sums + m * of.outputs + v * LANES) = sum[m][v];
}

static inline __attribute__((always_inline)) void weigh_points(const winograd *w, point_product of, int64_t next,
                                                               int64_t count, const real *left, const real *right,
                                                               real *sums) {
  const convolution *c = w->c;
  const ahead x = look_ahead(w, w->x, c->height * c->width * c->channels, next, w->block);
  const ahead dy = look_ahead(w, w->dy, c->positions * c->outputs, next, w->block);
  const int64_t step = of.channels * of.outputs + LANES;
  for (int64_t p = 0; p < POINTS; p++, left += LANES, right += LANES, sums += step) {
    ask_for(x, p, false);
    ask_for(dy, p, false);
    int64_t o = 0;
    for (; o + 2 * LANES <= of.outputs; o += 2 * LANES)
      for (int64_t m = 0; m < of.channels; m += WIDE_ROWS)
        weigh_block(WIDE_ROWS, 2, count, of, left + m / LANES * SPAN + m % LANES, right + o * POINTS,
                    sums + m * of.outputs + o);
    for (; o < of.outputs; o += LANES)
      for (int64_t m = 0; m < of.channels; m += NARROW_ROWS)
        weigh_block(NARROW_ROWS, 1, count, of, left + m / LANES * SPAN + m % LANES, right + o * POINTS,
                    sums + m * of.outputs + o);
  }
}

static void weigh_band(void *argument, int64_t band) {
  const winograd *w = argument;
  const convolution *c = w->c;
  const int64_t size = POINTS * point_step(c), end = (band + 1) * w->tiles / w->bands;
  real *zeros = scratch_of(w, band), *left = zeros + w->zeros, *right = left + w->block * w->left_step;
  real *sums = w->sums + band * size;
  const point_product of = {c->channels, c->outputs, w->left_step, w->right_step};
  memset(zeros, 0, (size_t)w->zeros * sizeof *zeros);
  if (cohort_call_begins(c->call)) memset(sums, 0, (size_t)size * sizeof *sums);
  for (int64_t first = band * w->tiles / w->bands; first < end; first += w->block) {
    const int64_t count = cohort_least(w->block, end - first);
    inputs_to_points(w, first, count, zeros, left);
    gradients_to_points(w, first, count, zeros, right);
    if (of.channels == FEWEST && of.outputs == FEWEST)
      weigh_points(w, fewest, first + count, count, left, right, sums);
    else
      weigh_points(w, of, first + count, count, left, right, sums);
  }
}

/* Joins the bands' sums of a channel and a vector of outputs in order and leaves the points: out[3 x 3][output]. */
static inline void sums_of_points(const winograd *w, const real *sums, real out[9][LANES]) {
  const int64_t step = point_step(w->c);
  six half[IN];
  for (int x = 0; x < IN; x++) {
    six value;
    for (int r = 0; r < IN; r++) {
      const real *from = sums + (r * IN + x) * step;
      value.at[r] = *(const unaligned *)from;
      for (int64_t band = 1; band < w->bands; band++) value.at[r] += *(const unaligned *)(from + band * POINTS * step);
    }
    half[x] = three_outputs(value);
  }
  for (int r = 0; r < 3; r++) {
    six value;
    for (int x = 0; x < IN; x++) value.at[x] = half[x].at[r];
    value = three_outputs(value);
    for (int x = 0; x < 3; x++) *(unaligned *)out[r * 3 + x] = value.at[x];
  }
}

/* dweight[o][3][3][channel], by windows as gather_windows has them. */
static void leave_points(const winograd *w, real *dweight) {
  const convolution *c = w->c;
  for (int64_t output = 0; output < c->outputs; output += LANES)
    for (int64_t channel = 0; channel < c->channels; channel += LANES) {
      real window[LANES][9][LANES];
      for (int64_t i = 0; i < LANES; i++) sums_of_points(w, w->sums + (channel + i) * c->outputs + output, window[i]);
      for (int64_t o = 0; o < LANES; o++)
        for (int64_t at = 0; at < 9; at++) {
          real *out = dweight + (output + o) * c->patch + at * c->channels + channel;
          for (int64_t i = 0; i < LANES; i++) out[i] = window[i][at][o];
        }
    }
}

void COHORT_BASED(cohort_winograd_weight)(const convolution *c, const real *x, const real *dy, real *dweight) {
  winograd w = divide(c, true);
  w.x = x;
  w.dy = dy;
  cohort_team_run(c->call->team, w.bands, weigh_band, &w);
  if (cohort_call_ends(c->call)) leave_points(&w, dweight);
}
