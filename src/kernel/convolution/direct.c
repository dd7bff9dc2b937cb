/* Convolutions that read the images where they lie, but for a border of zeros around a copy of one image: a block of
 * output positions of one row, or of weights, times one or two vectors of outputs is summed in registers. */
#include "kernel/convolution/convolution_real.h"
#include "kernel/row_real.h"

/* Rows of a block with two vectors of outputs, and with one. */
#if defined(__AVX512F__)
enum { WIDE_ROWS = 12, NARROW_ROWS = 16 };
#else
enum { WIDE_ROWS = 4, NARROW_ROWS = 8 };
#endif
enum { DIRECT_BANDS = 8, BAND_IMAGES = 4, LANES = COHORT_REGISTER_LANES, STRIP = 2 * LANES };

typedef struct direct {
  const convolution *c;
  const real *x, *weight, *dy;
  real *y;
  real *packed;                       /* [patch][padded]: weights with the outputs along the vectors */
  real *sums;                         /* [bands][patch][padded]: of the weight's gradient */
  real *images;                       /* [bands][image]: an image with its border */
  bool rotated;                       /* weights are rotated around, in and out exchanged */
  int64_t bands, padded, line, image; /* line: of a row of the bordered image */
} direct;

static int64_t in_registers(int64_t n) { return cohort_ceil_divide(n, 16) * 16; }

static direct lay_out(const convolution *c) {
  const int64_t bands = cohort_least(cohort_most(2, c->images / BAND_IMAGES), DIRECT_BANDS);
  direct d = {.c = c, .bands = cohort_least(c->images, bands), .padded = in_registers(c->outputs)};
  d.line = (c->width + 2 * c->padding) * c->channels;
  d.image = in_registers((c->height + 2 * c->padding) * d.line);
  return d;
}

static direct divide(const convolution *c) {
  direct d = lay_out(c);
  d.packed = c->call->workspace;
  d.sums = d.packed + c->patch * d.padded;
  d.images = d.sums + d.bands * c->patch * d.padded;
  return d;
}

size_t COHORT_BASED(cohort_convolve_workspace)(const convolution *c) {
  const direct d = lay_out(c);
  return cohort_workspace_reals((1 + d.bands) * c->patch * d.padded + d.bands * d.image);
}

static void copy_image(const direct *d, int64_t n, real *out) {
  const convolution *c = d->c;
  const int64_t row = c->width * c->channels, border = c->padding * c->channels;
  const real *x = d->x + n * c->height * row;
  memset(out, 0, (size_t)(c->padding * d->line) * sizeof *out);
  out += c->padding * d->line;
  for (int64_t y = 0; y < c->height; y++, out += d->line) {
    memset(out, 0, (size_t)border * sizeof *out);
    memcpy(out + border, x + y * row, (size_t)row * sizeof *out);
    memset(out + border + row, 0, (size_t)border * sizeof *out);
  }
  memset(out, 0, (size_t)(c->padding * d->line) * sizeof *out);
}

/* packed[k][o], k = (ky, kx, channel); zeros past the last output. */
static void pack_weights(const direct *d) {
  const convolution *c = d->c;
  const int64_t window = c->kernel_height * c->kernel_width;
  for (int64_t k = 0; k < c->patch; k++)
    for (int64_t o = 0; o < d->padded; o++) {
      const int64_t at = k / c->channels, channel = k % c->channels;
      real value = 0;
      if (o < c->outputs)
        value =
            d->rotated ? d->weight[(channel * window + window - 1 - at) * c->outputs + o] : d->weight[o * c->patch + k];
      d->packed[k * d->padded + o] = value;
    }
}

