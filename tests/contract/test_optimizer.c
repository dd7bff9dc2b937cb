/* What every optimizer of the catalogue must hold, on every variant that this machine runs. */
#include "check.h"
#include "contract/method_trial.h"

static const cohort_shape shapes[] = {{.axes = 2, .size = {5, 7}},
                                      {.axes = 1, .size = {6}},
                                      {.axes = 2, .size = {19, 8}},
                                      {.axes = 4, .size = {4, 3, 3, 5}}};
enum { SHAPES = sizeof shapes / sizeof *shapes, ELEMENTS = 35 + 6 + 152 + 180 };

static double draw(const char *name, int64_t step, int64_t element) {
  const cohort_random_key key = cohort_random_key_derive_name(cohort_random_key_from_seed(7), name);
  return cohort_random_normal_at(key, (uint64_t)step, (uint64_t)element);
}

/* A diagonal problem for drivers. */
static double problem_matrix[ELEMENTS * ELEMENTS], problem_target[ELEMENTS];

static void begin(trial *t, cohort_variant variant, const char *key, const char *settings) {
  trial_set_up(t, variant, key, settings, SHAPES, shapes);
  for (int64_t i = 0; i < t->elements; i++) {
    trial_set(t->weights.values, i, t->real_size, draw("weights", 0, i));
    for (int64_t j = 0; j < t->elements; j++) problem_matrix[i * t->elements + j] = i == j ? 1 + 0.01 * (double)i : 0;
    problem_target[i] = draw("target", 0, i);
  }
  t->matrix = problem_matrix;
  t->target = problem_target;
}

static void run(trial *t, int steps, double size) {
  cohort_error error;
  for (int step = 0; step < steps; step++) {
    for (int64_t i = 0; i < t->elements; i++) {
      trial_set(t->gradient.values, i, t->real_size, size * draw("gradient", t->step, i));
      trial_set(t->curvature.values, i, t->real_size, size * draw("curvature", t->step, i));
    }
    CU_ASSERT_EQUAL(trial_step(t, &error), COHORT_DONE);
  }
}

static bool same_bits(const trial *a, const trial *b) {
  bool same = memcmp(a->weights.values, b->weights.values, a->weights.bytes) == 0;
  for (int s = 0; s < a->states && s < b->states; s++)
    same = same && memcmp(a->state[s].values, b->state[s].values, a->state[s].bytes) == 0;
  return same;
}

static bool all_finite(const trial *t) {
  for (int64_t i = 0; i < t->elements; i++) {
    if (!isfinite(trial_get(t->weights.values, i, t->real_size))) return false;
    for (int s = 0; s < t->states; s++)
      if (!isfinite(trial_get(t->state[s].values, i, t->real_size))) return false;
  }
  return true;
}

static bool is_driver(const cohort_method *method) { return ((const cohort_optimizer *)method->functions)->drive; }

/* Calls `function` for every optimizer in every variant that runs here. */
static void for_all(void (*function)(cohort_variant variant, const cohort_method *method)) {
  int seen = 0;
  for (int variant = 0; variant < COHORT_VARIANTS; variant++) {
    if (!trial_runs((cohort_variant)variant)) continue;
    const cohort_method *method;
    for (int i = 0; (method = cohort_registry_at((cohort_variant)variant, i)); i++) {
      if (strcmp(method->family, "optimizer") != 0) continue;
      function((cohort_variant)variant, method);
      seen++;
    }
  }
  CU_ASSERT(seen >= 2 * 9);
}

static void expect(bool holds, const char *what, const cohort_method *method, cohort_variant variant) {
  if (!holds) fprintf(stderr, "%s: %s (variant %d)\n", method->key, what, (int)variant);
  CU_ASSERT(holds);
}

static void check_determinism(cohort_variant variant, const cohort_method *method) {
  trial a, b;
  begin(&a, variant, method->key, "");
  begin(&b, variant, method->key, "");
  b.threads = 3;
  run(&a, 5, 1);
  run(&b, 5, 1);
  expect(same_bits(&a, &b), "differs between two runs or between 1 and 3 threads", method, variant);
  trial_release(&a);
  trial_release(&b);
}

static void check_ranges(cohort_variant variant, const cohort_method *method) {
  if (method->cut != COHORT_CUT_ELEMENT || is_driver(method)) return;
  trial whole;
  begin(&whole, variant, method->key, "");
  run(&whole, 5, 1);
  for (int64_t range = 1; range <= 37; range += 12) {
    trial split;
    begin(&split, variant, method->key, "");
    split.range = range;
    run(&split, 5, 1);
    expect(same_bits(&whole, &split), "ranges differ from the whole", method, variant);
    trial_release(&split);
  }
  trial_release(&whole);
}

