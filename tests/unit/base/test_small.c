/* The small parts: errors, memory, log, clock, processor and teams. */
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/processor.h"
#include "base/status.h"
#include "base/team.h"
#include "check.h"

static void test_errors(void) {
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_fail(&error, COHORT_BAD_DATA, "line %d; mend it", 3), COHORT_BAD_DATA);
  CU_ASSERT_STRING_EQUAL(error.text, "line 3; mend it");
  CU_ASSERT_EQUAL(cohort_fail(&error, COHORT_BUG, "again: %s", error.text), COHORT_BUG);
  CU_ASSERT_STRING_EQUAL(error.text, "again: line 3; mend it");
  for (int i = 0; i < 300; i++) cohort_fail(&error, COHORT_BUG, "a long prefix: %s", error.text);
  CU_ASSERT_EQUAL(strlen(error.text), sizeof error.text - 1);
  CU_ASSERT_EQUAL(cohort_fail(NULL, COHORT_DIVERGED, "x"), COHORT_DIVERGED);
}

static void test_memory(void) {
  const size_t sizes[] = {0, 1, 100, (size_t)5 << 20};
  for (int i = 0; i < 4; i++) {
    void *memory = NULL;
    CU_ASSERT_EQUAL_FATAL(cohort_memory_create(sizes[i], "a test", &memory, NULL), COHORT_DONE);
    CU_ASSERT_PTR_NOT_NULL(memory);
    CU_ASSERT_EQUAL((uintptr_t)memory % (i == 3 ? (uintptr_t)2 << 20 : COHORT_ALIGNMENT), 0);
    int other = 0;
    for (size_t b = 0; b < sizes[i]; b++) other |= ((char *)memory)[b];
    CU_ASSERT_EQUAL(other, 0);
    cohort_memory_release(memory);
  }
  cohort_error error = {0};
  void *kept = &error;
  CU_ASSERT_EQUAL(cohort_memory_create(SIZE_MAX - 5, "the impossible", &kept, &error), COHORT_NO_RESOURCE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "the impossible"));
  CU_ASSERT_PTR_EQUAL(kept, &error);
  const size_t counts[] = {0, 1023, 1024, 4096, ((size_t)1 << 20) - 1, (size_t)3 << 19, (size_t)24 << 30};
  const char *const words[] = {"0 bytes", "1023 bytes", "1.0 KiB", "4.0 KiB", "1024.0 KiB", "1.5 MiB", "24576.0 MiB"};
  char size[32];
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    CU_ASSERT_STRING_EQUAL(cohort_bytes_text(counts[i], size), words[i]);
  char *text = cohort_format_text("%s-%d", "a", 12);
  CU_ASSERT_STRING_EQUAL(text, "a-12");
  free(text);
}

static void test_log(void) {
  char *written = NULL;
  size_t length = 0;
  FILE *file = open_memstream(&written, &length);
  cohort_log log = {.file = file, .speaks = true, .quiet = true};
  cohort_log_line(&log, "step %d", 3);
  log.speaks = false;
  cohort_log_line(&log, "unheard");
  cohort_log_warning(&log, "unheard");
  fclose(file);
  CU_ASSERT_STRING_EQUAL(written, "step 3\n");
  free(written);
}

static void test_clock_and_processor(void) {
  const double start = cohort_clock_seconds();
  CU_ASSERT(cohort_clock_seconds() >= start);
  char stamp[32], name[64];
  cohort_clock_stamp(stamp);
  CU_ASSERT_EQUAL(strlen(stamp), strlen("2026-11-21T04:29:00+0000"));
  cohort_processor_name(name);
  CU_ASSERT(strlen(name) > 0 && cohort_processor_cores() >= 1);
  const cohort_isa best = cohort_processor_isa();
  setenv("COHORT_KERNELS", "sse2", 1);
  CU_ASSERT_EQUAL(cohort_processor_isa(), COHORT_ISA_SSE2);
  setenv("COHORT_KERNELS", "avx512", 1);
  CU_ASSERT_EQUAL(cohort_processor_isa(), best);
  unsetenv("COHORT_KERNELS");
  CU_ASSERT_STRING_EQUAL(cohort_isa_name(COHORT_ISA_AVX2), "avx2");
}

enum { TILES = 1000 };

typedef struct tally {
  int calls[TILES];
  _Atomic int inside; /* threads that wait to meet */
  _Atomic int met;
} tally;

static void count_tile(void *argument, int64_t tile) { ((tally *)argument)->calls[tile]++; }

static bool each_once(int threads, int64_t tiles) {
  tally counts = {0};
  const cohort_team team = {threads};
  cohort_team_run(&team, tiles, count_tile, &counts);
  bool good = true;
  for (int64_t i = 0; i < TILES; i++) good = good && counts.calls[i] == (i < tiles);
  return good;
}

static void *in_a_thread(void *argument) {
  *(bool *)argument = each_once(3, TILES);
  return NULL;
}

/* Both tiles wait for each other, for a while: they meet only when two threads work at once. */
static void meet(void *argument, int64_t tile) {
  (void)tile;
  tally *counts = argument;
  counts->inside++;
  const double start = cohort_clock_seconds();
  while (counts->inside < 2 && cohort_clock_seconds() - start < 10) sched_yield();
  if (counts->inside == 2) counts->met++;
}

static void test_teams(void) {
  for (int threads = 1; threads <= 5; threads++) {
    for (int64_t tiles = 0; tiles <= TILES; tiles = 3 * tiles + 1) CU_ASSERT(each_once(threads, tiles));
  }
  bool good[4] = {false};
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; i++) {
    good[i] = each_once(2, TILES);
  }
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, in_a_thread, &good[2]), 0);
  pthread_join(thread, NULL);
  CU_ASSERT(good[0] && good[1] && good[2]);
}

static void test_a_team_in_a_team_has_threads(void) {
  tally counts = {0};
  const cohort_team team = {2};
#pragma omp parallel num_threads(2)
  {
#pragma omp single
    cohort_team_run(&team, 2, meet, &counts);
  }
  CU_ASSERT_EQUAL(counts.met, 2);
}

static void *halve(void *argument) {
  volatile float *number = argument;
  *number *= 0.5f;
  return NULL;
}

static void test_tiny_numbers_are_zero(void) {
  float number[] = {1.17549435e-38f, 1.17549435e-38f, 1.17549435e-38f}; /* the least normal one */
  fenv_t before;
  CU_ASSERT_EQUAL_FATAL(fegetenv(&before), 0);
  (void)halve(&number[0]);
  CU_ASSERT(number[0] > 0);
  cohort_processor_flush_tiny();
  (void)halve(&number[1]);
  pthread_t thread;
  CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, halve, &number[2]), 0);
  pthread_join(thread, NULL);
  CU_ASSERT_EQUAL(fesetenv(&before), 0);
  if (check_under_valgrind()) return; /* which does not heed it */
  CU_ASSERT(number[1] == 0 && number[2] == 0);
}

static const check checks[] = {
    {"errors", test_errors},
    {"memory", test_memory},
    {"log", test_log},
    {"clock and processor", test_clock_and_processor},
    {"teams", test_teams},
    {"a team in a team has threads", test_a_team_in_a_team_has_threads},
    {"tiny numbers are zero", test_tiny_numbers_are_zero},
};

int main(void) { return check_run("small", checks, sizeof checks / sizeof *checks); }
