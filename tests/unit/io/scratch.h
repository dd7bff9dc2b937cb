/* A directory of its own for a test, and files in it. */
#ifndef COHORT_TESTS_UNIT_IO_SCRATCH_H
#define COHORT_TESTS_UNIT_IO_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "fuzz/mutate.h"

static inline char *scratch_create(void) {
  const char *const parent = getenv("TMPDIR");
  char *const path = cohort_format_text("%s/cohort_test_XXXXXX", parent && *parent ? parent : "/tmp");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
  return path;
}

static inline int scratch_remove_one(const char *path, const struct stat *found, int type, struct FTW *place) {
  (void)found, (void)type, (void)place;
  return remove(path);
}

static inline void scratch_remove(char *directory) {
  CU_ASSERT_EQUAL(nftw(directory, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
  free(directory);
}

/* The path of a file with this content; owned by the caller. */
static inline char *scratch_file(const char *directory, const char *name, const void *data, size_t bytes) {
  char *const path = cohort_format_text("%s/%s", directory, name);
  FILE *const file = fopen(path, "wb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL(fwrite(data, 1, bytes, file), bytes);
  CU_ASSERT_EQUAL(fclose(file), 0);
  return path;
}

static inline char *scratch_text(const char *directory, const char *name, const char *text) {
  return scratch_file(directory, name, text, strlen(text));
}

/* The content, NUL-terminated; owned by the caller. */
static inline char *scratch_read(const char *path, size_t *bytes) {
  FILE *const file = fopen(path, "rb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  char *const text = cohort_allocate(1 << 20);
  *bytes = fread(text, 1, (1 << 20) - 1, file);
  fclose(file);
  return text;
}

#endif