/* `rows` positions times `vectors` of outputs, both constants where this is inlined. */
static inline __attribute__((always_inline)) void convolve_block(const direct *d, int rows, int vectors, const real *x,
                                                                 const real *weight, real *out, int64_t out_row) {
  const convolution *c = d->c;
  const int64_t step = c->stride * c->channels, run = c->kernel_width * c->channels;
  cohort_register sum[NARROW_ROWS][2];
  /* cppcheck-suppress arrayIndexOutOfBounds ; `rows` is no more than there are */
  for (int m = 0; m < rows; m++) sum[m][0] = sum[m][1] = (cohort_register){0};
  for (int64_t ky = 0; ky < c->kernel_height; ky++) {
    const real *p[4];
    for (int i = 0; i < 4; i++) p[i] = x + ky * d->line + 4 * i * step;
    for (int64_t j = 0; j < run; j++, weight += d->padded) {
      const cohort_register left = *(const cohort_unaligned_register *)weight;
      cohort_register right = {0};
      if (vectors == 2) right = *(const cohort_unaligned_register *)(weight + LANES);
#pragma GCC unroll 16
      for (int m = 0; m < rows; m++) {
        const real factor = p[m / 4][m % 4 * step];
        /* cppcheck-suppress arrayIndexOutOfBounds ; `rows` is no more than there are */
        sum[m][0] += factor * left;
        if (vectors == 2) sum[m][1] += factor * right;
      }
      for (int i = 0; i < 4; i++) p[i]++;
    }
  }
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) *(cohort_unaligned_register *)(out + m * out_row + v * LANES) = sum[m][v];
}

static inline __attribute__((always_inline)) void choose_block(const direct *d, int64_t rows, int vectors,
                                                               const real *x, const real *weight, real *out,
                                                               int64_t out_row) {
#define ROWS(COUNT)                                                                                                    \
  case COUNT:                                                                                                          \
    if (COUNT <= (vectors == 2 ? WIDE_ROWS : NARROW_ROWS)) convolve_block(d, COUNT, vectors, x, weight, out, out_row); \
    break;
  switch (rows) {
    ROWS(1)
    ROWS(2)
    ROWS(3)
    ROWS(4)
    ROWS(5)
    ROWS(6)
    ROWS(7)
    ROWS(8)
    ROWS(9)
    ROWS(10)
    ROWS(11)
    ROWS(12)
    ROWS(13)
    ROWS(14)
    ROWS(15)
    ROWS(16)
  }
#undef ROWS
}

/* A row of outputs in blocks of nearly equal length. */
static void convolve_row(const direct *d, const real *image, const real *weight, int vectors, int64_t columns,
                         real *out) {
  const convolution *c = d->c;
  const int64_t step = c->stride * c->channels;
  const int64_t blocks = cohort_ceil_divide(c->out_width, vectors == 2 ? WIDE_ROWS : NARROW_ROWS);
  const bool whole = columns == vectors * LANES;
  real edge[NARROW_ROWS * STRIP];
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t first = block * c->out_width / blocks, rows = (block + 1) * c->out_width / blocks - first;
    const real *x = image + first * step;
    real *to = whole ? out + first * c->outputs : edge;
    const int64_t to_row = whole ? c->outputs : STRIP;
    if (vectors == 2)
      choose_block(d, rows, 2, x, weight, to, to_row);
    else
      choose_block(d, rows, 1, x, weight, to, to_row);
    for (int64_t m = 0; !whole && m < rows; m++)
      memcpy(out + (first + m) * c->outputs, edge + m * STRIP, (size_t)columns * sizeof *out);
  }
}

/* Bands that one thread does one after another share their memory, which then stays in the caches. */
static real *image_of(const direct *d, int64_t band) {
  return d->images + (d->c->call->team->threads == 1 ? 0 : band) * d->image;
}

static void convolve_band(void *argument, int64_t band) {
  const direct *d = argument;
  const convolution *c = d->c;
  real *image = image_of(d, band);
  for (int64_t n = band * c->images / d->bands; n < (band + 1) * c->images / d->bands; n++) {
    copy_image(d, n, image);
    for (int64_t o = 0; o < c->outputs; o += STRIP) {
      const int64_t columns = cohort_least(STRIP, c->outputs - o);
      for (int64_t oy = 0; oy < c->out_height; oy++)
        convolve_row(d, image + oy * c->stride * d->line, d->packed + o, columns > LANES ? 2 : 1, columns,
                     d->y + (n * c->positions + oy * c->out_width) * c->outputs + o);
    }
  }
}

void COHORT_BASED(cohort_convolve)(const convolution *c, const real *x, const real *weight, real *y) {
  direct d = divide(c);
  d.x = x;
  d.weight = weight;
  d.y = y;
  pack_weights(&d);
  cohort_team_run(c->call->team, d.bands, convolve_band, &d);
}

