/* Every optimizer against an independent implementation: golden/optimizer_KEY.h5, made by golden_optimizer.py. */
#include <stdarg.h>

#include "check.h"
#include "contract/optimizer_fixture.h"
#include "io/arrays.h"

typedef struct golden_case {
  const char *key, *settings, *tensors[2]; /* tensors in the order of their names, as the problem is laid out */
} golden_case;

static const golden_case cases[] = {
    {"sgd", "learning_rate=0.05 momentum=0.9 nesterov=true weight_decay=0.02", {"vector", "weight"}},
    {"adam", "learning_rate=0.01 beta1=0.9 beta2=0.99 epsilon=1e-7 weight_decay=0.03", {"vector", "weight"}},
    {"adamw", "learning_rate=0.01 beta1=0.9 beta2=0.999 epsilon=1e-8 weight_decay=0.1", {"vector", "weight"}},
    {"adagrad",
     "learning_rate=0.1 learning_rate_decay=0.01 weight_decay=0.02 initial_accumulator=0.1 epsilon=1e-6",
     {"vector", "weight"}},
    {"yogi",
     "learning_rate=0.02 beta1=0.9 beta2=0.99 initial_accumulator=1e-6 weight_decay=0.05 epsilon=1e-3",
     {"vector", "weight"}},
    {"lion", "learning_rate=0.003 beta1=0.9 beta2=0.99 weight_decay=0.2", {"vector", "weight"}},
    {"muon", "learning_rate=0.02 momentum=0.95 nesterov=true weight_decay=0.1", {"tall", "weight"}},
    {"adahessian",
     "learning_rate=0.05 beta1=0.9 beta2=0.99 weight_decay=0.02 hessian_power=0.8 epsilon=1e-4",
     {"vector", "weight"}},
    {"sam", "rho=0.1 base=sgd{learning_rate=0.02,momentum=0.9}", {"vector", "weight"}},
};
enum { CASES = sizeof cases / sizeof *cases, STEPS = 100, ROOM = 4096 };

