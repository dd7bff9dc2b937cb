/* Derivatives against differences, in float64: first derivatives of every differentiable operation and of every
 * decomposition, and Hessian-vector products. Differences are central, of fourth order. */
#include "cases.h"

static const double step = 1e-3, tolerance = 1e-6, second_tolerance = 1e-5;
enum { COORDINATES = 64, DIRECTIONS = 8 };

/* sum of w (y + y^2 / 2): not linear in y, so that second derivatives of linear operations count too. */
static cohort_value loss_of(rig *own, cohort_value y) {
  const cohort_value weight = rig_given(own, cohort_graph_shape(own->graph, y), -1, 1);
  const cohort_value square = cohort_graph_scale(own->graph, cohort_graph_multiply(own->graph, y, y), 0.5);
  return cohort_graph_sum_all(own->graph,
                              cohort_graph_multiply(own->graph, weight, cohort_graph_add(own->graph, y, square)));
}

static void expect_valid(const rig *own, const char *name) {
  cohort_error error;
  if (cohort_graph_status(own->graph, &error) != COHORT_DONE) {
    fprintf(stderr, "%s: %s\n", name, error.text);
    CU_FAIL_FATAL("the graph has a fault");
  }
}

/* Moves parameter `which` by amount * direction, evaluates, and moves back. */
static double evaluate(runner *run, double *data, const double *direction, size_t elements, double amount,
                       cohort_value loss) {
  double *kept = cohort_allocate(elements * sizeof *kept);
  memcpy(kept, data, elements * sizeof *kept);
  for (size_t i = 0; i < elements; i++) data[i] += amount * direction[i];
  runner_run(run);
  memcpy(data, kept, elements * sizeof *kept);
  free(kept);
  return runner_read(run, loss, 0);
}

static double difference(runner *run, double *data, const double *direction, size_t elements, cohort_value loss) {
  const double near =
      evaluate(run, data, direction, elements, step, loss) - evaluate(run, data, direction, elements, -step, loss);
  const double far = evaluate(run, data, direction, elements, 2 * step, loss) -
                     evaluate(run, data, direction, elements, -2 * step, loss);
  return (8 * near - far) / (12 * step);
}

