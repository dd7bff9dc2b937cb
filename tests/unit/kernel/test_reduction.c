#include "fixture.h"

typedef struct reduce_case {
  cohort_shape shape;
  unsigned mask;
} reduce_case;

static const reduce_case cases[] = {
    {{1, {1}}, 1},
    {{1, {7}}, 1},
    {{1, {100003}}, 1},
    {{2, {300, 257}}, 2},
    {{2, {300, 257}}, 1},
    {{2, {300, 257}}, 3},
    {{2, {300, 257}}, 0},
    {{2, {3, 70001}}, 2},
    {{2, {2501, 3}}, 1},
    {{2, {1031, 1100}}, 1},
    {{3, {5, 601, 33}}, 2},
    {{3, {7, 300, 13}}, 5},
    {{4, {3, 5, 7, 11}}, 5},
    {{4, {3, 5, 7, 11}}, 10},
    {{4, {64, 1, 8, 129}}, 11},
    {{6, {2, 3, 2, 3, 2, 3}}, 42},
    {{0}, 0},
};

static cohort_shape kept_shape(const reduce_case *c) {
  cohort_shape y = c->shape;
  for (int axis = 0; axis < y.axes; axis++) {
    if (c->mask >> axis & 1) y.size[axis] = 1;
  }
  return y;
}

static void reduce_fixture(cohort_op op, const reduce_case *c) {
  fixture t = fixture_of(op);
  t.attributes.integers[0] = c->mask;
  const double *x = fixture_real(&t, c->shape, -1, 1);
  const cohort_shape kept = kept_shape(c);
  double *y = fixture_output(&t, kept, COHORT_TYPE_REAL);
  const int64_t elements = cohort_shape_elements(c->shape), outputs = cohort_shape_elements(kept);
  for (int64_t i = 0; op == COHORT_OP_MAX && i < outputs; i++) y[i] = -INFINITY;
  for (int64_t i = 0; i < elements; i++) {
    double *to = &y[fixture_broadcast(kept, c->shape, i)];
    *to = op == COHORT_OP_SUM ? *to + x[i] : fmax(*to, x[i]);
  }
  t.terms = (double)elements / (double)outputs;
  fixture_check(&t);
}

static void test_sum(void) {
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) reduce_fixture(COHORT_OP_SUM, &cases[k]);
}

static void test_max(void) {
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) reduce_fixture(COHORT_OP_MAX, &cases[k]);
}

/* A sum of equal positive terms shows a loss of accuracy that random signs would hide. */
static void test_accuracy(void) {
  for (int leading = 0; leading < 2; leading++) {
    fixture t = fixture_of(COHORT_OP_SUM);
    const int64_t count = 1 << 20;
    const cohort_shape shape = leading ? SHAPE(count / 2, 2) : SHAPE(1, count);
    t.attributes.integers[0] = leading ? 1 : 2;
    double *x = fixture_real(&t, shape, 0, 1);
    for (int64_t i = 0; i < count; i++) x[i] = (double)0.1f;
    double *y = fixture_output(&t, leading ? SHAPE(1, 2) : SHAPE(1, 1), COHORT_TYPE_REAL);
    y[0] = leading ? (double)count / 2 * (double)0.1f : (double)count * (double)0.1f;
    if (leading) y[1] = y[0];
    t.terms = 25; /* 5e-5 relative: a plain running sum is off by 1e-2 */
    fixture_check(&t);
  }
}

static void test_max_keeps_nan(void) {
  fixture t = fixture_of(COHORT_OP_MAX);
  t.attributes.integers[0] = 2;
  double *x = fixture_real(&t, SHAPE(3, 101), -1, 1);
  x[50] = NAN;
  x[101] = NAN;
  double *y = fixture_output(&t, SHAPE(3, 1), COHORT_TYPE_REAL);
  y[0] = y[1] = NAN;
  y[2] = -INFINITY;
  for (int i = 0; i < 101; i++) y[2] = fmax(y[2], x[202 + i]);
  fixture_check(&t);
}

static const cohort_shape rows[] = {{1, {1}},         {1, {37}},       {2, {5, 64}},
                                    {3, {7, 3, 257}}, {2, {3, 20011}}, {2, {20011, 3}}};
enum { ROWS = sizeof rows / sizeof rows[0] };

static cohort_shape without_last(cohort_shape shape) {
  shape.axes--;
  return shape;
}

static void test_argmax(void) {
  for (int k = 0; k < ROWS; k++) {
    fixture t = fixture_of(COHORT_OP_ARGMAX);
    const int64_t columns = cohort_shape_columns(rows[k]);
    double *x = fixture_real(&t, rows[k], -1, 1);
    for (int64_t i = 0; i < cohort_shape_elements(rows[k]); i++) x[i] = floor(8 * x[i]); /* many equals */
    double *y = fixture_output(&t, without_last(rows[k]), COHORT_TYPE_INTEGER);
    for (int64_t row = 0; row < cohort_shape_rows(rows[k]); row++) {
      for (int64_t i = 1; i < columns; i++) {
        if (x[row * columns + i] > x[row * columns + (int64_t)y[row]]) y[row] = (double)i;
      }
    }
    fixture_check(&t);
  }
}