static void check_state(cohort_variant variant, const cohort_method *method) {
  trial start, t;
  begin(&start, variant, method->key, "");
  begin(&t, variant, method->key, "");
  run(&t, 3, 1);
  expect(trial_guarded(&t), "writes outside of its arrays", method, variant);
  for (int s = 0; s < t.states; s++)
    for (int tensor = 0; tensor < t.tensors; tensor++)
      expect(memcmp((char *)start.state[s].values + (size_t)t.offset[tensor] * t.real_size,
                    (char *)t.state[s].values + (size_t)t.offset[tensor] * t.real_size,
                    (size_t)(t.offset[tensor + 1] - t.offset[tensor]) * t.real_size) != 0,
             "declares a state that it does not touch", method, variant);
  expect(memcmp(start.weights.values, t.weights.values, t.weights.bytes) != 0, "does not move", method, variant);
  trial_release(&start);
  trial_release(&t);
}

static void check_finite(cohort_variant variant, const cohort_method *method) {
  const double sizes[] = {1, 0, 1e-25, 1e12};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    trial t;
    begin(&t, variant, method->key, "");
    run(&t, 20, sizes[i]);
    expect(all_finite(&t), "makes NaN or Inf of finite gradients", method, variant);
    trial_release(&t);
  }
}

/* The rate, decay and scale that count are those in the update, not those in the config. */
static void check_taken_from_update(cohort_variant variant, const cohort_method *method) {
  if (is_driver(method)) return;
  trial a, b;
  begin(&a, variant, method->key, "learning_rate=0.5");
  begin(&b, variant, method->key, "learning_rate=0.25");
  a.learning_rate = b.learning_rate = 1e-2;
  b.gradient_scale = 0.5;
  run(&a, 4, 1);
  run(&b, 4, 2);
  if (!(method->needs & COHORT_NEEDS_CURVATURE))
    expect(same_bits(&a, &b), "takes the learning rate from its config, or ignores the gradient's scale", method,
           variant);
  trial_release(&a);
  trial_release(&b);
  bool decays = false;
  for (const cohort_parameter *p = method->parameters; p->name; p++)
    decays = decays || !strcmp(p->name, "weight_decay");
  if (!decays) return;
  begin(&a, variant, method->key, "weight_decay=0");
  begin(&b, variant, method->key, "weight_decay=0.3");
  b.weight_decay = 0;
  run(&a, 4, 1);
  run(&b, 4, 1);
  expect(same_bits(&a, &b), "takes the decay from its config", method, variant);
  b.weight_decay = 0.3;
  run(&a, 4, 1);
  run(&b, 4, 1);
  expect(!same_bits(&a, &b), "ignores the decay", method, variant);
  trial_release(&a);
  trial_release(&b);
}

static void check_identities(cohort_variant variant, const cohort_method *method) {
  for (const cohort_identity *identity = method->identities; identity && identity->method; identity++) {
    trial a, b;
    begin(&a, variant, method->key, identity->settings);
    begin(&b, variant, identity->method, identity->method_settings);
    cohort_error error;
    for (int step = 0; step < 10; step++) {
      for (int64_t i = 0; i < a.elements; i++) {
        const double gradient =
            (1 + 0.01 * (double)i) * trial_get(b.weights.values, i, b.real_size) - problem_target[i];
        trial_set(a.gradient.values, i, a.real_size, gradient);
        trial_set(b.gradient.values, i, b.real_size, gradient);
        trial_set(a.curvature.values, i, a.real_size, 1 + 0.01 * (double)i);
        trial_set(b.curvature.values, i, b.real_size, 1 + 0.01 * (double)i);
      }
      CU_ASSERT_EQUAL(trial_step(&a, &error), COHORT_DONE);
      CU_ASSERT_EQUAL(trial_step(&b, &error), COHORT_DONE);
    }
    double largest = 0;
    for (int64_t i = 0; i < a.elements; i++)
      largest = fmax(largest,
                     fabs(trial_get(a.weights.values, i, a.real_size) - trial_get(b.weights.values, i, b.real_size)));
    expect(a.elements == b.elements && largest <= (a.real_size == 4 ? 1e-5 : 1e-12), identity->settings, method,
           variant);
    trial_release(&a);
    trial_release(&b);
  }
}

static void test_determinism(void) { for_all(check_determinism); }
static void test_ranges(void) { for_all(check_ranges); }
static void test_state(void) { for_all(check_state); }
static void test_finite(void) { for_all(check_finite); }
static void test_taken_from_update(void) { for_all(check_taken_from_update); }
static void test_identities(void) { for_all(check_identities); }

