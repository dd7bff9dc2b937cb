/* Aggregators: contract of the family, and PCGrad against the projections of its paper on whole gradients. */
#include "check.h"
#include "contract/method_fixture.h"
#include "method/aggregator/aggregator.h"

enum { OBJECTIVES = 4, SIZE = 9 };

static void draw(cohort_random_key key, double gradients[][SIZE], double *products, int objectives) {
  for (int i = 0; i < objectives; i++)
    for (int k = 0; k < SIZE; k++) gradients[i][k] = cohort_random_normal_at(key, 1, (uint64_t)(i * SIZE + k));
  for (int i = 0; i < objectives; i++)
    for (int j = 0; j < objectives; j++) {
      products[i * objectives + j] = 0;
      for (int k = 0; k < SIZE; k++) products[i * objectives + j] += gradients[i][k] * gradients[j][k];
    }
}

/* With states as they are before the first step. */
static void weigh(const cohort_method *method, const void *config, int objectives, const double *products,
                  const double *losses, cohort_random_key key, double *weights) {
  double room[COHORT_MAX_STATES][2][COHORT_MAX_OBJECTIVES * COHORT_MAX_OBJECTIVES] = {0};
  const double *state[COHORT_MAX_STATES];
  double *next[COHORT_MAX_STATES];
  const cohort_choice choice = {method, (void *)(uintptr_t)config};
  int states = 0;
  for (const cohort_state *s = method->states; s && s->name; s++, states++) {
    state[states] = room[states][0];
    next[states] = room[states][1];
    for (int i = 0; s->initial_parameter && i < COHORT_MAX_OBJECTIVES * COHORT_MAX_OBJECTIVES; i++)
      room[states][0][i] = room[states][1][i] = cohort_choice_real(&choice, s->initial_parameter, 0);
  }
  const cohort_aggregation own = {.config = config,
                                  .objectives = objectives,
                                  .step = 1,
                                  .products = products,
                                  .losses = losses,
                                  .key = key,
                                  .state = state,
                                  .next = next};
  ((const cohort_aggregator *)method->functions)->weigh(&own, weights);
}

static const cohort_method *find(const char *key) {
  return cohort_registry_find(COHORT_VARIANT_F64, "aggregator", key);
}

static void test_contract(void) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "aggregator") != 0) continue;
    seen++;
    cohort_choice choice;
    cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "aggregator", method->key, "", &choice);
    for (int objectives = 1; objectives <= OBJECTIVES; objectives++) {
      double gradients[OBJECTIVES][SIZE], products[OBJECTIVES * OBJECTIVES];
      double losses[OBJECTIVES] = {1, 2, 3, 4}, weights[OBJECTIVES + 1], again[OBJECTIVES];
      const cohort_random_key key = cohort_random_key_from_seed((uint64_t)objectives);
      draw(key, gradients, products, objectives);
      weights[objectives] = 17;
      weigh(method, choice.config, objectives, products, losses, key, weights);
      /* Fixed weights have seen nothing. */
      const bool fixed = ((const cohort_aggregator *)method->functions)->fixed;
      weigh(method, choice.config, objectives, fixed ? NULL : products, fixed ? NULL : losses,
            fixed ? (cohort_random_key){{0}} : key, again);
      CU_ASSERT(!fixed || !method->states);
      CU_ASSERT_EQUAL(memcmp(weights, again, (size_t)objectives * sizeof *weights), 0);
      CU_ASSERT_EQUAL(weights[objectives], 17);
      for (int k = 0; k < objectives; k++) CU_ASSERT(isfinite(weights[k]));
    }
    cohort_choice_release(&choice);
    cohort_document_destroy(document);
  }
  CU_ASSERT(seen > 0);
}

/* Weights by number, for as many objectives as there are weights; plain without. */
static void test_weights_of_sum(void) {
  const cohort_method *sum = find("sum");
  const cohort_aggregator *functions = sum->functions;
  cohort_choice choice;
  cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "aggregator", "sum", "", &choice);
  double weights[3];
  CU_ASSERT_EQUAL(functions->objectives(choice.config), 0);
  weigh(sum, choice.config, 3, NULL, NULL, (cohort_random_key){{0}}, weights);
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(weights[i], 1);
  cohort_document_destroy(document);
  cohort_choice_release(&choice);

  static const char *const texts[] = {"1", "0.25", "-2"};
  cohort_document *list = cohort_document_create(COHORT_LIST, "test", 0, 0);
  for (int i = 0; i < 3; i++) {
    cohort_document *number = cohort_document_create(COHORT_SCALAR, "test", 0, 0);
    cohort_document_set_text(number, texts[i]);
    cohort_document_append(list, number);
  }
  cohort_document *own = cohort_document_create(COHORT_MAP, "test", 0, 0);
  document = cohort_document_create(COHORT_MAP, "test", 0, 0);
  cohort_document_set(own, "weights", list);
  cohort_document_set(document, "sum", own);
  cohort_faults faults = {0};
  cohort_choice_read(COHORT_VARIANT_F64, "aggregator", document, "aggregator", &choice, NULL, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL(functions->objectives(choice.config), 3);
  weigh(sum, choice.config, 3, NULL, NULL, (cohort_random_key){{0}}, weights);
  CU_ASSERT(weights[0] == 1 && weights[1] == 0.25 && weights[2] == -2);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
}