/* Rising, equals in their order, NaN last. */
static void test_argsort(void) {
  static const int64_t columns[] = {1, 2, 7, 64, 301};
  for (int k = 0; k < 5; k++) {
    fixture t = fixture_of(COHORT_OP_ARGSORT);
    const int64_t n = columns[k];
    double *x = fixture_real(&t, SHAPE(3, n), -1, 1);
    for (int64_t i = 0; i < 3 * n; i++) x[i] = i % 11 == 5 ? NAN : floor(8 * x[i]); /* many equals */
    double *y = fixture_output(&t, SHAPE(3, n), COHORT_TYPE_INTEGER);
    for (int64_t row = 0; row < 3; row++)
      for (int64_t i = 0; i < n; i++) {
        const double own = x[row * n + i];
        int64_t place = 0;
        for (int64_t j = 0; j < n; j++) {
          const double other = x[row * n + j];
          const bool equal = other == own || (isnan(other) && isnan(own));
          place += equal ? j < i : isnan(own) || other < own;
        }
        y[row * n + place] = (double)i;
      }
    fixture_check(&t);
  }
}

/* Short rows and long ones: the first NaN, else the first of the largest. */
static void test_argmax_of_nan(void) {
  static const int64_t columns[] = {3, 10, 40};
  for (int k = 0; k < 3; k++) {
    fixture t = fixture_of(COHORT_OP_ARGMAX);
    const int64_t n = columns[k];
    double *x = fixture_real(&t, SHAPE(3, n), -1, 1);
    double *y = fixture_output(&t, SHAPE(3), COHORT_TYPE_INTEGER);
    x[1] = x[2] = NAN;
    x[0] = INFINITY;
    for (int64_t i = 0; i < n; i++) x[n + i] = -INFINITY;
    for (int64_t i = 0; i < n; i++) x[2 * n + i] = NAN;
    y[0] = 1;
    fixture_check(&t);
  }
}

static void test_logsumexp(void) {
  for (int k = 0; k < ROWS; k++) {
    fixture t = fixture_of(COHORT_OP_LOGSUMEXP);
    const int64_t columns = cohort_shape_columns(rows[k]);
    const double *x = fixture_real(&t, rows[k], -40, 200);
    cohort_shape kept = rows[k];
    kept.size[kept.axes - 1] = 1;
    double *y = fixture_output(&t, kept, COHORT_TYPE_REAL);
    for (int64_t row = 0; row < cohort_shape_rows(rows[k]); row++) {
      double largest = -INFINITY, sum = 0;
      for (int64_t i = 0; i < columns; i++) largest = fmax(largest, x[row * columns + i]);
      for (int64_t i = 0; i < columns; i++) sum += exp(x[row * columns + i] - largest);
      y[row] = largest + log(sum);
    }
    fixture_check(&t);
  }
}

static void test_logsumexp_of_infinities(void) {
  fixture t = fixture_of(COHORT_OP_LOGSUMEXP);
  double *x = fixture_real(&t, SHAPE(2, 3), 0, 1);
  for (int i = 0; i < 3; i++) x[i] = -INFINITY;
  x[4] = INFINITY;
  double *y = fixture_output(&t, SHAPE(2, 1), COHORT_TYPE_REAL);
  y[0] = -INFINITY;
  y[1] = INFINITY;
  fixture_check(&t);
}

static void test_cumsum(void) {
  static const cohort_shape shapes[] = {{1, {1}}, {1, {20011}}, {2, {5, 7}}, {3, {3, 41, 601}}, {3, {601, 5, 11}}};
  for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
    for (int axis = 0; axis < shapes[k].axes; axis++) {
      for (int reverse = 0; reverse < 2; reverse++) {
        fixture t = fixture_of(COHORT_OP_CUMSUM);
        t.attributes.integers[0] = axis;
        t.attributes.integers[1] = reverse;
        const double *x = fixture_real(&t, shapes[k], -1, 1);
        double *y = fixture_output(&t, shapes[k], COHORT_TYPE_REAL);
        const int64_t elements = cohort_shape_elements(shapes[k]), size = shapes[k].size[axis];
        int64_t inner = 1;
        for (int after = axis + 1; after < shapes[k].axes; after++) inner *= shapes[k].size[after];
        for (int64_t i = 0; i < elements; i++) {
          const int64_t from = reverse ? elements - 1 - i : i, position = from / inner % size;
          const int first = reverse ? position == size - 1 : position == 0;
          y[from] = x[from] + (first ? 0 : y[reverse ? from + inner : from - inner]);
        }
        t.terms = (double)size;
        fixture_check(&t);
      }
    }
  }
}

static const check checks[] = {
    {"sum", test_sum},
    {"max", test_max},
    {"long sums stay accurate", test_accuracy},
    {"max keeps NaN", test_max_keeps_nan},
    {"argmax gives the first", test_argmax},
    {"argmax gives the first NaN", test_argmax_of_nan},
    {"argsort", test_argsort},
    {"logsumexp", test_logsumexp},
    {"logsumexp of infinities", test_logsumexp_of_infinities},
    {"cumsum", test_cumsum},
};

int main(void) { return check_run("reduction", checks, sizeof checks / sizeof checks[0]); }
