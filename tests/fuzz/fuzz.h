/* A fuzzer of one reader: `fuzz_NAME [ITERATIONS [SEED]]`. It mutates valid inputs and asks of every one that it is
 * read into something consistent or refused in words. Iteration i depends on SEED + i alone, so `fuzz_NAME 1 S` repeats
 * one, and a crash can be looked at in a debugger. */
#ifndef COHORT_TESTS_FUZZ_FUZZ_H
#define COHORT_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/status.h"
#include "fuzz/mutate.h"

typedef struct fuzz_seed {
  const void *data;
  size_t bytes;
} fuzz_seed;

typedef enum { FUZZ_READ, FUZZ_REFUSED } fuzz_end;

/* The iteration in work, for messages. */
typedef struct fuzz_try {
  const char *name;
  uint64_t seed;
} fuzz_try;

typedef struct fuzz_reader {
  const char *name, *spice; /* of the program; bytes that mean something to the reader */
  int seeds;
  const fuzz_seed *seed;
  /* Reads one input; what must hold and does not is told by fuzz_must. `state` gives further random numbers. */
  fuzz_end (*run)(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state);
} fuzz_reader;

/* Ends the program when a promise is broken. */
static inline void fuzz_must(const fuzz_try *at, bool good, const char *promise) {
  if (good) return;
  (void)fprintf(stderr, "%s: broken: %s; again: %s 1 %llu\n", at->name, promise, at->name,
                (unsigned long long)at->seed);
  exit(1);
}

/* A file in memory with its path, for readers that take paths. */
typedef struct fuzz_file {
  int descriptor;
  char path[64];
} fuzz_file;

static inline fuzz_file fuzz_file_create(const fuzz_try *at) {
  fuzz_file file = {.descriptor = memfd_create("fuzz", MFD_CLOEXEC)};
  fuzz_must(at, file.descriptor >= 0, "memory for a file");
  (void)snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.descriptor);
  return file;
}

static inline void fuzz_file_set(const fuzz_try *at, const fuzz_file *file, const void *data, size_t bytes) {
  fuzz_must(at, ftruncate(file->descriptor, 0) == 0, "an empty file");
  fuzz_must(at, pwrite(file->descriptor, data, bytes, 0) == (ssize_t)bytes, "a whole file");
}

/* A refusal is one of config or data, of one line, and names the file first. */
static inline void fuzz_refusal(const fuzz_try *at, cohort_status status, cohort_status wanted,
                                const cohort_error *error, const char *file) {
  fuzz_must(at, status == wanted, "a refusal has the status of its kind");
  fuzz_must(at, error->status == wanted, "a refusal's error has its status");
  fuzz_must(at, strncmp(error->text, file, strlen(file)) == 0, "a refusal names the file first");
  fuzz_must(at, error->text[strlen(file)] == ':', "a refusal names the file alone");
  fuzz_must(at, strlen(error->text) > strlen(file) + 3, "a refusal says what is wrong");
  fuzz_must(at, !strchr(error->text, '\n'), "a refusal is one line");
}

static inline int fuzz_main(int count, char **word, const fuzz_reader *reader) {
  const long long iterations = count > 1 ? strtoll(word[1], NULL, 10) : 1000;
  const uint64_t first = count > 2 ? strtoull(word[2], NULL, 10) : 1;
  long long ends[2] = {0};
  if (iterations <= 0 || count > 3) {
    (void)fprintf(stderr, "%s [ITERATIONS [SEED]]\n", reader->name);
    return 2;
  }
  for (long long i = 0; i < iterations; i++) {
    uint64_t state = first + (uint64_t)i;
    const int seed = (int)(mutate_random(&state) % (uint64_t)reader->seeds);
    size_t length = 0;
    unsigned char *data = mutate(&state, reader->seed[seed].data, reader->seed[seed].bytes, reader->spice, &length);
    const fuzz_try at = {reader->name, first + (uint64_t)i};
    ends[reader->run(&at, seed, data, length, &state)]++;
    free(data);
  }
  (void)printf("%s: %lld inputs, %lld read, %lld refused\n", reader->name, iterations, ends[FUZZ_READ],
               ends[FUZZ_REFUSED]);
  /* A fuzzer whose inputs all end alike looks at nothing. */
  return iterations >= 100 && (!ends[FUZZ_READ] || !ends[FUZZ_REFUSED]);
}

#endif
