/* Files that say who holds what read back as they were written; a text's parts are found where lines name them. */
#include <stdio.h>
#include <unistd.h>

#include "check.h"
#include "io/dataset/owners.h"

enum { SAMPLES = 300 };

static void check_file(const char *path) {
  int32_t owner[SAMPLES], *found = NULL;
  int64_t clients = 0;
  cohort_error error = {.text = ""};
  for (int i = 0; i < SAMPLES; i++) owner[i] = i * i % 17;
  CU_ASSERT_EQUAL_FATAL(cohort_owners_write(path, SAMPLES, owner, &error), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_owners_read(path, SAMPLES, &found, &clients, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(memcmp(found, owner, sizeof owner), 0);
  CU_ASSERT_EQUAL(clients, 17);
  free(found);
  CU_ASSERT_EQUAL(cohort_owners_read(path, SAMPLES + 1, &found, &clients, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "owners of 300 samples"));
  (void)unlink(path);
  CU_ASSERT_EQUAL(cohort_owners_read(path, SAMPLES, &found, &clients, &error), COHORT_BAD_DATA);
}

static void test_files(void) {
  cohort_error error;
  check_file("owners_test.h5");
  check_file("owners_test.csv");
  CU_ASSERT_EQUAL(cohort_owners_check_name("owners.txt", &error), COHORT_BAD_CONFIG);
  CU_ASSERT_EQUAL(cohort_owners_check_name(".csv", &error), COHORT_BAD_CONFIG);
}

static void test_parts(void) {
  static const char text[] = "a title\nROMEO. one\nmore\nJULIET. two\nROMEO. three\nROMEO. four";
  cohort_text_parts parts;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_text_parts_find(text, strlen(text), "^([A-Z]+)\\.", &parts, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(parts.parts, 2);
  CU_ASSERT_EQUAL_FATAL(parts.runs, 3);
  const size_t first[] = {0, (size_t)(strstr(text, "JULIET") - text), (size_t)(strstr(text, "ROMEO. three") - text)};
  for (int r = 0; r < 3; r++) {
    CU_ASSERT_EQUAL(parts.first[r], first[r]);
    CU_ASSERT_EQUAL(parts.part[r], r == 1);
  }
  cohort_text_parts_release(&parts);
  CU_ASSERT_EQUAL(cohort_text_parts_find(text, strlen(text), "^Nobody", &parts, &error), COHORT_BAD_DATA);
  cohort_text_parts_release(&parts);
  CU_ASSERT_EQUAL(cohort_text_parts_find(text, strlen(text), "([", &parts, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "pattern: "));
}

static const check checks[] = {{"files of owners", test_files}, {"parts of a text", test_parts}};
int main(void) { return check_run("owners", checks, sizeof checks / sizeof *checks); }
