/* A unit test program: one suite of CUnit tests; its exit status is 0 when all hold. */
#ifndef COHORT_TESTS_CHECK_H
#define COHORT_TESTS_CHECK_H

#include <CUnit/Basic.h>
#include <stddef.h>

typedef struct check {
  const char *name;
  void (*function)(void);
} check;

static inline int check_run(const char *suite_name, const check *checks, size_t count) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 1;
  CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
  for (size_t i = 0; suite && i < count; i++) CU_add_test(suite, checks[i].name, checks[i].function);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  CU_basic_run_tests();
  const unsigned failures = CU_get_number_of_failures();
  const unsigned run = CU_get_number_of_tests_run();
  CU_cleanup_registry();
  return failures != 0 || run != count;
}

#endif
