/* Every optimizer against an independent implementation: golden/optimizer_KEY.h5, made by golden_optimizer.py. */
#include <stdarg.h>

#include "check.h"
#include "contract/method_trial.h"
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
enum { CASES = sizeof cases / sizeof *cases, STEPS = 100 };

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

static double element(const cohort_array *array, int64_t i) {
  return array->type == COHORT_ARRAY_FLOAT32 ? (double)((const float *)array->data)[i]
                                             : ((const double *)array->data)[i];
}

/* Copies `elements` values from element `first` of the array to the vector. */
static void load(const cohort_array *array, int64_t first, int64_t elements, void *vector, int64_t offset,
                 size_t real_size) {
  for (int64_t i = 0; i < elements; i++) trial_set(vector, offset + i, real_size, element(array, first + i));
}

static void compare(const cohort_array *expected, const void *vector, int64_t offset, size_t real_size,
                    const char *key) {
  double error = 0, norm = 0;
  for (int64_t i = 0; i < cohort_array_elements(expected); i++) {
    const double difference = trial_get(vector, offset + i, real_size) - element(expected, i);
    error += difference * difference;
    norm += element(expected, i) * element(expected, i);
  }
  const bool near = sqrt(error) <= 1e-5 * sqrt(norm);
  if (!near) fprintf(stderr, "%s: /%s differs by %g of its norm\n", key, expected->name, sqrt(error / norm));
  CU_ASSERT(near);
}

static void compare_after(const cohort_arrays *golden, const trial *t, const golden_case *test) {
  for (int tensor = 0; tensor < 2; tensor++) {
    const char *name = test->tensors[tensor];
    compare(find(golden, "after/%d/parameters/%s", (int)t->step, name), t->weights.values, t->offset[tensor],
            t->real_size, test->key);
    for (int s = 0; s < t->states; s++)
      compare(find(golden, "after/%d/state/%s/%s", (int)t->step, t->inner.method->states[s].name, name),
              t->state[s].values, t->offset[tensor], t->real_size, test->key);
  }
}

static void begin(trial *t, cohort_variant variant, const golden_case *test, const cohort_arrays *golden) {
  cohort_shape shapes[2];
  for (int tensor = 0; tensor < 2; tensor++) {
    const cohort_array *start = find(golden, "parameters/%s", test->tensors[tensor]);
    shapes[tensor] = (cohort_shape){.axes = start->axes};
    for (int axis = 0; axis < start->axes; axis++) shapes[tensor].size[axis] = start->size[axis];
  }
  trial_set_up(t, variant, test->key, test->settings, 2, shapes);
  for (int tensor = 0; tensor < 2; tensor++)
    load(find(golden, "parameters/%s", test->tensors[tensor]), 0, t->offset[tensor + 1] - t->offset[tensor],
         t->weights.values, t->offset[tensor], t->real_size);
  if (t->outer.method) {
    t->matrix = find(golden, "problem/A")->data;
    t->target = find(golden, "problem/b")->data;
  }
}

static void replay(cohort_variant variant, const golden_case *test, const cohort_arrays *golden) {
  trial t;
  cohort_error error;
  begin(&t, variant, test, golden);
  for (int step = 0; step < STEPS; step++) {
    for (int tensor = 0; !t.outer.method && tensor < 2; tensor++) {
      const int64_t size = t.offset[tensor + 1] - t.offset[tensor];
      load(find(golden, "gradients/%s", test->tensors[tensor]), step * size, size, t.gradient.values, t.offset[tensor],
           t.real_size);
      if (t.inner.method->needs & COHORT_NEEDS_CURVATURE)
        load(find(golden, "curvature/%s", test->tensors[tensor]), step * size, size, t.curvature.values,
             t.offset[tensor], t.real_size);
    }
    CU_ASSERT_EQUAL(trial_step(&t, &error), COHORT_DONE);
    if (t.step == 1 || t.step == 10 || t.step == 100) compare_after(golden, &t, test);
  }
  trial_release(&t);
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
      if (trial_runs((cohort_variant)variant)) replay((cohort_variant)variant, &cases[c], &golden);
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
    for (int64_t j = 0; j < n; j++) product += element(h, i * n + j) * element(z, j);
    CU_ASSERT_DOUBLE_EQUAL(product * element(z, i), element(vector, i), 1e-5);
  }
  cohort_arrays_release(&golden);
}

int main(void) {
  static const check checks[] = {{"goldens", test_goldens}, {"draws of adahessian", test_draws}};
  return check_run("optimizer_golden", checks, sizeof checks / sizeof *checks);
}