static double norm_of(const double *x, size_t elements) {
  double sum = 0;
  for (size_t i = 0; i < elements; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

static void compare(const char *name, const char *what, double got, double wanted, double bound) {
  if (!(fabs(got - wanted) <= bound))
    fprintf(stderr, "%s: %s is %.12g, by differences %.12g\n", name, what, got, wanted);
  CU_ASSERT(fabs(got - wanted) <= bound);
}

static void random_direction(rig *own, double *direction, size_t elements) {
  for (size_t i = 0; i < elements; i++) direction[i] = rig_uniform(own, -1, 1);
  const double norm = norm_of(direction, elements);
  for (size_t i = 0; i < elements; i++) direction[i] /= norm;
}

/* Holds the gradient g of parameter `which` against differences of the loss. */
static void check_parameter(rig *own, runner *run, const char *name, int which, const double *g, cohort_value loss) {
  const size_t elements = rig_elements(own, own->real[which]);
  double *data = own->real_data[which], *direction = cohort_allocate(elements * sizeof *direction);
  const double bound = tolerance * fmax(1, norm_of(g, elements));
  const size_t coordinates = elements < COORDINATES ? elements : COORDINATES;
  for (size_t c = 0; c < coordinates; c++) {
    const size_t at = elements <= COORDINATES ? c : rig_bits(own) % elements;
    memset(direction, 0, elements * sizeof *direction);
    direction[at] = 1;
    compare(name, "gradient", g[at], difference(run, data, direction, elements, loss), bound);
  }
  for (int d = 0; d < DIRECTIONS; d++) {
    random_direction(own, direction, elements);
    double along = 0;
    for (size_t i = 0; i < elements; i++) along += g[i] * direction[i];
    compare(name, "derivative along a direction", along, difference(run, data, direction, elements, loss), bound);
  }
  free(direction);
}

static double *read_all(const runner *run, cohort_value value, size_t elements) {
  double *out = cohort_allocate(elements * sizeof *out);
  for (size_t i = 0; i < elements; i++) out[i] = runner_read(run, value, (int64_t)i);
  return out;
}

/* The decomposed graph takes the place of the rig's own. */
static cohort_value decompose(rig *own, cohort_value value) {
  cohort_value *map = cohort_allocate((size_t)cohort_graph_values(own->graph) * sizeof *map);
  cohort_graph *small = cohort_graph_decompose(own->graph, COHORT_DECOMPOSE_ALL, map);
  value = map[value];
  cohort_graph_destroy(own->graph);
  own->graph = small;
  for (int i = 0; i < own->reals; i++) cohort_graph_parameter_at(small, i, &own->real[i]);
  free(map);
  return value;
}

static void check_first(const fixture_case *own, bool decomposed) {
  rig at = rig_create(7 + (uint64_t)own->variant);
  cohort_value loss = loss_of(&at, own->build(&at, own->variant)), wrt[RIG_LEAVES + 1];
  expect_valid(&at, own->name);
  if (decomposed) loss = decompose(&at, loss);
  cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, at.reals, at.real, wrt);
  expect_valid(&at, own->name);
  wrt[at.reals] = loss;
  runner run = runner_create(&at, at.graph, cohort_kernels_float64(), at.reals + 1, wrt, 1);
  runner plain = runner_create(&at, at.graph, cohort_kernels_float64(), 1, &loss, 1);
  runner_run(&run);
  for (int i = 0; i < at.reals; i++) {
    double *g = read_all(&run, wrt[i], rig_elements(&at, at.real[i]));
    check_parameter(&at, &plain, own->name, i, g, loss);
    free(g);
  }
  runner_destroy(&plain);
  runner_destroy(&run);
  rig_destroy(&at);
}

/* Adds amount * direction to all parameters. */
static void move(rig *own, double *const *direction, double amount) {
  for (int i = 0; i < own->reals; i++)
    for (size_t e = 0; e < rig_elements(own, own->real[i]); e++) own->real_data[i][e] += amount * direction[i][e];
}

/* The products against differences of the gradients along the same direction, for all parameters together. */
static void check_products(rig *own, runner *run, const char *name, double *const *direction,
                           const cohort_value *gradients, const cohort_value *products) {
  static const double amounts[] = {1, -1, 2, -2}, factors[] = {8, -8, -1, 1};
  double *expected[RIG_LEAVES];
  for (int i = 0; i < own->reals; i++) expected[i] = cohort_allocate(rig_elements(own, own->real[i]) * sizeof(double));
  for (int k = 0; k < 4; k++) {
    move(own, direction, amounts[k] * step);
    runner_run(run);
    move(own, direction, -amounts[k] * step);
    for (int i = 0; i < own->reals; i++)
      for (size_t e = 0; e < rig_elements(own, own->real[i]); e++)
        expected[i][e] += factors[k] * runner_read(run, gradients[i], (int64_t)e) / (12 * step);
  }
  runner_run(run);
  for (int i = 0; i < own->reals; i++) {
    const size_t elements = rig_elements(own, own->real[i]);
    const double bound = second_tolerance * fmax(1, norm_of(expected[i], elements));
    for (size_t e = 0; e < elements; e++)
      compare(name, "product", runner_read(run, products[i], (int64_t)e), expected[i][e], bound);
    free(expected[i]);
  }
}

static void check_second(const fixture_case *own, bool decomposed) {
  rig at = rig_create(11 + (uint64_t)own->variant);
  cohort_value loss = loss_of(&at, own->build(&at, own->variant));
  cohort_value direction[RIG_LEAVES], all[2 * RIG_LEAVES];
  double *direction_data[RIG_LEAVES];
  const int reals = at.reals;
  for (int i = 0; i < reals; i++) {
    direction[i] = rig_given(&at, cohort_graph_shape(at.graph, at.real[i]), -1, 1);
    direction_data[i] = at.input_data[at.inputs - 1];
    random_direction(&at, direction_data[i], rig_elements(&at, at.real[i]));
  }
  if (decomposed) {
    loss = decompose(&at, loss);
    for (int i = 0; i < reals; i++) direction[i] = cohort_graph_input_at(at.graph, at.inputs - reals + i, NULL);
  }
  cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, reals, at.real, all);
  cohort_graph_hessian_product(at.graph, reals, all, at.real, direction, all + reals);
  expect_valid(&at, own->name);
  runner run = runner_create(&at, at.graph, cohort_kernels_float64(), 2 * reals, all, 1);
  check_products(&at, &run, own->name, direction_data, all, all + reals);
  runner_destroy(&run);
  rig_destroy(&at);
}

static void test_small(void) {
  for (int i = 0; i < SMALL_CASES; i++) check_first(&small_cases[i], false);
}
static void test_small_second(void) {
  for (int i = 0; i < SMALL_CASES; i++) check_second(&small_cases[i], false);
}
static void test_decomposed(void) {
  for (int i = 0; i < FUSED_CASES; i++) check_first(&fused_cases[i], true);
}
static void test_decomposed_second(void) {
  for (int i = 0; i < FUSED_CASES; i++) check_second(&fused_cases[i], true);
}
static void test_fused(void) {
  for (int i = 0; i < FUSED_CASES; i++) check_first(&fused_cases[i], false);
}

