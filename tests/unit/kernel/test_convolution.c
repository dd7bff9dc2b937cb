/* Convolutions and their gradients against sums written out, on both sides of every limit of the kernels. */
#include "fixture.h"

typedef struct geometry {
  int64_t images, height, width, channels, kernel, outputs, stride, padding;
} geometry;

static const geometry cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 0},     {2, 5, 7, 3, 3, 5, 1, 1},    {1, 9, 28, 1, 5, 16, 1, 2},
    {3, 8, 14, 16, 5, 32, 1, 2},  {2, 8, 8, 4, 3, 33, 1, 1},   {9, 6, 13, 2, 3, 16, 2, 1},
    {1, 7, 32, 5, 1, 48, 1, 0},   {2, 9, 9, 16, 3, 16, 2, 0},  {1, 11, 17, 3, 3, 20, 3, 1},
    {2, 4, 4, 64, 3, 128, 1, 1},  {1, 6, 33, 3, 4, 16, 1, 0},  {3, 32, 32, 16, 3, 16, 1, 1},
    {2, 17, 15, 32, 3, 48, 1, 1}, {5, 8, 8, 64, 3, 64, 1, 1},  {1, 9, 11, 16, 3, 32, 1, 0},
    {2, 4, 5, 48, 3, 16, 1, 2},   {40, 7, 4, 16, 3, 16, 1, 1}, {70, 8, 8, 32, 3, 16, 1, 1},
};

static int64_t out_size(int64_t in, const geometry *g) { return (in + 2 * g->padding - g->kernel) / g->stride + 1; }

typedef void (*visit)(double *x, double *weight, double *y);

/* Calls for every product of the sum that a convolution is. */
static void each(const geometry *g, double *x, double *weight, double *y, visit one) {
  const int64_t oh = out_size(g->height, g), ow = out_size(g->width, g);
  for (int64_t n = 0; n < g->images; n++)
    for (int64_t oy = 0; oy < oh; oy++)
      for (int64_t ox = 0; ox < ow; ox++)
        for (int64_t o = 0; o < g->outputs; o++)
          for (int64_t ky = 0; ky < g->kernel; ky++)
            for (int64_t kx = 0; kx < g->kernel; kx++) {
              const int64_t iy = oy * g->stride + ky - g->padding, ix = ox * g->stride + kx - g->padding;
              if (iy < 0 || iy >= g->height || ix < 0 || ix >= g->width) continue;
              for (int64_t c = 0; c < g->channels; c++)
                one(x + ((n * g->height + iy) * g->width + ix) * g->channels + c,
                    weight + ((o * g->kernel + ky) * g->kernel + kx) * g->channels + c,
                    y + ((n * oh + oy) * ow + ox) * g->outputs + o);
            }
}

static void to_y(double *x, double *weight, double *y) { *y += *x * *weight; }
static void to_x(double *x, double *weight, double *y) { *x += *y * *weight; }
static void to_weight(double *x, double *weight, double *y) { *weight += *y * *x; }

static fixture begin(cohort_op op, const geometry *g, double terms) {
  fixture t = fixture_of(op);
  const int64_t attributes[] = {g->stride, g->padding, g->height, g->width, g->kernel, g->kernel};
  for (int i = 0; i < 6; i++) t.attributes.integers[i] = attributes[i];
  t.terms = terms;
  return t;
}

static void check_geometry(const geometry *g) {
  const cohort_shape x_shape = SHAPE(g->images, g->height, g->width, g->channels);
  const cohort_shape weight_shape = SHAPE(g->outputs, g->kernel, g->kernel, g->channels);
  const cohort_shape y_shape = SHAPE(g->images, out_size(g->height, g), out_size(g->width, g), g->outputs);
  const double window = (double)(g->kernel * g->kernel);

  fixture t = begin(COHORT_OP_CONVOLUTION, g, window * (double)g->channels);
  double *x = fixture_real(&t, x_shape, -1, 1), *weight = fixture_real(&t, weight_shape, -1, 1);
  each(g, x, weight, fixture_output(&t, y_shape, COHORT_TYPE_REAL), to_y);
  fixture_check_bf16(&t, 0.01);
  fixture_check(&t);

  t = begin(COHORT_OP_CONVOLUTION_INPUT, g, window * (double)g->outputs);
  double *dy = fixture_real(&t, y_shape, -1, 1);
  weight = fixture_real(&t, weight_shape, -1, 1);
  each(g, fixture_output(&t, x_shape, COHORT_TYPE_REAL), weight, dy, to_x);
  fixture_check_bf16(&t, 0.01);
  fixture_check(&t);

  t = begin(COHORT_OP_CONVOLUTION_WEIGHT, g, (double)cohort_shape_elements(y_shape) / (double)g->outputs);
  x = fixture_real(&t, x_shape, -1, 1);
  dy = fixture_real(&t, y_shape, -1, 1);
  each(g, x, fixture_output(&t, weight_shape, COHORT_TYPE_REAL), dy, to_weight);
  fixture_check_bf16(&t, 0.01);
  fixture_check(&t);
}

static void test_geometries(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_geometry(&cases[i]);
}

int main(void) {
  static const check checks[] = {{"convolutions and gradients against sums written out", test_geometries}};
  return check_run("convolution", checks, 1);
}
