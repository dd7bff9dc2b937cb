/* Federated strategies: each is a server optimizer of the catalogue with valid settings, and follows its paper's rule.
 */
#include "check.h"
#include "contract/optimizer_fixture.h"
#include "train/engine/federated.h"

enum { SIZE = 6, ROUNDS = 5 };

/* Runs the strategy's server on changes, leaving the parameters after the last round. */
static void serve(const char *key, const char *settings, double changes[][SIZE], double *parameters) {
  cohort_choice choice;
  cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "federated", key, settings, &choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  cohort_choice server;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_federation_server(COHORT_VARIANT_F64, &choice, &server, &error), COHORT_DONE);
  fixture t;
  const cohort_shape shape = {.axes = 1, .size = {SIZE}};
  const fixture_plan plan = {.variant = COHORT_VARIANT_F64,
                             .key = server.method->key,
                             .settings = "",
                             .made = &server,
                             .tensors = 1,
                             .shape = &shape};
  fixture_begin(&t, &plan);
  memcpy(t.weights.values, parameters, SIZE * sizeof *parameters);
  cohort_step_report report;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < SIZE; i++) fixture_set(t.rows, i, 8, -changes[round][i]);
    CU_ASSERT_EQUAL(fixture_step(&t, &report, &error), COHORT_DONE);
  }
  memcpy(parameters, t.weights.values, SIZE * sizeof *parameters);
  fixture_end(&t);
  cohort_choice_release(&server);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
}

static void draw(double changes[][SIZE]) {
  const cohort_random_key key = cohort_random_key_from_seed(3);
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < SIZE; i++)
      changes[round][i] = 0.01 * cohort_random_normal_at(key, (uint64_t)round, (uint64_t)i);
}

static void test_contract(void) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "federated") != 0) continue;
    seen++;
    double changes[ROUNDS][SIZE], first[SIZE] = {0}, second[SIZE] = {0};
    draw(changes);
    serve(method->key, "", changes, first);
    serve(method->key, "", changes, second);
    CU_ASSERT_EQUAL(memcmp(first, second, sizeof first), 0);
    for (int k = 0; k < SIZE; k++) CU_ASSERT(isfinite(first[k]) && first[k] != 0);
    for (const cohort_identity *identity = method->identities; identity && identity->method; identity++) {
      double other[SIZE] = {0}, own[SIZE] = {0};
      serve(method->key, identity->settings, changes, own);
      serve(identity->method, identity->method_settings, changes, other);
      for (int k = 0; k < SIZE; k++) CU_ASSERT_DOUBLE_EQUAL(own[k], other[k], 1e-14);
    }
  }
  CU_ASSERT(seen > 0);
}

static void test_fedavg_is_the_average(void) {
  double changes[ROUNDS][SIZE], parameters[SIZE] = {1, 2, 3, 4, 5, 6};
  draw(changes);
  serve("fedavg", "", changes, parameters);
  for (int i = 0; i < SIZE; i++) {
    double expected = i + 1;
    for (int round = 0; round < ROUNDS; round++) expected += changes[round][i];
    CU_ASSERT_DOUBLE_EQUAL(parameters[i], expected, 1e-14);
  }
}

/* Algorithm 2 of Adaptive Federated Optimization, as written there. */
static double follow_paper(const char *key, double changes[][SIZE], int i, double start) {
  const double rate = 0.3, beta1 = 0.8, beta2 = 0.95, tau = 1e-2;
  double x = start, m = 0, v = tau * tau;
  for (int round = 0; round < ROUNDS; round++) {
    const double d = changes[round][i], square = d * d;
    if (strcmp(key, "fedadagrad") == 0) {
      m = d;
      v += square;
    } else {
      m = beta1 * m + (1 - beta1) * d;
      v = strcmp(key, "fedadam") == 0 ? beta2 * v + (1 - beta2) * square
                                      : v - (1 - beta2) * square *
                                                (v > square   ? 1
                                                 : v < square ? -1
                                                              : 0);
    }
    x += rate * m / (sqrt(v) + tau);
  }
  return x;
}

static void test_adaptive_strategies(void) {
  double changes[ROUNDS][SIZE];
  draw(changes);
  const char *const keys[] = {"fedadagrad", "fedadam", "fedyogi"};
  for (size_t k = 0; k < 3; k++) {
    double parameters[SIZE] = {1, 2, 3, 4, 5, 6};
    serve(keys[k], k == 0 ? "learning_rate=0.3 tau=1e-2" : "learning_rate=0.3 beta1=0.8 beta2=0.95 tau=1e-2", changes,
          parameters);
    for (int i = 0; i < SIZE; i++)
      CU_ASSERT_DOUBLE_EQUAL(parameters[i], follow_paper(keys[k], changes, i, i + 1), 1e-13);
  }
}

int main(void) {
  static const check checks[] = {{"contract", test_contract},
                                 {"fedavg is the average", test_fedavg_is_the_average},
                                 {"adaptive strategies", test_adaptive_strategies}};
  return check_run("contract_federated", checks, sizeof checks / sizeof *checks);
}
