/* A unit test program: one suite of CUnit tests; its exit status is 0 when all hold. */
#ifndef COHORT_TESTS_CHECK_H
#define COHORT_TESTS_CHECK_H

#include <CUnit/Basic.h>
#include <omp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct check {
  const char *name;
  void (*function)(void);
} check;

/* Valgrind puts its own allocator in place of every other, also of one that a test defines, by preloading it. */
static inline bool check_under_valgrind(void) {
  const char *preloaded = getenv("LD_PRELOAD");
  return preloaded && strstr(preloaded, "vgpreload_memcheck") != NULL;
}

static inline int check_run(const char *suite_name, const check *checks, size_t count) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 1;
  CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
  for (size_t i = 0; suite && i < count; i++) CU_add_test(suite, checks[i].name, checks[i].function);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  CU_basic_run_tests();
  const unsigned failures = CU_get_number_of_failures();
  const unsigned run = CU_get_number_of_tests_run();
  CU_cleanup_registry();
  /* OpenMP's threads end here, so that what they held is no leak. */
  (void)omp_pause_resource_all(omp_pause_hard);
  return failures != 0 || run != count;
}

#endif