void COHORT_BASED(cohort_convolve_input)(const convolution *c, const real *dy, const real *weight, real *dx) {
  const convolution rotated = rotate_convolution(c);
  direct d = divide(&rotated);
  d.x = dy;
  d.weight = weight;
  d.y = dx;
  d.rotated = true;
  pack_weights(&d);
  cohort_team_run(c->call->team, d.bands, convolve_band, &d);
}

/* `rows` neighbouring weights of a row of the window times `vectors` of outputs, over all positions of an image; added
 * to sums [rows][padded]. */
static inline __attribute__((always_inline)) void weigh_block(const direct *d, int rows, int vectors, const real *image,
                                                              const real *dy, real *sums) {
  const convolution *c = d->c;
  const int64_t step = c->stride * c->channels;
  cohort_register sum[WIDE_ROWS + 1][2];
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++)
      sum[m][v] = *(const cohort_unaligned_register *)(sums + m * d->padded + v * LANES);
  for (int64_t oy = 0; oy < c->out_height; oy++) {
    const real *x = image + oy * c->stride * d->line;
    for (int64_t ox = 0; ox < c->out_width; ox++, x += step, dy += c->outputs) {
      const cohort_register left = *(const cohort_unaligned_register *)dy;
      cohort_register right = {0};
      if (vectors == 2) right = *(const cohort_unaligned_register *)(dy + LANES);
#pragma GCC unroll 12
      for (int m = 0; m < rows; m++) {
        /* cppcheck-suppress arrayIndexOutOfBounds ; `rows` is no more than there are */
        sum[m][0] += x[m] * left;
        if (vectors == 2) sum[m][1] += x[m] * right;
      }
    }
  }
  for (int m = 0; m < rows; m++)
    for (int v = 0; v < vectors; v++) *(cohort_unaligned_register *)(sums + m * d->padded + v * LANES) = sum[m][v];
}

static void weigh_image(const direct *d, int vectors, const real *image, const real *dy, real *sums) {
  const convolution *c = d->c;
  const int64_t run = c->kernel_width * c->channels;
  for (int64_t ky = 0; ky < c->kernel_height; ky++)
    for (int64_t j = 0; j < run;) {
      const real *x = image + ky * d->line + j;
      real *to = sums + (ky * run + j) * d->padded;
#define BLOCK(ROWS)                       \
  if (run - j >= (ROWS)) {                \
    if (vectors == 2)                     \
      weigh_block(d, ROWS, 2, x, dy, to); \
    else                                  \
      weigh_block(d, ROWS, 1, x, dy, to); \
    j += (ROWS);                          \
    continue;                             \
  }
      BLOCK(WIDE_ROWS)
      if (WIDE_ROWS > 8) {
        BLOCK(9)
        BLOCK(8)
      }
      BLOCK(WIDE_ROWS > 4 ? 5 : 4)
      BLOCK(3)
      BLOCK(1)
#undef BLOCK
    }
}

static void weigh_band(void *argument, int64_t band) {
  const direct *d = argument;
  const convolution *c = d->c;
  real *image = image_of(d, band), *sums = d->sums + band * c->patch * d->padded;
  if (cohort_call_begins(c->call)) memset(sums, 0, (size_t)(c->patch * d->padded) * sizeof *sums);
  for (int64_t n = band * c->images / d->bands; n < (band + 1) * c->images / d->bands; n++) {
    copy_image(d, n, image);
    for (int64_t o = 0; o < c->outputs; o += STRIP)
      weigh_image(d, c->outputs - o > LANES ? 2 : 1, image, d->dy + n * c->positions * c->outputs + o, sums + o);
  }
}

void COHORT_BASED(cohort_convolve_weight)(const convolution *c, const real *x, const real *dy, real *dweight) {
  direct d = divide(c);
  d.x = x;
  d.dy = dy;
  cohort_team_run(c->call->team, d.bands, weigh_band, &d);
  if (!cohort_call_ends(c->call)) return;
  for (int64_t o = 0; o < c->outputs; o++)
    for (int64_t k = 0; k < c->patch; k++) {
      real sum = d.sums[k * d.padded + o];
      for (int64_t band = 1; band < d.bands; band++) sum += d.sums[(band * c->patch + k) * d.padded + o];
      dweight[o * c->patch + k] = sum;
    }
}
