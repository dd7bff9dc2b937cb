/* Mutations of valid inputs that are the same in every run. */
#ifndef COHORT_TESTS_FUZZ_MUTATE_H
#define COHORT_TESTS_FUZZ_MUTATE_H

#include <stdint.h>
#include <string.h>

#include "base/memory.h"

/* SplitMix64: one state, one sequence. */
static inline uint64_t mutate_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* A copy with 1 to 4 faults: bytes changed, inserted from `spice`, cut out or doubled, or the end lost. */
static inline unsigned char *mutate(uint64_t *state, const void *data, size_t bytes, const char *spice,
                                    size_t *length) {
  enum { FAULTS = 4, LONGEST_PIECE = 16 };
  unsigned char *const out = cohort_allocate(bytes + FAULTS * LONGEST_PIECE + 1);
  memcpy(out, data, bytes);
  size_t count = bytes;
  for (uint64_t left = 1 + mutate_random(state) % FAULTS; left > 0 && count > 0; left--) {
    const size_t at = mutate_random(state) % count;
    size_t piece = 1 + mutate_random(state) % LONGEST_PIECE;
    if (piece > count - at) piece = count - at;
    switch (mutate_random(state) % 6) {
      case 0:
        out[at] ^= (unsigned char)(1u << mutate_random(state) % 8);
        break;
      case 1:
        out[at] = (unsigned char)mutate_random(state);
        break;
      case 2:
        memmove(out + at + 1, out + at, count - at);
        out[at] = (unsigned char)spice[mutate_random(state) % strlen(spice)];
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
        if (mutate_random(state) % 4 == 0) count = at;
    }
  }
  out[count] = '\0';
  *length = count;
  return out;
}

#endif
