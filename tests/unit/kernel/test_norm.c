#include "fixture.h"

static const cohort_shape shapes[] = {{1, {5}},        {2, {1, 1}},     {2, {7, 31}},   {2, {70, 768}},
                                      {3, {3, 5, 64}}, {2, {2053, 33}}, {2, {3, 20011}}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };
static const double epsilon = 1e-5;

/* Mean and reciprocal deviation of n elements. */
static void moments(const double *x, int64_t n, int centred, double *mean, double *rstd) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  *mean = centred ? sum / (double)n : 0;
  for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
  *rstd = 1 / sqrt(squares / (double)n + epsilon);
}

static cohort_shape rows_of(cohort_shape shape) {
  shape.axes--;
  return shape;
}

static void forward_fixture(cohort_shape shape, int centred, double offset) {
  fixture t = fixture_of(centred ? COHORT_OP_LAYER_NORM : COHORT_OP_RMS_NORM);
  t.attributes.reals[0] = epsilon;
  const int64_t n = cohort_shape_columns(shape);
  const double *x = fixture_real(&t, shape, offset - 2, offset + 2), *gain = fixture_real(&t, SHAPE(n), 0.5, 1.5);
  const double *bias = centred ? fixture_real(&t, SHAPE(n), -1, 1) : NULL;
  double *y = fixture_output(&t, shape, COHORT_TYPE_REAL);
  double *mean = centred ? fixture_output(&t, rows_of(shape), COHORT_TYPE_REAL) : NULL;
  double *rstd = fixture_output(&t, rows_of(shape), COHORT_TYPE_REAL);
  for (int64_t row = 0; row < cohort_shape_rows(shape); row++) {
    double m, r;
    moments(x + row * n, n, centred, &m, &r);
    if (centred) mean[row] = m;
    rstd[row] = r;
    for (int64_t j = 0; j < n; j++) y[row * n + j] = (x[row * n + j] - m) * r * gain[j] + (centred ? bias[j] : 0);
  }
  t.terms = 4;
  fixture_check(&t);
}

static void test_layer_norm(void) {
  for (int k = 0; k < SHAPES; k++) forward_fixture(shapes[k], 1, 0);
  forward_fixture(SHAPE(9, 257), 1, 4); /* a mean larger than the deviation */
}

static void test_rms_norm(void) {
  for (int k = 0; k < SHAPES; k++) forward_fixture(shapes[k], 0, 0);
}

static void backward_fixture(cohort_shape shape, int centred) {
  fixture t = fixture_of(centred ? COHORT_OP_LAYER_NORM_BACKWARD : COHORT_OP_RMS_NORM_BACKWARD);
  const int64_t n = cohort_shape_columns(shape), rows = cohort_shape_rows(shape);
  const double *x = fixture_real(&t, shape, -2, 2), *gain = fixture_real(&t, SHAPE(n), 0.5, 1.5);
  double *mean = centred ? fixture_real(&t, rows_of(shape), 0, 1) : NULL;
  double *rstd = fixture_real(&t, rows_of(shape), 0, 1);
  const double *dy = fixture_real(&t, shape, -1, 1);
  double *dx = fixture_output(&t, shape, COHORT_TYPE_REAL), *dgain = fixture_output(&t, SHAPE(n), COHORT_TYPE_REAL);
  double *dbias = centred ? fixture_output(&t, SHAPE(n), COHORT_TYPE_REAL) : NULL;
  for (int64_t row = 0; row < rows; row++) {
    double m, r, plain = 0, weighted = 0;
    moments(x + row * n, n, centred, &m, &r);
    if (r > 10) r = 10; /* a row of one element: keep the numbers small */
    m = (float)m, r = (float)r;
    if (centred) mean[row] = m;
    rstd[row] = r;
    for (int64_t j = 0; j < n; j++) {
      const double normal = (x[row * n + j] - m) * r, given = dy[row * n + j];
      plain += centred ? gain[j] * given : 0;
      weighted += gain[j] * given * normal;
      dgain[j] += given * normal;
      if (centred) dbias[j] += given;
    }
    for (int64_t j = 0; j < n; j++) {
      const double normal = (x[row * n + j] - m) * r;
      dx[row * n + j] = r * (gain[j] * dy[row * n + j] - (plain + normal * weighted) / (double)n);
    }
  }
  t.terms = fmax(4, (double)rows);
  fixture_check(&t);
}

static void test_layer_norm_backward(void) {
  for (int k = 0; k < SHAPES; k++) backward_fixture(shapes[k], 1);
}

