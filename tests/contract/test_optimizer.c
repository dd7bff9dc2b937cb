/* What every optimizer of the catalogue must hold, on every variant that this machine runs; an update or a driver, in
 * the engine that trains. */
#include "check.h"
#include "contract/optimizer_fixture.h"

static const cohort_shape shapes[] = {{.axes = 2, .size = {5, 7}},
                                      {.axes = 1, .size = {6}},
                                      {.axes = 2, .size = {19, 8}},
                                      {.axes = 4, .size = {4, 3, 3, 5}}};
enum { SHAPES = sizeof shapes / sizeof *shapes, ROOM = 512 };

static double draw(const char *name, int64_t step, int64_t element) {
  const cohort_random_key key = cohort_random_key_derive_name(cohort_random_key_from_seed(7), name);
  return cohort_random_normal_at(key, (uint64_t)step, (uint64_t)element);
}

static double diagonal[ROOM], target[ROOM];

static const cohort_method *in_variant(cohort_variant variant, const cohort_method *method) {
  return fixture_method(variant, method->key);
}

static fixture_plan plan_of(cohort_variant variant, const char *key, const char *settings) {
  return (fixture_plan){.variant = variant, .key = key, .settings = settings, .tensors = SHAPES, .shape = shapes};
}

/* Weights drawn, and a quadratic for whoever asks. */
static void begin_plan(fixture *t, const fixture_plan *plan) {
  fixture_begin(t, plan);
  memset(target, 0, sizeof target);
  for (int i = 0; i < t->space->tensors; i++)
    for (int64_t e = 0; e < t->space->tensor[i].elements; e++) {
      const int64_t at = t->space->tensor[i].offset + e;
      fixture_set(t->weights.values, at, t->real_size, draw("weights", 0, at));
      diagonal[at] = 1 + 0.01 * (double)at;
      target[at] = draw("target", 0, at);
    }
  t->diagonal = diagonal;
  t->target = target;
  t->asks = cohort_optimizer_drives(fixture_method(plan->variant, plan->key)->functions);
}

static void begin(fixture *t, cohort_variant variant, const char *key, const char *settings) {
  const fixture_plan plan = plan_of(variant, key, settings);
  begin_plan(t, &plan);
}

/* Gradients and curvature of a step, zero where there is no parameter. */
static void give(fixture *t, double size) {
  for (int i = 0; i < t->space->tensors; i++)
    for (int64_t e = 0; e < t->space->tensor[i].elements; e++) {
      const int64_t at = t->space->tensor[i].offset + e;
      fixture_set(t->rows, at, t->real_size, size * draw("gradient", t->step, at));
      fixture_set(fixture_product_of(t), at, t->real_size, size * draw("curvature", t->step, at));
    }
}

static void run(fixture *t, int steps, double size) {
  cohort_error error;
  cohort_step_report report;
  for (int step = 0; step < steps; step++) {
    if (!t->asks) give(t, size);
    CU_ASSERT_EQUAL(fixture_step(t, &report, &error), COHORT_DONE);
  }
}

static void expect(bool holds, const char *what, const cohort_method *method, cohort_variant variant) {
  if (!holds) fprintf(stderr, "%s: %s (variant %d)\n", method->key, what, (int)variant);
  CU_ASSERT(holds);
}

static bool is_driver(const cohort_method *method) { return cohort_optimizer_drives(method->functions); }

/* Calls `function` for every optimizer in every variant that runs here. */
static void for_all(void (*function)(cohort_variant variant, const cohort_method *method)) {
  int variants = 0, seen = 0, methods = 0;
  for (int i = 0; cohort_registry_at(COHORT_VARIANT_F64, i); i++)
    methods += strcmp(cohort_registry_at(COHORT_VARIANT_F64, i)->family, "optimizer") == 0;
  for (int variant = 0; variant < COHORT_VARIANTS; variant++) {
    if (!fixture_runs((cohort_variant)variant)) continue;
    variants++;
    const cohort_method *method;
    for (int i = 0; (method = cohort_registry_at((cohort_variant)variant, i)); i++) {
      if (strcmp(method->family, "optimizer") != 0) continue;
      function((cohort_variant)variant, in_variant((cohort_variant)variant, method));
      seen++;
    }
  }
  CU_ASSERT(methods > 0);
  CU_ASSERT_EQUAL(seen, variants * methods);
}

