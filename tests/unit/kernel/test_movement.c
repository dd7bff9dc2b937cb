#include "fixture.h"

static void test_permute(void) {
  static const struct {
    cohort_shape shape;
    int axes[COHORT_MAX_AXES];
  } cases[] = {
      {{1, {5}}, {0}},
      {{2, {1, 1}}, {1, 0}},
      {{2, {33, 65}}, {1, 0}},
      {{2, {257, 131}}, {1, 0}},
      {{3, {7, 64, 96}}, {0, 2, 1}},
      {{3, {7, 64, 96}}, {1, 0, 2}},
      {{3, {7, 64, 96}}, {2, 1, 0}},
      {{4, {3, 31, 5, 37}}, {0, 2, 1, 3}},
      {{4, {3, 31, 5, 37}}, {2, 3, 1, 0}},
      {{4, {3, 31, 5, 37}}, {3, 0, 2, 1}},
      {{4, {9, 1, 300, 1}}, {3, 2, 1, 0}},
      {{6, {2, 3, 4, 3, 2, 5}}, {5, 3, 1, 0, 2, 4}},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    for (int integer = 0; integer < 2; integer++) {
      fixture t = fixture_of(COHORT_OP_PERMUTE);
      const cohort_shape from = cases[k].shape;
      const double *x = integer ? fixture_integer(&t, from, -9999, 9999) : fixture_real(&t, from, -1, 1);
      cohort_shape to = from;
      int64_t stride[COHORT_MAX_AXES] = {0}, step = 1;
      for (int axis = from.axes - 1; axis >= 0; axis--) {
        stride[axis] = step;
        step *= from.size[axis];
      }
      for (int axis = 0; axis < from.axes; axis++) {
        t.attributes.integers[axis] = cases[k].axes[axis];
        to.size[axis] = from.size[cases[k].axes[axis]];
      }
      double *y = fixture_output(&t, to, integer ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL);
      for (int64_t i = 0; i < cohort_shape_elements(to); i++) {
        int64_t rest = i, offset = 0;
        for (int axis = to.axes - 1; axis >= 0; axis--) {
          offset += rest % to.size[axis] * stride[cases[k].axes[axis]];
          rest /= to.size[axis];
        }
        y[i] = x[offset];
      }
      fixture_check(&t);
    }
  }
}

static void test_broadcast(void) {
  static const struct {
    cohort_shape from, to;
  } cases[] = {
      {{0}, {1, {20011}}},
      {{1, {7}}, {2, {5003, 7}}},
      {{2, {301, 1}}, {2, {301, 103}}},
      {{3, {1, 5, 1}}, {4, {3, 2, 5, 7}}},
      {{2, {3, 4}}, {2, {3, 4}}},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    for (int integer = 0; integer < 2; integer++) {
      fixture t = fixture_of(COHORT_OP_BROADCAST);
      const double *x = integer ? fixture_integer(&t, cases[k].from, 0, 99) : fixture_real(&t, cases[k].from, -1, 1);
      double *y = fixture_output(&t, cases[k].to, integer ? COHORT_TYPE_INTEGER : COHORT_TYPE_REAL);
      for (int64_t i = 0; i < cohort_shape_elements(cases[k].to); i++) {
        y[i] = x[fixture_broadcast(cases[k].from, cases[k].to, i)];
      }
      fixture_check(&t);
    }
  }
}