static void test_rms_norm_backward(void) {
  for (int k = 0; k < SHAPES; k++) backward_fixture(shapes[k], 0);
}

/* The derivative must be that of the forward kernel: finite differences of the sum of y * dy in float64. */
static double layer_norm_dot(double *x, double *gain, double *bias, const double *dy, cohort_shape shape) {
  enum { ROOM = 64 };
  double y[ROOM], mean[ROOM], rstd[ROOM], sum = 0;
  const cohort_team team = {1};
  cohort_call call = {.inputs = 3, .outputs = 3, .team = &team, .attributes.reals = {epsilon}};
  const cohort_shape columns = SHAPE(cohort_shape_columns(shape));
  call.input[0] = (cohort_tensor){x, shape, COHORT_TYPE_REAL};
  call.input[1] = (cohort_tensor){gain, columns, COHORT_TYPE_REAL};
  call.input[2] = (cohort_tensor){bias, columns, COHORT_TYPE_REAL};
  call.output[0] = (cohort_tensor){y, shape, COHORT_TYPE_REAL};
  call.output[1] = (cohort_tensor){mean, rows_of(shape), COHORT_TYPE_REAL};
  call.output[2] = (cohort_tensor){rstd, rows_of(shape), COHORT_TYPE_REAL};
  cohort_kernels_float64()->run[COHORT_OP_LAYER_NORM](&call);
  for (int64_t i = 0; i < cohort_shape_elements(shape); i++) sum += y[i] * dy[i];
  return sum;
}

static void test_gradient(void) {
  const cohort_shape shape = SHAPE(5, 7);
  fixture t = fixture_of(COHORT_OP_LAYER_NORM_BACKWARD);
  double *x = fixture_real(&t, shape, -2, 2), *gain = fixture_real(&t, SHAPE(7), 0.5, 1.5);
  double *mean = fixture_real(&t, SHAPE(5), 0, 1), *rstd = fixture_real(&t, SHAPE(5), 0, 1);
  double *dy = fixture_real(&t, shape, -1, 1), bias[7] = {0};
  double *expected[3] = {fixture_output(&t, shape, COHORT_TYPE_REAL), fixture_output(&t, SHAPE(7), COHORT_TYPE_REAL),
                         fixture_output(&t, SHAPE(7), COHORT_TYPE_REAL)};
  double *at[3] = {x, gain, bias};
  for (int64_t row = 0; row < 5; row++) moments(x + row * 7, 7, 1, &mean[row], &rstd[row]);
  for (int k = 0; k < 3; k++) {
    for (int64_t i = 0; i < cohort_shape_elements(t.output[k].shape); i++) {
      const double h = 1e-4, kept = at[k][i];
      double slope = 0;
      static const double weight[4] = {1, -8, 8, -1};
      static const double step[4] = {-2, -1, 1, 2};
      for (int s = 0; s < 4; s++) {
        at[k][i] = kept + step[s] * h;
        slope += weight[s] * layer_norm_dot(x, gain, bias, dy, shape) / (12 * h);
      }
      at[k][i] = kept;
      expected[k][i] = slope;
    }
  }
  t.terms = 100;
  fixture_check(&t);
}

typedef struct image_case {
  int64_t n, h, w, c, groups;
} image_case;

static const image_case images[] = {{1, 1, 1, 4, 2},  {2, 3, 5, 6, 3},     {3, 17, 13, 32, 8}, {2, 9, 8, 48, 1},
                                    {5, 4, 4, 7, 7},  {2, 20, 30, 520, 4}, {2, 8, 6, 16, 8},   {1, 32, 32, 16, 8},
                                    {2, 6, 6, 32, 4}, {3, 5, 7, 64, 4},    {2, 7, 7, 128, 2}};
enum { IMAGES = sizeof images / sizeof images[0] };

static int64_t group_of(const image_case *s, int64_t i) {
  return i / (s->h * s->w * s->c) * s->groups + i % s->c / (s->c / s->groups);
}

static void group_moments(const image_case *s, const double *x, double *mean, double *rstd) {
  const int64_t elements = s->n * s->h * s->w * s->c;
  const double count = (double)(elements / s->n / s->groups);
  for (int64_t i = 0; i < s->n * s->groups; i++) mean[i] = rstd[i] = 0;
  for (int64_t i = 0; i < elements; i++) mean[group_of(s, i)] += x[i] / count;
  for (int64_t i = 0; i < elements; i++) rstd[group_of(s, i)] += pow(x[i] - mean[group_of(s, i)], 2) / count;
  for (int64_t i = 0; i < s->n * s->groups; i++) rstd[i] = 1 / sqrt(rstd[i] + epsilon);
}

