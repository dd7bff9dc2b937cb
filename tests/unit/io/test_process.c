/* A program that answers lines with lines: it answers; it ends, at once too; it stalls, says too much, is stopped. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "check.h"
#include "io/process.h"

static cohort_status ask(const char *line, const char *text, int64_t lines, double timeout, const _Atomic int *stop,
                         char **answer, cohort_error *error) {
  cohort_process *process = NULL;
  error->text[0] = '\0';
  CU_ASSERT_EQUAL_FATAL(cohort_process_start(line, &process, error), COHORT_DONE);
  const cohort_status status = cohort_process_ask(process, text, strlen(text), lines, timeout, stop, answer, error);
  cohort_process_end(process);
  return status;
}

static void test_answers(void) {
  cohort_process *process = NULL;
  cohort_error error;
  char *answer = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_process_start("while read a; do echo $a$a; done", &process, &error), COHORT_DONE);
  for (int time = 0; time < 2; time++) {
    CU_ASSERT_EQUAL_FATAL(cohort_process_ask(process, "1\n23\n", 5, 2, 10, NULL, &answer, &error), COHORT_DONE);
    CU_ASSERT_STRING_EQUAL(answer, "11");
    CU_ASSERT_STRING_EQUAL(answer + 3, "2323");
    free(answer);
  }
  CU_ASSERT_EQUAL(cohort_process_ask(process, "", 0, 0, 10, NULL, &answer, &error), COHORT_DONE);
  free(answer);
  cohort_process_end(process);
  cohort_process_end(NULL);
}

/* More than a pipe holds, both ways. */
static void test_much(void) {
  enum { LINES = 100000 };
  char *text = malloc(3 * LINES + 1), *answer = NULL;
  cohort_error error;
  for (int i = 0; i < LINES; i++) memcpy(text + 3 * i, "ab\n", 4);
  CU_ASSERT_EQUAL(ask("cat", text, LINES, 30, NULL, &answer, &error), COHORT_DONE);
  CU_ASSERT_STRING_EQUAL(answer + 3 * (LINES - 1), "ab");
  free(answer);
  /* It reads nothing and ends: a write meets a broken pipe, and we live. */
  CU_ASSERT_EQUAL(ask("exec 0<&-; sleep 0.1; exit 4", text, 1, 30, NULL, &answer, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "ended with status 4 after 0 of 1 lines"));
  free(text);
}

static void test_failures(void) {
  cohort_error error;
  char *answer = NULL;
  const double start = cohort_clock_seconds();
  CU_ASSERT_EQUAL(ask("sleep 60", "1\n", 1, 0.2, NULL, &answer, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "only 0 of 1 lines within 0.2 s"));
  CU_ASSERT(cohort_clock_seconds() - start < 20);
  CU_ASSERT_EQUAL(ask("read a; printf '1\\n2\\n'; sleep 60", "x\n", 1, 30, NULL, &answer, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "more than a line for each"));
  CU_ASSERT_EQUAL(ask("read a; echo 1; exit 3", "x\n", 2, 30, NULL, &answer, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "ended with status 3 after 1 of 2 lines"));
  /* A line too many that comes late is found when it is asked again. */
  cohort_process *process = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_process_start("read a; echo 1; sleep 0.05; echo 2; read a; echo 3", &process, &error),
                        COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_process_ask(process, "x\n", 2, 1, 10, NULL, &answer, &error), COHORT_DONE);
  free(answer);
  const struct timespec pause = {.tv_nsec = 200000000};
  (void)nanosleep(&pause, NULL);
  CU_ASSERT_EQUAL(cohort_process_ask(process, "x\n", 2, 1, 10, NULL, &answer, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "more than a line for each"));
  cohort_process_end(process);
  const _Atomic int stop = 1;
  CU_ASSERT_EQUAL(ask("sleep 60", "", 1, 30, &stop, &answer, &error), COHORT_STOPPED);
}

int main(void) {
  static const check checks[] = {{"answers", test_answers}, {"much", test_much}, {"failures", test_failures}};
  return check_run("process", checks, sizeof checks / sizeof *checks);
}