static const cohort_shape shapes[] = {{1, {5}}, {2, {17, 1009}}, {3, {41, 7, 67}}, {4, {3, 5, 2, 3}}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* The position of element i along an axis, and the element at another position of a tensor with another size there. */
static int64_t position_of(cohort_shape shape, int axis, int64_t i) {
  for (int k = shape.axes - 1; k > axis; k--) i /= shape.size[k];
  return i % shape.size[axis];
}

static int64_t moved(cohort_shape shape, int axis, int64_t i, int64_t size, int64_t position) {
  int64_t inner = 1;
  for (int k = shape.axes - 1; k > axis; k--) inner *= shape.size[k];
  return (i / inner / shape.size[axis] * size + position) * inner + i % inner;
}

static void test_slice(void) {
  for (int k = 0; k < SHAPES; k++) {
    for (int axis = 0; axis < shapes[k].axes; axis++) {
      fixture t = fixture_of(COHORT_OP_SLICE);
      const int64_t size = shapes[k].size[axis], first = size / 3, count = size - first - size / 4;
      t.attributes = (cohort_attributes){.integers = {axis, first, count}};
      const double *x = fixture_real(&t, shapes[k], -1, 1);
      cohort_shape to = shapes[k];
      to.size[axis] = count;
      double *y = fixture_output(&t, to, COHORT_TYPE_REAL);
      for (int64_t i = 0; i < cohort_shape_elements(to); i++) {
        y[i] = x[moved(to, axis, i, size, first + position_of(to, axis, i))];
      }
      fixture_check(&t);
    }
  }
}

static void test_pad(void) {
  for (int k = 0; k < SHAPES; k++) {
    for (int axis = 0; axis < shapes[k].axes; axis++) {
      fixture t = fixture_of(COHORT_OP_PAD);
      const int64_t size = shapes[k].size[axis], before = k, after = 3;
      t.attributes = (cohort_attributes){.integers = {axis, before, after}};
      const double *x = fixture_real(&t, shapes[k], -1, 1);
      cohort_shape to = shapes[k];
      to.size[axis] += before + after;
      double *y = fixture_output(&t, to, COHORT_TYPE_REAL);
      for (int64_t i = 0; i < cohort_shape_elements(to); i++) {
        const int64_t position = position_of(to, axis, i) - before;
        if (position >= 0 && position < size) y[i] = x[moved(to, axis, i, size, position)];
      }
      fixture_check(&t);
    }
  }
}

static void test_concat(void) {
  for (int parts = 1; parts <= COHORT_MAX_INPUTS; parts++) {
    for (int k = 0; k < SHAPES; k++) {
      const int axis = parts % shapes[k].axes;
      fixture t = fixture_of(COHORT_OP_CONCAT);
      t.attributes.integers[0] = axis;
      cohort_shape to = shapes[k];
      to.size[axis] = 0;
      for (int part = 0; part < parts; part++) {
        cohort_shape own = shapes[k];
        own.size[axis] = part + 1;
        to.size[axis] += part + 1;
        fixture_integer(&t, own, -99, 99);
      }
      double *y = fixture_output(&t, to, COHORT_TYPE_INTEGER);
      for (int64_t i = 0; i < cohort_shape_elements(to); i++) {
        int64_t position = position_of(to, axis, i);
        int part = 0;
        while (position > part) position -= ++part;
        y[i] = t.input[part].value[moved(to, axis, i, part + 1, position)];
      }
      fixture_check(&t);
    }
  }
}

static void test_flip(void) {
  for (int k = 0; k < SHAPES; k++) {
    for (int axis = 0; axis < shapes[k].axes; axis++) {
      fixture t = fixture_of(COHORT_OP_FLIP);
      t.attributes.integers[0] = axis;
      const double *x = fixture_real(&t, shapes[k], -1, 1);
      double *y = fixture_output(&t, shapes[k], COHORT_TYPE_REAL);
      const int64_t size = shapes[k].size[axis];
      for (int64_t i = 0; i < cohort_shape_elements(shapes[k]); i++) {
        y[i] = x[moved(shapes[k], axis, i, size, size - 1 - position_of(shapes[k], axis, i))];
      }
      fixture_check(&t);
    }
  }
}

static const check checks[] = {
    {"permute", test_permute}, {"broadcast", test_broadcast}, {"slice", test_slice},
    {"pad", test_pad},         {"concat", test_concat},       {"flip", test_flip},
};

int main(void) { return check_run("movement", checks, sizeof checks / sizeof checks[0]); }