static void check_determinism(cohort_variant variant, const cohort_method *method) {
  fixture a, b, c;
  fixture_plan plan = plan_of(variant, method->key, "");
  begin_plan(&a, &plan);
  begin_plan(&b, &plan);
  plan.threads = 3;
  begin_plan(&c, &plan);
  run(&a, 5, 1);
  run(&b, 5, 1);
  run(&c, 5, 1);
  expect(fixture_same_bits(&a, &b), "differs between two runs", method, variant);
  expect(fixture_same_bits(&a, &c), "differs between 1 and 3 threads", method, variant);
  fixture_end(&a);
  fixture_end(&b);
  fixture_end(&c);
}

/* Saved after three steps and loaded into another: the same as six without. */
static void check_resume(cohort_variant variant, const cohort_method *method) {
  fixture whole, first, second;
  begin(&whole, variant, method->key, "");
  begin(&first, variant, method->key, "");
  begin(&second, variant, method->key, "");
  run(&whole, 6, 1);
  run(&first, 3, 1);
  fixture_copy_state(&first, &second);
  run(&second, 3, 1);
  expect(fixture_same_bits(&whole, &second), "3 + 3 steps differ from 6: something that is kept is no state", method,
         variant);
  fixture_end(&whole);
  fixture_end(&first);
  fixture_end(&second);
}

static void check_moves(cohort_variant variant, const cohort_method *method) {
  fixture start, t;
  begin(&start, variant, method->key, "");
  begin(&t, variant, method->key, "");
  run(&t, 6, 1);
  expect(memcmp(start.weights.values, t.weights.values, (size_t)t.elements * t.real_size) != 0, "does not move", method,
         variant);
  for (int i = 0; i < t.space->tensors; i++)
    for (int64_t e = t.space->tensor[i].elements; e % 16; e++)
      expect(fixture_get(t.weights.values, t.space->tensor[i].offset + e, t.real_size) == 0,
             "writes behind the end of a tensor", method, variant);
  fixture_end(&start);
  fixture_end(&t);
}

static void check_finite(cohort_variant variant, const cohort_method *method) {
  const double sizes[] = {1, 0, 1e-25, 1e12};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    fixture t;
    begin(&t, variant, method->key, "");
    run(&t, 20, sizes[i]);
    expect(fixture_finite(&t), "makes NaN or Inf of finite gradients", method, variant);
    fixture_end(&t);
  }
}

/* A gradient, or a loss, that is not finite is reported and changes nothing. */
static void check_refusal(cohort_variant variant, const cohort_method *method) {
  for (int kind = 0; kind < 2; kind++) {
    fixture t, before;
    cohort_error error;
    cohort_step_report report;
    begin(&t, variant, method->key, "");
    begin(&before, variant, method->key, "");
    run(&t, 3, 1);
    run(&before, 3, 1);
    const double kept = target[0];
    if (!t.asks) give(&t, 1);
    if (kind == 0) {
      target[0] = NAN;
      fixture_set(t.rows, 0, t.real_size, NAN);
    } else {
      t.rest = INFINITY;
    }
    CU_ASSERT_EQUAL(fixture_step(&t, &report, &error), COHORT_DONE);
    target[0] = kept;
    expect(!report.applied, "steps by what is not finite", method, variant);
    expect(fixture_same_bits(&t, &before), "a refused step changes something", method, variant);
    fixture_end(&t);
    fixture_end(&before);
  }
}

/* The rate and scale that count are those of the step, not those in the config. */
static void check_taken_from_step(cohort_variant variant, const cohort_method *method) {
  if (is_driver(method)) return;
  fixture a, b;
  begin(&a, variant, method->key, "learning_rate=0.5");
  begin(&b, variant, method->key, "learning_rate=0.25");
  a.factor = 1.0 / 64;
  b.factor = 1.0 / 32;
  run(&a, 4, 1);
  run(&b, 4, 1);
  expect(fixture_same_bits(&a, &b), "takes the learning rate from its config", method, variant);
  fixture_end(&a);
  fixture_end(&b);
}

