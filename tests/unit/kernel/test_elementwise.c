#include "fixture.h"

static const int64_t lengths[] = {1, 7, 64, 16384, 40009};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static double negate(double x) { return -x; }
static double sign(double x) { return (x > 0) - (x < 0); }
static double reciprocal_root(double x) { return 1 / sqrt(x); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double relu(double x) { return x > 0 ? x : 0; }
static double gelu_tanh(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
static double gelu_erf(double x) { return 0.5 * x * erfc(-x / sqrt(2)); }

typedef struct unary_case {
  cohort_op op;
  double (*function)(double);
  double low, high;
} unary_case;

static const unary_case unary_cases[] = {
    {COHORT_OP_NEGATE, negate, -5, 5},
    {COHORT_OP_ABSOLUTE, fabs, -5, 5},
    {COHORT_OP_SIGN, sign, -5, 5},
    {COHORT_OP_EXPONENTIAL, exp, -90, 80},
    {COHORT_OP_EXPONENTIAL, exp, -1, 1},
    {COHORT_OP_LOG, log, 0, 2},
    {COHORT_OP_LOG, log, 0, 1e30},
    {COHORT_OP_LOG1P, log1p, -0.99, 5},
    {COHORT_OP_EXPM1, expm1, -20, 20},
    {COHORT_OP_SQUARE_ROOT, sqrt, 0, 9},
    {COHORT_OP_RECIPROCAL_ROOT, reciprocal_root, 0.1, 9},
    {COHORT_OP_SINE, sin, -1000, 1000},
    {COHORT_OP_COSINE, cos, -1000, 1000},
    {COHORT_OP_TANH, tanh, -12, 12},
    {COHORT_OP_SIGMOID, sigmoid, -100, 100},
    {COHORT_OP_SOFTPLUS, softplus, -30, 30},
    {COHORT_OP_ERROR_FUNCTION, erf, -5, 5},
    {COHORT_OP_ROUND, nearbyint, -50, 50},
    {COHORT_OP_RELU, relu, -5, 5},
};

static void test_unary(void) {
  for (size_t c = 0; c < sizeof unary_cases / sizeof unary_cases[0]; c++) {
    for (int k = 0; k < LENGTHS; k++) {
      fixture t = fixture_of(unary_cases[c].op);
      const double *x = fixture_real(&t, SHAPE(lengths[k]), unary_cases[c].low, unary_cases[c].high);
      double *y = fixture_output(&t, SHAPE(lengths[k]), COHORT_TYPE_REAL);
      for (int64_t i = 0; i < lengths[k]; i++) y[i] = unary_cases[c].function(x[i]);
      fixture_check(&t);
    }
  }
}

/* Small results must be right relative to themselves. */
static void test_relative(void) {
  static const struct {
    cohort_op op;
    double (*function)(double);
  } cases[] = {{COHORT_OP_TANH, tanh},
               {COHORT_OP_EXPM1, expm1},
               {COHORT_OP_LOG1P, log1p},
               {COHORT_OP_SINE, sin},
               {COHORT_OP_ERROR_FUNCTION, erf}};
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
      float x[16], y[16];
      for (int i = 0; i < 16; i++) x[i] = ldexpf(i % 2 ? -1.37f : 1.91f, -2 * i);
      const cohort_team team = {1};
      cohort_call call = {.inputs = 1, .outputs = 1, .team = &team};
      call.input[0] = (cohort_tensor){x, SHAPE(16), COHORT_TYPE_REAL};
      call.output[0] = (cohort_tensor){y, SHAPE(16), COHORT_TYPE_REAL};
      cohort_kernels_float32((cohort_isa)isa)->run[cases[c].op](&call);
      for (int i = 0; i < 16; i++) {
        const double wanted = cases[c].function((double)x[i]);
        CU_ASSERT(isnan(wanted) ? isnan(y[i]) : fabs((double)y[i] - wanted) <= 1e-6 * fabs(wanted));
      }
    }
  }
}

static void test_extremes(void) {
  static const double x[] = {INFINITY, -INFINITY, NAN, 0.0, 1e-40, -1.0, 88.5, 89.5, -200.0};
  enum { COUNT = sizeof x / sizeof x[0] };
  static const struct {
    cohort_op op;
    double (*function)(double);
  } cases[] = {{COHORT_OP_EXPONENTIAL, exp},   {COHORT_OP_LOG, log},           {COHORT_OP_TANH, tanh},
               {COHORT_OP_SIGMOID, sigmoid},   {COHORT_OP_SOFTPLUS, softplus}, {COHORT_OP_LOG1P, log1p},
               {COHORT_OP_ERROR_FUNCTION, erf}};
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
      float given[COUNT], y[COUNT];
      for (int i = 0; i < COUNT; i++) given[i] = (float)x[i];
      const cohort_team team = {1};
      cohort_call call = {.inputs = 1, .outputs = 1, .team = &team};
      call.input[0] = (cohort_tensor){given, SHAPE(COUNT), COHORT_TYPE_REAL};
      call.output[0] = (cohort_tensor){y, SHAPE(COUNT), COHORT_TYPE_REAL};
      cohort_kernels_float32((cohort_isa)isa)->run[cases[c].op](&call);
      for (int i = 0; i < COUNT; i++) {
        const double wanted = (double)(float)cases[c].function((double)given[i]);
        const int same = (isnan(wanted) && isnan(y[i])) || (double)y[i] == wanted ||
                         fabs((double)y[i] - wanted) <= 1e-5 * fmax(fabs(wanted), 1);
        if (!same) fprintf(stderr, "%s(%g) is %g, not %g\n", cohort_op_name(cases[c].op), x[i], (double)y[i], wanted);
        CU_ASSERT(same);
      }
    }
  }
}