static const cohort_array *__attribute__((format(printf, 2, 3)))
find(const cohort_arrays *arrays, const char *format, ...) {
  char name[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(name, sizeof name, format, arguments);
  va_end(arguments);
  const cohort_array *array = cohort_arrays_find(arrays, name);
  if (!array) fprintf(stderr, "the golden has no %s\n", name);
  CU_ASSERT_PTR_NOT_NULL_FATAL(array);
  return array;
}

/* Copies `elements` values from element `first` of the array to the vector. */
static void load(const cohort_array *array, int64_t first, int64_t elements, void *vector, int64_t offset,
                 size_t real_size) {
  for (int64_t i = 0; i < elements; i++) fixture_set(vector, offset + i, real_size, cohort_array_get(array, first + i));
}

static void compare(const cohort_array *expected, const void *vector, int64_t offset, size_t real_size,
                    const char *key) {
  double error = 0, norm = 0;
  for (int64_t i = 0; i < cohort_array_elements(expected); i++) {
    const double difference = fixture_get(vector, offset + i, real_size) - cohort_array_get(expected, i);
    error += difference * difference;
    norm += cohort_array_get(expected, i) * cohort_array_get(expected, i);
  }
  const bool near = sqrt(error) <= 1e-5 * sqrt(norm);
  if (!near) fprintf(stderr, "%s: /%s differs by %g of its norm\n", key, expected->name, sqrt(error / norm));
  CU_ASSERT(near);
}

static void compare_state(const cohort_arrays *golden, const fixture *t, const golden_case *test, int tensor) {
  for (int s = 0; s < cohort_updater_slots(t->updater); s++) {
    const cohort_slot *slot = cohort_updater_slot(t->updater, s);
    compare(find(golden, "after/%d/state/%s/%s", (int)t->step, slot->name, test->tensors[tensor]), slot->values,
            slot->tensor[tensor].offset, t->real_size, test->key);
  }
}

static void compare_after(const cohort_arrays *golden, const fixture *t, const golden_case *test) {
  for (int tensor = 0; tensor < 2; tensor++) {
    compare(find(golden, "after/%d/parameters/%s", (int)t->step, test->tensors[tensor]), t->weights.values,
            t->space->tensor[tensor].offset, t->real_size, test->key);
    compare_state(golden, t, test, tensor);
  }
}

static void begin(fixture *t, cohort_variant variant, const golden_case *test, const cohort_arrays *golden) {
  cohort_shape shapes[2];
  for (int tensor = 0; tensor < 2; tensor++) {
    const cohort_array *start = find(golden, "parameters/%s", test->tensors[tensor]);
    shapes[tensor] = (cohort_shape){.axes = start->axes};
    for (int axis = 0; axis < start->axes; axis++) shapes[tensor].size[axis] = start->size[axis];
  }
  const fixture_plan plan = {
      .variant = variant, .key = test->key, .settings = test->settings, .tensors = 2, .shape = shapes};
  fixture_begin(t, &plan);
  for (int tensor = 0; tensor < 2; tensor++)
    load(find(golden, "parameters/%s", test->tensors[tensor]), 0, t->space->tensor[tensor].elements, t->weights.values,
         t->space->tensor[tensor].offset, t->real_size);
}

/* The gradient of a dense quadratic over all tensors, where the golden has one; the weights are asked about. */
typedef struct dense {
  fixture *t;
  const double *matrix, *target;
} dense;

static cohort_status answer(void *argument, const cohort_ask *ask, void **rows, double *losses, cohort_error *error) {
  (void)error;
  const dense *own = argument;
  const cohort_space *space = own->t->space;
  const void *at = ask->point->vector->values;
  double packed[ROOM];
  int64_t n = 0, row = 0;
  for (int t = 0; t < space->tensors; t++)
    for (int64_t e = 0; e < space->tensor[t].elements; e++)
      packed[n++] = fixture_get(at, space->tensor[t].offset + e, own->t->real_size);
  for (int t = 0; t < space->tensors; t++)
    for (int64_t e = 0; e < space->tensor[t].elements; e++, row++) {
      double sum = -own->target[row];
      for (int64_t j = 0; j < n; j++) sum += own->matrix[row * n + j] * packed[j];
      fixture_set(own->t->rows, space->tensor[t].offset + e, own->t->real_size, sum);
    }
  *rows = own->t->rows;
  losses[0] = 0;
  return COHORT_DONE;
}

static void give(fixture *t, const golden_case *test, const cohort_arrays *golden, int step) {
  const bool hvp_diagonal = fixture_method(COHORT_VARIANT_F64, test->key)->needs & COHORT_NEEDS_HVP_DIAGONAL;
  for (int tensor = 0; tensor < 2; tensor++) {
    const int64_t size = t->space->tensor[tensor].elements, offset = t->space->tensor[tensor].offset;
    load(find(golden, "gradients/%s", test->tensors[tensor]), step * size, size, t->rows, offset, t->real_size);
    if (hvp_diagonal)
      load(find(golden, "curvature/%s", test->tensors[tensor]), step * size, size, fixture_product_of(t), offset,
           t->real_size);
  }
}

static void replay(cohort_variant variant, const golden_case *test, const cohort_arrays *golden) {
  fixture t;
  cohort_error error;
  cohort_step_report report;
  begin(&t, variant, test, golden);
  const bool asks = cohort_optimizer_drives(fixture_method(variant, test->key)->functions);
  dense problem = {.t = &t};
  if (asks) problem.matrix = find(golden, "problem/A")->data, problem.target = find(golden, "problem/b")->data;
  const cohort_oracle oracle = {.argument = &problem, .objectives = 1, .ask = answer};
  for (int step = 0; step < STEPS; step++) {
    if (asks) {
      CU_ASSERT_EQUAL(cohort_updater_step(t.updater, &oracle, t.step++, STEPS, &report, &error), COHORT_DONE);
    } else {
      give(&t, test, golden, step);
      CU_ASSERT_EQUAL(fixture_step(&t, &report, &error), COHORT_DONE);
    }
    if (t.step == 1 || t.step == 10 || t.step == 100) compare_after(golden, &t, test);
  }
  fixture_end(&t);
}

static void test_goldens(void) {
  for (int c = 0; c < CASES; c++) {
    char path[512];
    snprintf(path, sizeof path, COHORT_GOLDEN "/optimizer_%s.h5", cases[c].key);
    cohort_arrays golden;
    cohort_error error;
    const cohort_status status = cohort_arrays_read(path, &golden, &error);
    if (status != COHORT_DONE) fprintf(stderr, "%s\n", error.text);
    CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
    for (int variant = 0; variant < COHORT_VARIANTS; variant++)
      if (fixture_runs((cohort_variant)variant)) replay((cohort_variant)variant, &cases[c], &golden);
    cohort_arrays_release(&golden);
  }
}

/* The recorded curvature is z (H z) of the recorded draws, so a program that draws for itself can be held against it.
 */
static void test_draws(void) {
  cohort_arrays golden;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_arrays_read(COHORT_GOLDEN "/optimizer_adahessian.h5", &golden, &error), COHORT_DONE);
  const cohort_array *z = find(&golden, "draws/z"), *h = find(&golden, "problem/A");
  const cohort_array *vector = find(&golden, "curvature/vector");
  const int64_t n = z->size[1];
  for (int64_t i = 0; i < 6; i++) {
    double product = 0;
    for (int64_t j = 0; j < n; j++) product += cohort_array_get(h, i * n + j) * cohort_array_get(z, j);
    CU_ASSERT_DOUBLE_EQUAL(product * cohort_array_get(z, i), cohort_array_get(vector, i), 1e-5);
  }
  cohort_arrays_release(&golden);
}

int main(void) {
  static const check checks[] = {{"goldens", test_goldens}, {"draws of adahessian", test_draws}};
  return check_run("optimizer_golden", checks, sizeof checks / sizeof *checks);
}