/* Decay is the core's: tensors of a role that is not decayed are not. */
static void check_decay(cohort_variant variant, const cohort_method *method) {
  static const cohort_role gains[SHAPES] = {COHORT_ROLE_GAIN, COHORT_ROLE_VECTOR, COHORT_ROLE_GAIN, COHORT_ROLE_GAIN};
  bool decays = false;
  for (const cohort_parameter *p = method->parameters; p->name; p++)
    decays = decays || !strcmp(p->name, "weight_decay");
  if (!decays) return;
  fixture none, exempt, decayed;
  fixture_plan plan = plan_of(variant, method->key, "weight_decay=0");
  begin_plan(&none, &plan);
  plan.settings = "weight_decay=0.3";
  begin_plan(&decayed, &plan);
  plan.role = gains;
  begin_plan(&exempt, &plan);
  run(&none, 4, 1);
  run(&exempt, 4, 1);
  run(&decayed, 4, 1);
  const size_t bytes = (size_t)none.elements * none.real_size;
  expect(memcmp(none.weights.values, exempt.weights.values, bytes) == 0, "decays what is exempt", method, variant);
  expect(memcmp(none.weights.values, decayed.weights.values, bytes) != 0, "ignores the decay", method, variant);
  fixture_end(&none);
  fixture_end(&exempt);
  fixture_end(&decayed);
}

static void check_identities(cohort_variant variant, const cohort_method *method) {
  for (const cohort_identity *identity = method->identities; identity && identity->method; identity++) {
    fixture a, b;
    begin(&a, variant, method->key, identity->settings);
    begin(&b, variant, identity->method, identity->method_settings);
    a.asks = b.asks = true;
    run(&a, 10, 1);
    run(&b, 10, 1);
    double largest = 0;
    for (int64_t i = 0; i < a.elements; i++)
      largest = fmax(
          largest, fabs(fixture_get(a.weights.values, i, a.real_size) - fixture_get(b.weights.values, i, b.real_size)));
    expect(a.elements == b.elements && largest <= (a.real_size == 4 ? 1e-5 : 1e-12), identity->settings, method,
           variant);
    fixture_end(&a);
    fixture_end(&b);
  }
}

static void test_determinism(void) { for_all(check_determinism); }
static void test_resume(void) { for_all(check_resume); }
static void test_moves(void) { for_all(check_moves); }
static void test_finite(void) { for_all(check_finite); }
static void test_refusal(void) { for_all(check_refusal); }
static void test_taken_from_step(void) { for_all(check_taken_from_step); }
static void test_decay(void) { for_all(check_decay); }
static void test_identities(void) { for_all(check_identities); }

/* The papers' closed forms. */
static void test_sam_on_a_quadratic(void) {
  fixture t;
  begin(&t, COHORT_VARIANT_F64, "sam", "rho=0.1 base=sgd{learning_rate=0.01}");
  double start[ROOM], gradient[ROOM], square = 0;
  for (int64_t i = 0; i < t.elements; i++) {
    start[i] = fixture_get(t.weights.values, i, 8);
    gradient[i] = diagonal[i] * start[i] - target[i];
    square += gradient[i] * gradient[i];
  }
  run(&t, 1, 1);
  for (int64_t i = 0; i < t.elements; i++) {
    const double expected = start[i] - 0.01 * (gradient[i] + diagonal[i] * 0.1 * gradient[i] / sqrt(square));
    CU_ASSERT_DOUBLE_EQUAL(fixture_get(t.weights.values, i, 8), expected, 1e-13);
  }
  fixture_end(&t);
}

static void test_adahessian_newton_step(void) {
  fixture t;
  begin(&t, COHORT_VARIANT_F64, "adahessian", "beta1=0 beta2=0 epsilon=1e-300 average_kernel=false learning_rate=1");
  t.asks = true;
  run(&t, 1, 1);
  for (int i = 0; i < t.space->tensors; i++)
    for (int64_t e = 0; e < t.space->tensor[i].elements; e++) {
      const int64_t at = t.space->tensor[i].offset + e;
      CU_ASSERT_DOUBLE_EQUAL(fixture_get(t.weights.values, at, 8), target[at] / diagonal[at], 1e-12);
    }
  fixture_end(&t);
}

