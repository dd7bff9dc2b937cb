/* A directory of its own for a test, files in it, and mutations that are the same in every run. */
#ifndef COHORT_TESTS_UNIT_IO_SCRATCH_H
#define COHORT_TESTS_UNIT_IO_SCRATCH_H

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"

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

/* SplitMix64: one state, one sequence. */
static inline uint64_t scratch_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* A copy with 1 to 4 faults: bytes changed, inserted from `spice`, cut out or doubled, or the end lost. */
static inline unsigned char *scratch_mutate(uint64_t *state, const void *data, size_t bytes, const char *spice,
                                            size_t *length) {
  enum { FAULTS = 4, LONGEST_PIECE = 16 };
  unsigned char *const out = cohort_allocate(bytes + FAULTS * LONGEST_PIECE + 1);
  memcpy(out, data, bytes);
  size_t count = bytes;
  for (uint64_t left = 1 + scratch_random(state) % FAULTS; left > 0 && count > 0; left--) {
    const size_t at = scratch_random(state) % count;
    size_t piece = 1 + scratch_random(state) % LONGEST_PIECE;
    if (piece > count - at) piece = count - at;
    switch (scratch_random(state) % 6) {
      case 0:
        out[at] ^= (unsigned char)(1u << scratch_random(state) % 8);
        break;
      case 1:
        out[at] = (unsigned char)scratch_random(state);
        break;
      case 2:
        memmove(out + at + 1, out + at, count - at);
        out[at] = (unsigned char)spice[scratch_random(state) % strlen(spice)];
        count++;
        break;
      case 3:
        memmove(out + at, out + at + piece, count - at - piece);
        count -= piece;
        break;
      case 4:
        memmove(out + at + piece, out + at, count - at);
        count += piece;
        break;
      default:
        if (scratch_random(state) % 4 == 0) count = at;
    }
  }
  out[count] = '\0';
  *length = count;
  return out;
}

#endif
