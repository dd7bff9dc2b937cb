/* The gradient of the weights by Winograd's algorithm, F(3x3, 4x4) (convolution_winograd.c): outputs' gradients are the
 * weights of 4x4 tiles. The sum over tiles is taken at the points, band by band, and leaves them once at the end. Bands
 * are cut by shape and joined in order: the bits do not depend on the team. A tile takes 36 products instead of 144;
 * the workspace holds one sum of all weights at the points for each band. */
#include "kernel/convolution/winograd_real.h"

/* Four values as a polynomial at the points. */
static inline six points_of_four(six g) {
  const cohort_register near = g.at[0] + (real)0.5 * g.at[2], near_odd = ROOT_HALF * (g.at[1] + (real)0.5 * g.at[3]);
  const cohort_register far = g.at[0] + 2 * g.at[2], far_odd = ROOT_TWO * (g.at[1] + 2 * g.at[3]);
  return (six){{g.at[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, g.at[3]}};
}

/* Three outputs of products that the kernel's divisors have not reached. */
static inline six three_outputs(six m) {
  const cohort_register near = (m.at[1] + m.at[2]) * (real)(-1 / 1.5), far = (m.at[3] + m.at[4]) / 6;
  const cohort_register near_odd = (m.at[1] - m.at[2]) * (real)(-0.70710678118654752440 / 1.5);
  const cohort_register far_odd = (m.at[3] - m.at[4]) * (real)(1.41421356237309504880 / 6);
  return (six){{m.at[0] + near + far, near_odd + far_odd, (real)0.5 * near + 2 * far + m.at[5]}};
}

static void gradients_to_points(const winograd *w, int64_t first, int64_t count, const real *zeros, real *out) {
  const convolution *c = w->c;
  place at = find_tile(w, first);
  for (int64_t t = 0; t < count; t++, at = next_tile(w, at))
    tile_to_points(points_of_four, OUT, w->dy + at.image * c->positions * c->outputs, c->out_height, c->out_width,
                   c->outputs, at.y, at.x, zeros, out + t * w->right_step);
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