/* what: 0 the norm alone, 1 its relu, 2 the relu of its sum with another input. */
static void check_group_norm(const image_case *s, int what) {
  fixture t = fixture_of(COHORT_OP_GROUP_NORM);
  t.attributes = (cohort_attributes){.integers = {s->groups, what > 0}, .reals = {epsilon}};
  const cohort_shape shape = SHAPE(s->n, s->h, s->w, s->c);
  const double *x = fixture_real(&t, shape, -1, 3), *gain = fixture_real(&t, SHAPE(s->c), 0.5, 1.5);
  const double *bias = fixture_real(&t, SHAPE(s->c), -1, 1);
  const double *added = what == 2 ? fixture_real(&t, shape, -2, 2) : NULL;
  double *y = fixture_output(&t, shape, COHORT_TYPE_REAL);
  double *mean = fixture_output(&t, SHAPE(s->n, s->groups), COHORT_TYPE_REAL);
  double *rstd = fixture_output(&t, SHAPE(s->n, s->groups), COHORT_TYPE_REAL);
  group_moments(s, x, mean, rstd);
  for (int64_t i = 0; i < cohort_shape_elements(shape); i++) {
    const int64_t group = group_of(s, i);
    y[i] = (x[i] - mean[group]) * rstd[group] * gain[i % s->c] + bias[i % s->c] + (added ? added[i] : 0);
    if (what > 0 && y[i] < 0) y[i] = 0;
  }
  t.terms = 4;
  fixture_check(&t);
}

static void test_group_norm(void) {
  for (int k = 0; k < IMAGES; k++)
    for (int what = 0; what < 3; what++) check_group_norm(&images[k], what);
}

static void test_group_norm_backward(void) {
  for (int k = 0; k < IMAGES; k++) {
    const image_case *s = &images[k];
    fixture t = fixture_of(COHORT_OP_GROUP_NORM_BACKWARD);
    t.attributes.integers[0] = s->groups;
    const cohort_shape shape = SHAPE(s->n, s->h, s->w, s->c);
    const int64_t elements = cohort_shape_elements(shape), per_group = elements / s->n / s->groups;
    const double *x = fixture_real(&t, shape, -1, 3), *gain = fixture_real(&t, SHAPE(s->c), 0.5, 1.5);
    double *mean = fixture_real(&t, SHAPE(s->n, s->groups), 0, 1),
           *rstd = fixture_real(&t, SHAPE(s->n, s->groups), 0, 1);
    const double *dy = fixture_real(&t, shape, -1, 1);
    double *dx = fixture_output(&t, shape, COHORT_TYPE_REAL);
    double *dgain = fixture_output(&t, SHAPE(s->c), COHORT_TYPE_REAL),
           *dbias = fixture_output(&t, SHAPE(s->c), COHORT_TYPE_REAL);
    double *plain = fixture_allocate(t.input[2].shape), *weighted = fixture_allocate(t.input[2].shape);
    group_moments(s, x, mean, rstd);
    for (int64_t i = 0; i < s->n * s->groups; i++) mean[i] = (float)mean[i], rstd[i] = (float)rstd[i];
    for (int64_t i = 0; i < elements; i++) {
      const int64_t group = group_of(s, i), c = i % s->c;
      const double normal = (x[i] - mean[group]) * rstd[group];
      plain[group] += gain[c] * dy[i] / (double)per_group;
      weighted[group] += gain[c] * dy[i] * normal / (double)per_group;
      dgain[c] += dy[i] * normal;
      dbias[c] += dy[i];
    }
    for (int64_t i = 0; i < elements; i++) {
      const int64_t group = group_of(s, i);
      const double normal = (x[i] - mean[group]) * rstd[group];
      dx[i] = rstd[group] * (gain[i % s->c] * dy[i] - plain[group] - normal * weighted[group]);
    }
    free(plain);
    free(weighted);
    t.terms = (double)(s->n * s->h * s->w);
    fixture_check(&t);
  }
}

static const check checks[] = {
    {"layer norm", test_layer_norm},
    {"layer norm backward", test_layer_norm_backward},
    {"layer norm backward is the derivative", test_gradient},
    {"rms norm", test_rms_norm},
    {"rms norm backward", test_rms_norm_backward},
    {"group norm", test_group_norm},
    {"group norm backward", test_group_norm_backward},
};

int main(void) { return check_run("norm", checks, sizeof checks / sizeof checks[0]); }
