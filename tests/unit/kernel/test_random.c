#include "fixture.h"

enum { NODE = 77 };

static const cohort_shape shapes[] = {{1, {9}},       {2, {1, 1}},      {2, {3, 5}},     {2, {7, 1024}},
                                      {2, {5, 4099}}, {3, {61, 3, 31}}, {2, {2, 33333}}, {2, {20011, 2}}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* The stream's key, row id and element number of element i of the output. */
typedef struct place {
  cohort_random_key key;
  uint64_t high, element;
} place;

static place place_of(const fixture *t, const double *ids, const double *positions, cohort_shape shape, int64_t i) {
  const int64_t columns = cohort_shape_elements(shape) / shape.size[0], row = i / columns;
  return (place){cohort_random_key_derive(t->key, NODE), (uint64_t)ids[row],
                 (uint64_t)((int64_t)positions[row] * columns + i % columns)};
}

static void test_uniform(void) {
  for (int k = 0; k < SHAPES; k++) {
    fixture t = fixture_of(COHORT_OP_RANDOM_UNIFORM);
    t.attributes.integers[0] = NODE;
    const double *ids = fixture_integer(&t, SHAPE(shapes[k].size[0]), 0, 1000000000);
    const double *positions = fixture_integer(&t, SHAPE(shapes[k].size[0]), 0, 1000000);
    double *y = fixture_output(&t, shapes[k], COHORT_TYPE_REAL);
    for (int64_t i = 0; i < cohort_shape_elements(shapes[k]); i++) {
      const place p = place_of(&t, ids, positions, shapes[k], i);
      y[i] = cohort_random_uniform(cohort_random_word(p.key, p.high, p.element));
    }
    t.terms = 1e-12; /* exactly */
    fixture_check(&t);
  }
}

static void test_normal(void) {
  for (int k = 0; k < SHAPES; k++) {
    fixture t = fixture_of(COHORT_OP_RANDOM_NORMAL);
    t.attributes.integers[0] = NODE;
    const double *ids = fixture_integer(&t, SHAPE(shapes[k].size[0]), 0, 1000000000);
    const double *positions = fixture_integer(&t, SHAPE(shapes[k].size[0]), 0, 1000000);
    double *y = fixture_output(&t, shapes[k], COHORT_TYPE_REAL);
    for (int64_t i = 0; i < cohort_shape_elements(shapes[k]); i++) {
      const place p = place_of(&t, ids, positions, shapes[k], i);
      y[i] = cohort_random_normal_at(p.key, p.high, p.element);
    }
    fixture_check(&t);
  }
}

static void dropout_fixture(cohort_shape shape, double probability) {
  fixture t = fixture_of(COHORT_OP_DROPOUT);
  t.attributes = (cohort_attributes){.integers = {NODE}, .reals = {probability}};
  const double *x = fixture_real(&t, shape, -1, 1);
  const double *ids = fixture_integer(&t, SHAPE(shape.size[0]), 0, 1000000000);
  const double *positions = fixture_integer(&t, SHAPE(shape.size[0]), 0, 1000000);
  double *y = fixture_output(&t, shape, COHORT_TYPE_REAL);
  for (int64_t i = 0; i < cohort_shape_elements(shape); i++) {
    const place p = place_of(&t, ids, positions, shape, i);
    const double u = cohort_random_uniform(cohort_random_word(p.key, p.high, p.element));
    y[i] = u >= probability ? x[i] / (1 - probability) : 0;
  }
  fixture_check(&t);
}

static void test_dropout(void) {
  for (int k = 0; k < SHAPES; k++) {
    dropout_fixture(shapes[k], 0);
    dropout_fixture(shapes[k], 0.1);
    dropout_fixture(shapes[k], 0.5);
  }
}

/* A row's numbers depend on its id and position alone: cutting the tensor elsewhere gives the same numbers. */
static void test_rows_are_independent(void) {
  enum { COLUMNS = 37, ROWS = 4 };
  float whole[ROWS * COLUMNS], one[COLUMNS];
  int32_t ids[ROWS] = {5, 5, 9, -1}, positions[ROWS] = {0, 1, 0, 3};
  const cohort_team team = {1};
  const cohort_kernel_set *set = cohort_kernels_float32(cohort_processor_isa());
  cohort_call call = {.inputs = 2, .outputs = 1, .team = &team, .attributes.integers = {NODE}};
  call.input[0] = (cohort_tensor){ids, SHAPE(ROWS), COHORT_TYPE_INTEGER};
  call.input[1] = (cohort_tensor){positions, SHAPE(ROWS), COHORT_TYPE_INTEGER};
  call.output[0] = (cohort_tensor){whole, SHAPE(ROWS, COLUMNS), COHORT_TYPE_REAL};
  set->run[COHORT_OP_RANDOM_NORMAL](&call);
  for (int row = 0; row < ROWS; row++) {
    call.input[0] = (cohort_tensor){ids + row, SHAPE(1), COHORT_TYPE_INTEGER};
    call.input[1] = (cohort_tensor){positions + row, SHAPE(1), COHORT_TYPE_INTEGER};
    call.output[0] = (cohort_tensor){one, SHAPE(1, COLUMNS), COHORT_TYPE_REAL};
    set->run[COHORT_OP_RANDOM_NORMAL](&call);
    CU_ASSERT_EQUAL(memcmp(one, whole + row * COLUMNS, sizeof one), 0);
  }
  CU_ASSERT_NOT_EQUAL(memcmp(whole, whole + COLUMNS, sizeof one), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(whole, whole + 2 * COLUMNS, sizeof one), 0);
}

static const check checks[] = {
    {"uniform is the stream", test_uniform},
    {"normal is the stream", test_normal},
    {"dropout", test_dropout},
    {"rows are independent", test_rows_are_independent},
};

int main(void) { return check_run("random", checks, sizeof checks / sizeof checks[0]); }