static double add(double a, double b) { return a + b; }
static double subtract(double a, double b) { return a - b; }
static double multiply(double a, double b) { return a * b; }
static double divide(double a, double b) { return a / b; }
static double less(double a, double b) { return a < b; }
static double less_equal(double a, double b) { return a <= b; }
static double equal(double a, double b) { return a == b; }

typedef struct shapes {
  cohort_shape a, b, y;
} shapes;

static const shapes broadcasts[] = {
    {{0}, {0}, {0}},
    {{1, {19}}, {1, {19}}, {1, {19}}},
    {{2, {131, 257}}, {2, {131, 257}}, {2, {131, 257}}},
    {{2, {131, 257}}, {0}, {2, {131, 257}}},
    {{0}, {2, {131, 257}}, {2, {131, 257}}},
    {{2, {131, 257}}, {1, {257}}, {2, {131, 257}}},
    {{2, {131, 257}}, {2, {131, 1}}, {2, {131, 257}}},
    {{2, {131, 1}}, {2, {1, 257}}, {2, {131, 257}}},
    {{3, {5, 1, 7}}, {3, {1, 3, 1}}, {3, {5, 3, 7}}},
    {{4, {2, 3, 1, 5}}, {3, {3, 4, 1}}, {4, {2, 3, 4, 5}}},
    {{4, {13, 1, 41, 1}}, {4, {1, 17, 1, 3}}, {4, {13, 17, 41, 3}}},
    {{1, {1}}, {3, {1, 1, 1}}, {3, {1, 1, 1}}},
    {{2, {16385, 1}}, {2, {16385, 3}}, {2, {16385, 3}}},
};
enum { BROADCASTS = sizeof broadcasts / sizeof broadcasts[0] };

static void binary_fixture(cohort_op op, int64_t relation, double (*function)(double, double), const shapes *s,
                           double low, int integer) {
  fixture t = fixture_of(op);
  t.attributes.integers[0] = relation;
  const double *a = integer ? fixture_integer(&t, s->a, -3, 3) : fixture_real(&t, s->a, low, 4);
  const double *b = integer ? fixture_integer(&t, s->b, -3, 3) : fixture_real(&t, s->b, low, 4);
  double *y = fixture_output(&t, s->y, COHORT_TYPE_REAL);
  for (int64_t i = 0; i < cohort_shape_elements(s->y); i++) {
    y[i] = function(a[fixture_broadcast(s->a, s->y, i)], b[fixture_broadcast(s->b, s->y, i)]);
  }
  fixture_check(&t);
}

static void test_binary(void) {
  for (int k = 0; k < BROADCASTS; k++) {
    const shapes *s = &broadcasts[k];
    binary_fixture(COHORT_OP_ADD, 0, add, s, -4, 0);
    binary_fixture(COHORT_OP_SUBTRACT, 0, subtract, s, -4, 0);
    binary_fixture(COHORT_OP_MULTIPLY, 0, multiply, s, -4, 0);
    binary_fixture(COHORT_OP_DIVIDE, 0, divide, s, 0.5, 0);
    binary_fixture(COHORT_OP_POWER, 0, pow, s, 0.5, 0);
    binary_fixture(COHORT_OP_MINIMUM, 0, fmin, s, -4, 0);
    binary_fixture(COHORT_OP_MAXIMUM, 0, fmax, s, -4, 0);
    binary_fixture(COHORT_OP_COMPARE, 0, less, s, -4, 0);
    binary_fixture(COHORT_OP_COMPARE, 0, less, s, -4, 1);
    binary_fixture(COHORT_OP_COMPARE, 1, less_equal, s, -4, 1);
    binary_fixture(COHORT_OP_COMPARE, 2, equal, s, -4, 1);
  }
}