/* The papers' closed forms. */
static void test_sam_on_a_quadratic(void) {
  trial t;
  begin(&t, COHORT_VARIANT_F64, "sam", "rho=0.1 base=sgd");
  t.learning_rate = 0.01;
  double start[ELEMENTS], gradient[ELEMENTS], square = 0;
  for (int64_t i = 0; i < t.elements; i++) {
    start[i] = trial_get(t.weights.values, i, 8);
    gradient[i] = problem_matrix[i * t.elements + i] * start[i] - problem_target[i];
    square += gradient[i] * gradient[i];
  }
  run(&t, 1, 1);
  for (int64_t i = 0; i < t.elements; i++) {
    const double h = problem_matrix[i * t.elements + i];
    const double expected = start[i] - 0.01 * (gradient[i] + h * 0.1 * gradient[i] / sqrt(square));
    CU_ASSERT_DOUBLE_EQUAL(trial_get(t.weights.values, i, 8), expected, 1e-13);
  }
  trial_release(&t);
}

static void test_adahessian_newton_step(void) {
  trial t;
  begin(&t, COHORT_VARIANT_F64, "adahessian", "beta1=0 beta2=0 epsilon=1e-300 average_kernel=false learning_rate=1");
  cohort_error error;
  for (int64_t i = 0; i < t.elements; i++) {
    const double h = 1 + 0.01 * (double)i;
    trial_set(t.curvature.values, i, 8, h);
    trial_set(t.gradient.values, i, 8, h * trial_get(t.weights.values, i, 8) - problem_target[i]);
  }
  CU_ASSERT_EQUAL(trial_step(&t, &error), COHORT_DONE);
  for (int64_t i = 0; i < t.elements; i++)
    CU_ASSERT_DOUBLE_EQUAL(trial_get(t.weights.values, i, 8), problem_target[i] / (1 + 0.01 * (double)i), 1e-12);
  trial_release(&t);
}

static void test_adahessian_averages_kernels(void) {
  trial t;
  begin(&t, COHORT_VARIANT_F64, "adahessian", "beta1=0 beta2=0");
  run(&t, 1, 1);
  const double *second = (const double *)t.state[1].values + t.offset[3];
  const double *diagonal = (const double *)t.curvature.values + t.offset[3];
  for (int o = 0; o < 4; o++)
    for (int c = 0; c < 5; c++) {
      double mean = 0;
      for (int p = 0; p < 9; p++) mean += fabs(diagonal[(o * 9 + p) * 5 + c]) / 9;
      for (int p = 0; p < 9; p++) CU_ASSERT_DOUBLE_EQUAL(second[(o * 9 + p) * 5 + c], mean * mean, 1e-12);
    }
  trial_release(&t);
}

/* The step of Muon is nearly orthogonal: its singular values lie around 1, so X X' is near the identity. */
static void test_muon_is_orthogonal(void) {
  trial t;
  begin(&t, COHORT_VARIANT_F64, "muon", "learning_rate=1");
  memset(t.weights.values, 0, t.weights.bytes);
  run(&t, 1, 1);
  const double *w = (const double *)t.weights.values + t.offset[1]; /* 19 x 8, factor sqrt(19 / 8) */
  for (int a = 0; a < 8; a++) {
    double square = 0;
    for (int r = 0; r < 19; r++) square += w[r * 8 + a] * w[r * 8 + a] * 8 / 19;
    CU_ASSERT(square > 0.4 && square < 1.6);
  }
  trial_release(&t);
}

static void test_lion_stays_in_its_box(void) {
  trial t;
  begin(&t, COHORT_VARIANT_F64, "lion", "");
  t.learning_rate = 0.1;
  t.weight_decay = 0.5;
  run(&t, 300, 1);
  for (int64_t i = 0; i < t.elements; i++) CU_ASSERT(fabs(trial_get(t.weights.values, i, 8)) <= 2 + 1e-3);
  trial_release(&t);
}

int main(void) {
  static const check checks[] = {
      {"the same bits again and on more threads", test_determinism},
      {"ranges equal the whole", test_ranges},
      {"declared state is touched state", test_state},
      {"finite in, finite out", test_finite},
      {"rate, decay and scale come from the update", test_taken_from_update},
      {"identities", test_identities},
      {"sam on a quadratic", test_sam_on_a_quadratic},
      {"adahessian makes a Newton step", test_adahessian_newton_step},
      {"adahessian averages kernels", test_adahessian_averages_kernels},
      {"muon is orthogonal", test_muon_is_orthogonal},
      {"lion stays in its box", test_lion_stays_in_its_box},
  };
  return check_run("contract_optimizer", checks, sizeof checks / sizeof *checks);
}