/* With two objectives there is one order, and the result is known: it conflicts with neither. */
static void test_pcgrad_of_two(void) {
  for (uint64_t seed = 0; seed < 50; seed++) {
    const cohort_random_key key = cohort_random_key_from_seed(seed);
    double gradients[2][SIZE], products[4], weights[2];
    draw(key, gradients, products, 2);
    weigh(find("pcgrad"), NULL, 2, products, NULL, key, weights);
    const double inner = products[1];
    for (int k = 0; k < SIZE; k++) {
      double expected = gradients[0][k] + gradients[1][k];
      if (inner < 0) expected -= inner / products[3] * gradients[1][k] + inner / products[0] * gradients[0][k];
      CU_ASSERT_DOUBLE_EQUAL(weights[0] * gradients[0][k] + weights[1] * gradients[1][k], expected, 1e-12);
    }
    CU_ASSERT(weights[0] * products[0] + weights[1] * products[1] >= -1e-12);
    CU_ASSERT(weights[0] * products[2] + weights[1] * products[3] >= -1e-12);
  }
}

static void test_pcgrad_special_cases(void) {
  double weights[2];
  const cohort_random_key key = cohort_random_key_from_seed(1);
  weigh(find("pcgrad"), NULL, 2, (const double[]){1, -1, -1, 1}, NULL, key, weights);
  CU_ASSERT_EQUAL(weights[0], 0 + weights[1]); /* opposite gradients cancel */
  weigh(find("pcgrad"), NULL, 2, (const double[]){1, 0.5, 0.5, 4}, NULL, key, weights);
  CU_ASSERT_EQUAL(weights[0], 1);
  CU_ASSERT_EQUAL(weights[1], 1);
  weigh(find("pcgrad"), NULL, 2, (const double[]){1, 0, 0, 0}, NULL, key, weights);
  CU_ASSERT(weights[0] == 1 && weights[1] == 1); /* a zero gradient does no harm */
}

/* Projections of whole gradients in the order `order`, as the paper writes them. */
static void project(double gradients[][SIZE], int objectives, int i, const int *order, double *out) {
  memcpy(out, gradients[i], SIZE * sizeof *out);
  for (int visit = 0; visit < objectives; visit++) {
    const double *other = gradients[order[visit]];
    double inner = 0, square = 0;
    for (int k = 0; k < SIZE; k++) {
      inner += out[k] * other[k];
      square += other[k] * other[k];
    }
    if (order[visit] != i && inner < 0)
      for (int k = 0; k < SIZE; k++) out[k] -= inner / square * other[k];
  }
}

/* With three objectives the result is one of the 2^3 that the orders of visit allow, and the keys reach several. */
static void test_pcgrad_of_three(void) {
  double gradients[3][SIZE], products[9], weights[3];
  draw(cohort_random_key_from_seed(5), gradients, products, 3);
  for (int k = 0; k < SIZE; k++) gradients[2][k] = -gradients[0][k] - gradients[1][k] + 0.3 * gradients[2][k];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      products[i * 3 + j] = 0;
      for (int k = 0; k < SIZE; k++) products[i * 3 + j] += gradients[i][k] * gradients[j][k];
    }
  unsigned reached = 0;
  for (uint64_t seed = 0; seed < 60; seed++) {
    weigh(find("pcgrad"), NULL, 3, products, NULL, cohort_random_key_from_seed(seed), weights);
    int matches = 0;
    for (unsigned orders = 0; orders < 8; orders++) {
      double sum[SIZE] = {0}, part[SIZE], error = 0;
      for (int i = 0; i < 3; i++) {
        const int forward[] = {0, 1, 2}, backward[] = {2, 1, 0};
        project(gradients, 3, i, orders >> i & 1 ? backward : forward, part);
        for (int k = 0; k < SIZE; k++) sum[k] += part[k];
      }
      for (int k = 0; k < SIZE; k++)
        error = fmax(error, fabs(sum[k] - weights[0] * gradients[0][k] - weights[1] * gradients[1][k] -
                                 weights[2] * gradients[2][k]));
      if (error > 1e-12) continue;
      matches++;
      reached |= 1u << orders;
    }
    CU_ASSERT(matches > 0);
  }
  CU_ASSERT((reached & (reached - 1)) != 0);
}

int main(void) {
  static const check checks[] = {{"contract", test_contract},
                                 {"weights of sum", test_weights_of_sum},
                                 {"pcgrad of two", test_pcgrad_of_two},
                                 {"pcgrad special cases", test_pcgrad_special_cases},
                                 {"pcgrad of three", test_pcgrad_of_three}};
  return check_run("contract_aggregator", checks, sizeof checks / sizeof *checks);
}
