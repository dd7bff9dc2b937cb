/* 3x3 convolutions of stride 1 by Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, Fast Algorithms for Convolutional
 * Neural Networks, CVPR 2016; points after Alam et al., 2022): a tile of 4x4 outputs takes 36 products instead of 144.
 *
 * Along one axis 6 inputs d, 3 weights g and 4 outputs y are polynomials evaluated at 0, +-a, +-b and infinity, with
 * a = sqrt(1/2), b = sqrt(2): y = A' ((G g) * (B' d)). With these points the error in float32 is about five times that
 * of a sum in order, some 5e-7 of the result's root mean square. The gradient of the weights is the same with the
 * roles exchanged, F(3x3, 4x4): weights' gradients are the outputs, 4x4 tiles of dy the weights; its last step is taken
 * once, after the sum over tiles. An element's sum runs in the order of channels, or of tiles; both are cut by shape.
 */
#include "kernel/convolution/winograd_real.h"

size_t COHORT_BASED(cohort_winograd_workspace)(const convolution *c, bool weights) {
  const winograd w = lay_out(c, weights);
  return cohort_workspace_reals(POINTS * point_step(c) * (weights ? w.bands : 1) + w.bands * w.band_reals);
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
      if (w->rotated) {
        first = w->weight + (channel * 9 + 8) * c->outputs + o;
        step = -c->outputs;
      } else if (channel % LANES == 0) {
        gather_windows(w, channel, o, window);
      }
      const real *row[IN] = {first, first + 3 * step, first + 6 * step};
      to_points(points_of_kernel, 3, row, step, 0, 3, w->kernels + channel * c->outputs + o, point_step(c));
    }
}

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

static void convolve(const convolution *c, bool rotated, const real *x, const real *weight, real *y) {
  winograd w = divide(c, false);
  w.rotated = rotated;
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
  const convolution rotated = rotate_convolution(c);
  convolve(&rotated, true, dy, weight, dx);
}
