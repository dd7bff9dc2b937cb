#include "fixture.h"

static int64_t tail_of(cohort_shape shape) { return cohort_shape_elements(shape) / shape.size[0]; }

static const cohort_shape tables[] = {{1, {7}}, {2, {5, 1}}, {2, {1009, 67}}, {3, {50, 3, 11}}, {2, {20011, 3}}};
static const cohort_shape indices[] = {{0}, {1, {1}}, {1, {301}}, {2, {17, 53}}};
enum { TABLES = sizeof tables / sizeof tables[0], INDICES = sizeof indices / sizeof indices[0] };

static cohort_shape rows_shape(cohort_shape index, cohort_shape table) {
  cohort_shape shape = index;
  for (int axis = 1; axis < table.axes; axis++) shape.size[shape.axes++] = table.size[axis];
  return shape;
}

static void test_gather(void) {
  for (int k = 0; k < TABLES * INDICES; k++) {
    const cohort_shape table = tables[k % TABLES], index = indices[k / TABLES];
    for (int integer = 0; integer < 2; integer++) {
      fixture t = fixture_of(COHORT_OP_GATHER);
      const double *x = integer ? fixture_integer(&t, table, -99, 99) : fixture_real(&t, table, -1, 1);
      const double *at = fixture_integer(&t, index, -1, (int)table.size[0] - 1);
      double *y = fixture_output(&t, rows_shape(index, table), integer ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL);
      const int64_t tail = tail_of(table);
      for (int64_t i = 0; i < cohort_shape_elements(index) * tail; i++) {
        if (at[i / tail] >= 0) y[i] = x[(int64_t)at[i / tail] * tail + i % tail];
      }
      fixture_check(&t);
    }
  }
}

static void scatter_fixture(cohort_op op, cohort_shape table, cohort_shape index, int onto) {
  fixture t = fixture_of(op);
  t.attributes.integers[0] = table.size[0];
  const int64_t rows = cohort_shape_elements(index), tail = tail_of(table);
  const double *x = fixture_real(&t, rows_shape(index, table), -1, 1);
  double *at = fixture_integer(&t, index, -1, (int)table.size[0] - 1);
  for (int64_t row = 0; op == COHORT_OP_SEGMENT_SUM && row < rows; row++) {
    at[row] = row >= rows - rows / 5 ? -1 : (double)(row * table.size[0] / rows);
  }
  const double *base = onto ? fixture_real(&t, table, -1, 1) : NULL;
  double *y = fixture_output(&t, table, COHORT_TYPE_REAL);
  for (int64_t i = 0; onto && i < cohort_shape_elements(table); i++) y[i] = base[i];
  for (int64_t i = 0; i < rows * tail; i++) {
    if (at[i / tail] >= 0) y[(int64_t)at[i / tail] * tail + i % tail] += x[i];
  }
  t.terms = (double)rows;
  fixture_check(&t);
}

static void test_scatter_add(void) {
  for (int k = 0; k < TABLES * INDICES; k++) {
    scatter_fixture(COHORT_OP_SCATTER_ADD, tables[k % TABLES], indices[k / TABLES], k % 2);
    scatter_fixture(COHORT_OP_SCATTER_ADD, tables[k % TABLES], indices[k / TABLES], (k + 1) % 2);
  }
}

static void test_segment_sum(void) {
  for (int k = 0; k < TABLES; k++) {
    scatter_fixture(COHORT_OP_SEGMENT_SUM, tables[k], SHAPE(1), 0);
    scatter_fixture(COHORT_OP_SEGMENT_SUM, tables[k], SHAPE(4001), 0);
  }
}

static void along_fixture(cohort_op op, cohort_shape rows, int64_t columns) {
  fixture t = fixture_of(op);
  cohort_shape wide = rows;
  wide.size[wide.axes++] = columns;
  t.attributes.integers[0] = columns;
  const int take = op == COHORT_OP_TAKE_ALONG;
  const double *x = fixture_real(&t, take ? wide : rows, -1, 1);
  const double *at = fixture_integer(&t, rows, -1, (int)columns - 1);
  double *y = fixture_output(&t, take ? rows : wide, COHORT_TYPE_REAL);
  for (int64_t row = 0; row < cohort_shape_elements(rows); row++) {
    if (at[row] < 0) continue;
    const int64_t place = row * columns + (int64_t)at[row];
    if (take) {
      y[row] = x[place];
    } else {
      y[place] = x[row];
    }
  }
  fixture_check(&t);
}

static void test_along(void) {
  static const cohort_shape rows[] = {{0}, {1, {1}}, {1, {5003}}, {2, {7, 31}}};
  for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
    static const int64_t columns[] = {1, 5, 97};
    for (int c = 0; c < 3; c++) {
      along_fixture(COHORT_OP_TAKE_ALONG, rows[k], columns[c]);
      along_fixture(COHORT_OP_PUT_ALONG, rows[k], columns[c]);
    }
  }
}

static void rotary_fixture(int64_t rows, int64_t heads, int64_t width, int back) {
  fixture t = fixture_of(COHORT_OP_ROTARY);
  t.attributes.integers[0] = back;
  t.attributes.reals[0] = 10000;
  const double *x = fixture_real(&t, SHAPE(rows, heads, width), -1, 1);
  const double *positions = fixture_integer(&t, SHAPE(rows), 0, 4096);
  double *y = fixture_output(&t, SHAPE(rows, heads, width), COHORT_TYPE_REAL);
  for (int64_t i = 0; i < rows * heads; i++) {
    for (int64_t j = 0; j < width / 2; j++) {
      const double angle = (back ? -1 : 1) * positions[i / heads] * pow(10000, -2.0 * (double)j / (double)width);
      const double a = x[i * width + j], b = x[i * width + j + width / 2];
      y[i * width + j] = a * cos(angle) - b * sin(angle);
      y[i * width + j + width / 2] = a * sin(angle) + b * cos(angle);
    }
  }
  fixture_check(&t);
}

static void test_rotary(void) {
  for (int back = 0; back < 2; back++) {
    rotary_fixture(1, 1, 2, back);
    rotary_fixture(67, 5, 6, back);
    rotary_fixture(129, 3, 64, back);
    rotary_fixture(11, 3, 258, back);
  }
}

static const check checks[] = {
    {"gather", test_gather},           {"scatter_add", test_scatter_add},
    {"segment_sum", test_segment_sum}, {"take_along and put_along", test_along},
    {"rotary", test_rotary},
};

int main(void) { return check_run("index", checks, sizeof checks / sizeof checks[0]); }
