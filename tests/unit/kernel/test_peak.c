/* The peak loops: they count what they do, do it, and run only what the processor has. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kernel/peak.h"
#include "tests/check.h"

enum { ELEMENTS = 1 << 16 };

static void test_operations(void) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++)
    for (int peak = 0; peak < COHORT_PEAKS; peak++) {
      if (!cohort_peak_available((cohort_peak)peak, (cohort_isa)isa)) continue;
      double best = 0;
      for (int i = 0; i < 20; i++) {
        const double start = cohort_clock_seconds();
        const double operations = cohort_peak_run((cohort_peak)peak, (cohort_isa)isa);
        const double rate = operations / (cohort_clock_seconds() - start);
        if (rate > best) best = rate;
      }
      printf(" %s peak %d: %.1f GFLOP/s ", cohort_isa_name((cohort_isa)isa), peak, best / 1e9);
      /* A clock tick does at least one vector instruction and at most eight wide ones, or two tiles in sixteen. */
      CU_ASSERT_TRUE(best > 1e9 && best < 2e13);
    }
}

static void test_availability(void) {
  CU_ASSERT_TRUE(cohort_peak_available(COHORT_PEAK_FLOAT32, COHORT_ISA_SSE2));
  CU_ASSERT_FALSE(cohort_peak_available(COHORT_PEAK_BF16, COHORT_ISA_AVX2));
  CU_ASSERT_FALSE(cohort_peak_available(COHORT_PEAK_AMX, COHORT_ISA_AVX2));
  if (!cohort_processor_has_amx()) CU_ASSERT_FALSE(cohort_peak_available(COHORT_PEAK_AMX, COHORT_ISA_AVX512));
}

/* Every element is changed as said, and no other. */
static void test_passes(void) {
  void *memory = NULL;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_memory_create((ELEMENTS + 16) * sizeof(float), "test", &memory, &error), COHORT_DONE);
  float *data = memory;
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++) {
    for (int e = 0; e < ELEMENTS + 16; e++) data[e] = (float)(e % 7);
    CU_ASSERT_EQUAL(cohort_peak_read((cohort_isa)isa, data, ELEMENTS), 4.0 * ELEMENTS);
    CU_ASSERT_EQUAL(cohort_peak_update((cohort_isa)isa, data, ELEMENTS), 8.0 * ELEMENTS);
    int wrong = 0;
    for (int e = 0; e < ELEMENTS; e++) {
      const double expected = (e % 7) * 0.999 + 0.001, difference = (double)data[e] - expected;
      wrong += !(difference < 1e-6 && difference > -1e-6);
    }
    for (int e = ELEMENTS; e < ELEMENTS + 16; e++) wrong += data[e] != (float)(e % 7);
    CU_ASSERT_EQUAL(wrong, 0);
  }
  cohort_memory_release(memory);
}

int main(void) {
  static const check checks[] = {{"operations a second", test_operations},
                                 {"what the processor has", test_availability},
                                 {"passes over memory", test_passes}};
  return check_run("peak", checks, sizeof checks / sizeof *checks);
}
