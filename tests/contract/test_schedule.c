/* Schedules: contract of the family, and each against its closed form. */
#include "check.h"
#include "contract/method_fixture.h"
#include "method/schedule/schedule.h"

static double factor(const char *key, const char *settings, int64_t step, int64_t steps) {
  cohort_choice choice;
  cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "schedule", key, settings, &choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  const double value = ((const cohort_schedule *)choice.method->functions)->factor(choice.config, step, steps);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  return value;
}

/* Between 0 and 1, the same again, and defined before, at and after the end of any run. */
static void test_contract(void) {
  const cohort_method *method;
  int seen = 0;
  for (int i = 0; (method = cohort_registry_at(COHORT_VARIANT_F64, i)); i++) {
    if (strcmp(method->family, "schedule") != 0) continue;
    seen++;
    for (int64_t steps = 0; steps <= 300; steps += 100)
      for (int64_t step = 0; step < 350; step += 7) {
        const double value = factor(method->key, "", step, steps);
        CU_ASSERT(value >= 0 && value <= 1);
        CU_ASSERT_EQUAL(value, factor(method->key, "", step, steps));
      }
  }
  CU_ASSERT(seen > 0);
}

static void test_warmup(void) {
  CU_ASSERT_DOUBLE_EQUAL(factor("warmup", "warmup=10", 0, 100), 0.1, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(factor("warmup", "warmup=10", 8, 100), 0.9, 1e-15);
  CU_ASSERT_EQUAL(factor("warmup", "warmup=10", 9, 100), 1);
  CU_ASSERT_EQUAL(factor("warmup", "warmup=10", 99, 100), 1);
  CU_ASSERT_EQUAL(factor("warmup", "warmup=0", 0, 100), 1);
}

static void test_cosine(void) {
  const double pi = 3.14159265358979323846;
  CU_ASSERT_DOUBLE_EQUAL(factor("cosine", "warmup=20", 4, 100), 0.25, 1e-15);
  CU_ASSERT_EQUAL(factor("cosine", "warmup=20", 20, 100), 1);
  CU_ASSERT_DOUBLE_EQUAL(factor("cosine", "warmup=20", 60, 100), 0.5, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(factor("cosine", "warmup=20 floor=0.2", 40, 100), 0.2 + 0.4 * (1 + cos(pi / 4)), 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(factor("cosine", "floor=0.1", 100, 100), 0.1, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(factor("cosine", "floor=0.1", 500, 100), 0.1, 1e-15);
}

static void test_wsd(void) {
  CU_ASSERT_DOUBLE_EQUAL(factor("wsd", "warmup=10", 4, 100), 0.5, 1e-15);
  CU_ASSERT_EQUAL(factor("wsd", "warmup=10 decay=0.2", 80, 100), 1);
  CU_ASSERT_DOUBLE_EQUAL(factor("wsd", "warmup=10 decay=0.2", 85, 100), 0.5, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(factor("wsd", "decay=0.2 shape=linear floor=0.5", 85, 100), 0.875, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(factor("wsd", "decay=0.2 floor=0.05", 100, 100), 0.05, 1e-15);
  CU_ASSERT_EQUAL(factor("wsd", "decay=0", 99, 100), 1);
}

int main(void) {
  static const check checks[] = {
      {"contract", test_contract}, {"warmup", test_warmup}, {"cosine", test_cosine}, {"wsd", test_wsd}};
  return check_run("contract_schedule", checks, sizeof checks / sizeof *checks);
}