static void test_select(void) {
  for (int k = 0; k < BROADCASTS; k++) {
    for (int integer = 0; integer < 2; integer++) {
      const shapes *s = &broadcasts[k];
      fixture t = fixture_of(COHORT_OP_SELECT);
      double *condition = fixture_real(&t, s->a, 0, 1);
      for (int64_t i = 0; i < cohort_shape_elements(s->a); i++) condition[i] = condition[i] < 0.5;
      t.input[0].type = integer ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL;
      const double *a = fixture_real(&t, s->y, -1, 1), *b = fixture_real(&t, s->b, -1, 1);
      double *y = fixture_output(&t, s->y, COHORT_TYPE_REAL);
      for (int64_t i = 0; i < cohort_shape_elements(s->y); i++) {
        y[i] = condition[fixture_broadcast(s->a, s->y, i)] != 0 ? a[i] : b[fixture_broadcast(s->b, s->y, i)];
      }
      fixture_check(&t);
    }
  }
}

static void test_cast(void) {
  fixture t = fixture_of(COHORT_OP_CAST);
  const double *x = fixture_integer(&t, SHAPE(3, 16411), -1000, 1000);
  memcpy(fixture_output(&t, SHAPE(3, 16411), COHORT_TYPE_REAL), x, 3 * 16411 * sizeof *x);
  fixture_check(&t);
}

static double slope(double (*function)(double), double x) {
  const double h = 1e-3; /* fourth order */
  return (8 * (function(x + h) - function(x - h)) - (function(x + 2 * h) - function(x - 2 * h))) / (12 * h);
}

static void test_gelu(void) {
  for (int form = 0; form < 2; form++) {
    double (*function)(double) = form ? gelu_erf : gelu_tanh;
    for (int k = 0; k < LENGTHS; k++) {
      fixture t = fixture_of(COHORT_OP_GELU);
      t.attributes.integers[0] = form;
      const double *x = fixture_real(&t, SHAPE(lengths[k]), -6, 6);
      double *y = fixture_output(&t, SHAPE(lengths[k]), COHORT_TYPE_REAL);
      for (int64_t i = 0; i < lengths[k]; i++) y[i] = function(x[i]);
      fixture_check(&t);
      t = fixture_of(COHORT_OP_GELU_BACKWARD);
      t.attributes.integers[0] = form;
      x = fixture_real(&t, SHAPE(lengths[k]), -6, 6);
      const double *dy = fixture_real(&t, SHAPE(lengths[k]), -1, 1);
      y = fixture_output(&t, SHAPE(lengths[k]), COHORT_TYPE_REAL);
      for (int64_t i = 0; i < lengths[k]; i++) y[i] = dy[i] * slope(function, x[i]);
      t.terms = 4;
      fixture_check(&t);
    }
  }
}

static double silu(double x) { return x / (1 + exp(-x)); }

static void test_swiglu(void) {
  for (int k = 0; k < LENGTHS; k++) {
    const cohort_shape shape = SHAPE(lengths[k]);
    fixture t = fixture_of(COHORT_OP_SWIGLU);
    const double *a = fixture_real(&t, shape, -8, 8), *b = fixture_real(&t, shape, -2, 2);
    double *y = fixture_output(&t, shape, COHORT_TYPE_REAL);
    for (int64_t i = 0; i < lengths[k]; i++) y[i] = silu(a[i]) * b[i];
    fixture_check(&t);
    t = fixture_of(COHORT_OP_SWIGLU_BACKWARD);
    a = fixture_real(&t, shape, -8, 8), b = fixture_real(&t, shape, -2, 2);
    const double *dy = fixture_real(&t, shape, -1, 1);
    double *da = fixture_output(&t, shape, COHORT_TYPE_REAL), *db = fixture_output(&t, shape, COHORT_TYPE_REAL);
    for (int64_t i = 0; i < lengths[k]; i++) {
      da[i] = dy[i] * b[i] * slope(silu, a[i]);
      db[i] = dy[i] * silu(a[i]);
    }
    t.terms = 4;
    fixture_check(&t);
  }
}

static void test_relu_backward(void) {
  fixture t = fixture_of(COHORT_OP_RELU_BACKWARD);
  double *x = fixture_real(&t, SHAPE(17, 1201), -1, 1);
  const double *dy = fixture_real(&t, SHAPE(17, 1201), -1, 1);
  double *dx = fixture_output(&t, SHAPE(17, 1201), COHORT_TYPE_REAL);
  x[3] = 0;
  for (int64_t i = 0; i < 17 * 1201; i++) dx[i] = x[i] > 0 ? dy[i] : 0;
  fixture_check(&t);
}

static const check checks[] = {
    {"unary operations", test_unary},
    {"small arguments keep relative accuracy", test_relative},
    {"infinities, NaN and overflow", test_extremes},
    {"binary operations broadcast", test_binary},
    {"select", test_select},
    {"cast", test_cast},
    {"gelu", test_gelu},
    {"swiglu", test_swiglu},
    {"relu backward", test_relu_backward},
};

int main(void) { return check_run("elementwise", checks, sizeof checks / sizeof checks[0]); }