/* What has no slope: sign, round, stop_gradient, an argmax; and a parameter that the loss does not see. */
static void test_independent(void) {
  rig at = rig_create(3);
  const cohort_value x = rig_real(&at, COHORT_SHAPE(4, 5), -2, 2), other = rig_real(&at, COHORT_SHAPE(3), -1, 1);
  cohort_value sum = cohort_graph_unary(at.graph, COHORT_OP_SIGN, x), gradient[3];
  sum = cohort_graph_add(at.graph, sum, cohort_graph_unary(at.graph, COHORT_OP_ROUND, x));
  sum = cohort_graph_add(at.graph, sum, cohort_graph_stop_gradient(at.graph, cohort_graph_multiply(at.graph, x, x)));
  const cohort_value best = cohort_graph_cast(at.graph, cohort_graph_argmax(at.graph, x));
  const cohort_value loss =
      cohort_graph_add(at.graph, cohort_graph_sum_all(at.graph, sum), cohort_graph_sum_all(at.graph, best));
  cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, 3, (cohort_value[]){x, other, x}, gradient);
  expect_valid(&at, "independent");
  CU_ASSERT(gradient[0] != gradient[2]);
  runner run = runner_create(&at, at.graph, cohort_kernels_float64(), 3, gradient, 1);
  runner_run(&run);
  for (int i = 0; i < 20; i++) CU_ASSERT_EQUAL(runner_read(&run, gradient[0], i), 0);
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(runner_read(&run, gradient[1], i), 0);
  runner_destroy(&run);
  rig_destroy(&at);
}

/* relu has slope 0 at 0, fused and decomposed; a tied maximum is shared in equal parts. */
static void test_ties(void) {
  for (int decomposed = 0; decomposed < 2; decomposed++) {
    rig at = rig_create(5);
    const cohort_value x = rig_real(&at, COHORT_SHAPE(4), 0, 0), y = rig_real(&at, COHORT_SHAPE(4), 2, 2);
    cohort_value gradient[2];
    cohort_value loss = cohort_graph_add(at.graph, cohort_graph_sum_all(at.graph, cohort_graph_relu(at.graph, x)),
                                         cohort_graph_sum_all(at.graph, cohort_graph_max(at.graph, y, 1)));
    if (decomposed) loss = decompose(&at, loss);
    cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, 2, at.real, gradient);
    runner run = runner_create(&at, at.graph, cohort_kernels_float64(), 2, gradient, 1);
    runner_run(&run);
    for (int i = 0; i < 4; i++) {
      CU_ASSERT_EQUAL(runner_read(&run, gradient[0], i), 0);
      CU_ASSERT_EQUAL(runner_read(&run, gradient[1], i), 0.25);
    }
    runner_destroy(&run);
    rig_destroy(&at);
  }
}

/* A gradient with respect to an intermediate value, with a given cotangent; through shared values. */
static void test_intermediate(void) {
  rig at = rig_create(9);
  const cohort_value x = rig_real(&at, COHORT_SHAPE(5), -1, 1), seed = rig_given(&at, COHORT_SHAPE(5), -1, 1);
  const cohort_value square = cohort_graph_multiply(at.graph, x, x);
  const cohort_value y = cohort_graph_add(at.graph, cohort_graph_multiply(at.graph, square, x), square); /* x^3 + x^2 */
  cohort_value gradient[2];
  cohort_graph_gradient(at.graph, y, seed, 2, (cohort_value[]){square, x}, gradient);
  runner run = runner_create(&at, at.graph, cohort_kernels_float64(), 2, gradient, 1);
  runner_run(&run);
  for (int i = 0; i < 5; i++) {
    const double v = at.real_data[0][i], s = ((const double *)at.input_data[0])[i];
    CU_ASSERT_DOUBLE_EQUAL(runner_read(&run, gradient[0], i), s * (v + 1), 1e-14);
    CU_ASSERT_DOUBLE_EQUAL(runner_read(&run, gradient[1], i), s * (3 * v * v + 2 * v), 1e-14);
  }
  runner_destroy(&run);
  rig_destroy(&at);
}

int main(void) {
  static const check checks[] = {
      {"small operations against differences", test_small},
      {"products of small operations", test_small_second},
      {"decompositions against differences", test_decomposed},
      {"products of decompositions", test_decomposed_second},
      {"independent values have zero gradients", test_independent},
      {"ties", test_ties},
      {"intermediate values and cotangents", test_intermediate},
      {"fused operations against differences", test_fused},
  };
  return check_run("gradient_check", checks, sizeof checks / sizeof checks[0]);
}