static void test_adahessian_averages_kernels(void) {
  fixture t;
  begin(&t, COHORT_VARIANT_F64, "adahessian", "beta1=0 beta2=0");
  run(&t, 1, 1);
  const cohort_slot *slot = fixture_slot(&t, "curvature");
  const double *second = (const double *)slot->values + slot->tensor[3].offset;
  for (int o = 0; o < 4; o++)
    for (int c = 0; c < 5; c++) {
      double mean = 0;
      for (int p = 0; p < 9; p++)
        mean += fabs(draw("curvature", 0, t.space->tensor[3].offset + (o * 9 + p) * 5 + c)) / 9;
      for (int p = 0; p < 9; p++) CU_ASSERT_DOUBLE_EQUAL(second[(o * 9 + p) * 5 + c], mean * mean, 1e-12);
    }
  fixture_end(&t);
}

/* The step of Muon is nearly orthogonal: X'X is near the identity, also off its diagonal, which dividing columns by
 * their norms does not give. */
static void test_muon_is_orthogonal(void) {
  fixture t;
  begin(&t, COHORT_VARIANT_F64, "muon", "learning_rate=1 iterations=9");
  memset(t.weights.values, 0, (size_t)t.elements * t.real_size);
  run(&t, 1, 1);
  const double *w = (const double *)(const void *)t.weights.values + t.space->tensor[1].offset; /* 19 x 8 */
  double off = 0;
  for (int a = 0; a < 8; a++)
    for (int b = 0; b < 8; b++) {
      double product = 0;
      for (int r = 0; r < 19; r++) product += w[r * 8 + a] * w[r * 8 + b] * 8 / 19;
      if (a == b) CU_ASSERT(product > 0.4 && product < 1.6);
      if (a != b) off = fmax(off, fabs(product));
    }
  CU_ASSERT(off < 0.35);
  fixture_end(&t);
}

static void test_lion_stays_in_its_box(void) {
  fixture t;
  begin(&t, COHORT_VARIANT_F64, "lion", "learning_rate=0.1 weight_decay=0.5");
  run(&t, 300, 1);
  for (int64_t i = 0; i < t.elements; i++) CU_ASSERT(fabs(fixture_get(t.weights.values, i, 8)) <= 2 + 1e-3);
  fixture_end(&t);
}

/* Exact products solve a quadratic in one step. */
static void test_newton_solves_a_quadratic(void) {
  fixture t;
  begin(&t, COHORT_VARIANT_F64, "newtoncg", "learning_rate=1 damping=0 tolerance=1e-12 iterations=500");
  run(&t, 1, 1);
  for (int i = 0; i < t.space->tensors; i++)
    for (int64_t e = 0; e < t.space->tensor[i].elements; e++) {
      const int64_t at = t.space->tensor[i].offset + e;
      CU_ASSERT_DOUBLE_EQUAL(fixture_get(t.weights.values, at, 8), target[at] / diagonal[at], 1e-8);
    }
  fixture_end(&t);
}

int main(void) {
  static const check checks[] = {
      {"the same bits again and on more threads", test_determinism},
      {"saved and loaded is not interrupted", test_resume},
      {"moves its tensors and nothing else", test_moves},
      {"finite in, finite out", test_finite},
      {"what is not finite changes nothing", test_refusal},
      {"the rate comes from the step", test_taken_from_step},
      {"decay by role", test_decay},
      {"identities", test_identities},
      {"sam on a quadratic", test_sam_on_a_quadratic},
      {"adahessian makes a Newton step", test_adahessian_newton_step},
      {"adahessian averages kernels", test_adahessian_averages_kernels},
      {"muon is orthogonal", test_muon_is_orthogonal},
      {"lion stays in its box", test_lion_stays_in_its_box},
      {"newtoncg solves a quadratic", test_newton_solves_a_quadratic},
  };
  return check_run("contract_optimizer", checks, sizeof checks / sizeof *checks);
}
