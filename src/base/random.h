/* Counter-based random numbers (Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11;
 * Random123). A number is a function of (key, counter) alone, so it never depends on the order of calls, on a rank or
 * on a thread. A key is made from the run's seed by deriving it with names and numbers (purpose, node name, batch). */
#ifndef COHORT_BASE_RANDOM_H
#define COHORT_BASE_RANDOM_H

#include <Random123/philox.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cohort_random_key {
  uint32_t word[2];
} cohort_random_key;

cohort_random_key cohort_random_key_from_seed(uint64_t seed);
cohort_random_key cohort_random_key_derive(cohort_random_key parent, uint64_t number);
cohort_random_key cohort_random_key_derive_name(cohort_random_key parent, const char *name);

/* Four independent 32-bit words for counter (high, low). */
static inline philox4x32_ctr_t cohort_random_words(cohort_random_key key, uint64_t high, uint64_t low) {
  const philox4x32_ctr_t counter = {{(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}};
  const philox4x32_key_t words = {{key.word[0], key.word[1]}};
  return philox4x32(counter, words);
}

/* Word `element` of the stream (key, high): element / 4 selects the counter, element % 4 the word. */
static inline uint32_t cohort_random_word(cohort_random_key key, uint64_t high, uint64_t element) {
  return cohort_random_words(key, high, element >> 2).v[element & 3];
}

/* Uniform in [0, 1) with 24 bits: exact in float. */
static inline double cohort_random_uniform(uint32_t word) { return (double)(word >> 8) * 0x1p-24; }

/* Uniform in [0, bound) without visible bias for bound < 2^31. */
static inline uint32_t cohort_random_below(uint32_t word, uint32_t bound) {
  return (uint32_t)(((uint64_t)word * bound) >> 32);
}

/* Standard normal from two words (Box-Muller). */
static inline double cohort_random_normal(uint32_t first, uint32_t second) {
  const double radius = sqrt(-2.0 * log(((double)(first >> 8) + 1.0) * 0x1p-24));
  return radius * cos(6.283185307179586 * ((double)(second >> 8) * 0x1p-24));
}
/* Standard normal number `element` of the stream (key, high): words 2*element and 2*element + 1. */
static inline double cohort_random_normal_at(cohort_random_key key, uint64_t high, uint64_t element) {
  const philox4x32_ctr_t words = cohort_random_words(key, high, element >> 1);
  return cohort_random_normal(words.v[2 * (element & 1)], words.v[2 * (element & 1) + 1]);
}

/* A permutation of [0, size) as a function: position -> element, by a keyed Feistel network with cycle walking; nothing
 * is stored. size >= 1, position in [0, size). */
uint64_t cohort_random_permute(cohort_random_key key, uint64_t size, uint64_t position);
/* The same for `count` positions at once, in less time. */
void cohort_random_permute_all(cohort_random_key key, uint64_t size, size_t count, const uint64_t *position,
                               uint64_t *element);

#endif
