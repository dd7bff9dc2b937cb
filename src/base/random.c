/* Random numbers as pure functions of (key, counter): Philox 4x32-10 for numbers, a keyed Feistel network for
 * permutations. Nothing is ever drawn from a state, so no number depends on the order, the rank or the thread that
 * asks.
 *
 * A number costs one block of ten rounds; a place of a permutation costs a handful, whatever its size. Several places
 * are walked side by side. */
#include "base/random.h"

#include <immintrin.h>
#include <string.h>

/* Counters (high word) that no stream of numbers uses, one for each purpose of this file. */
static const uint64_t number_domain = UINT64_C(0xffffffff00000001);
static const uint64_t chunk_domain = UINT64_C(0xffffffff00000002);
static const uint64_t name_domain = UINT64_C(0xffffffff00000003);
static const uint64_t permute_domain = UINT64_C(0xffffffff10000000);

/* More rounds than Luby and Rackoff's four, because the halves of small sets have few bits. */
enum { PERMUTE_ROUNDS = 8 };

static cohort_random_key derive(cohort_random_key parent, uint64_t domain, uint64_t number) {
  const philox4x32_ctr_t words = cohort_random_words(parent, domain, number);
  return (cohort_random_key){{words.v[0], words.v[1]}};
}

cohort_random_key cohort_random_key_from_seed(uint64_t seed) {
  return (cohort_random_key){{(uint32_t)seed, (uint32_t)(seed >> 32)}};
}

cohort_random_key cohort_random_key_derive(cohort_random_key parent, uint64_t number) {
  return derive(parent, number_domain, number);
}

cohort_random_key cohort_random_key_derive_name(cohort_random_key parent, const char *name) {
  const size_t length = strlen(name);
  cohort_random_key key = parent;
  for (size_t start = 0; start < length; start += 8) {
    uint64_t chunk = 0;
    for (size_t i = 0; i < 8 && start + i < length; i++) chunk |= (uint64_t)(unsigned char)name[start + i] << (8 * i);
    key = derive(key, chunk_domain, chunk);
  }
  return derive(key, name_domain, length);
}

static uint64_t permute_once(cohort_random_key key, unsigned half_bits, uint64_t value) {
  const uint64_t mask = (UINT64_C(1) << half_bits) - 1;
  uint64_t left = value >> half_bits, right = value & mask;
  for (unsigned round = 0; round < PERMUTE_ROUNDS; round++) {
    const uint64_t mixed = left ^ (cohort_random_words(key, permute_domain + round, right).v[0] & mask);
    left = right;
    right = mixed;
  }
  return left << half_bits | right;
}

uint64_t cohort_random_permute(cohort_random_key key, uint64_t size, uint64_t position) {
  if (size <= 1) return 0;
  unsigned half_bits = 1;
  while (half_bits < 32 && (size - 1) >> (2 * half_bits)) half_bits++;
  /* Walks the cycle of a permutation of the next even power of two until it is back inside: at most four steps on
   * average. */
  uint64_t value = position;
  do value = permute_once(key, half_bits, value);
  while (value >= size);
  return value;
}

/* A number waits for the one before it, so several walks are under way side by side: as many as a vector has lanes. */
enum { WALKS = 8 };

/* Philox4x32-10 in eight lanes of 64 bits, of which the lower halves count: the first word for (high, low[lane]). */
static inline __attribute__((target("avx512f"))) __m512i first_words(cohort_random_key key, uint64_t high,
                                                                     __m512i low) {
  enum { ROUNDS = 10 };
  const __m512i first = _mm512_set1_epi64(PHILOX_M4x32_0), second = _mm512_set1_epi64(PHILOX_M4x32_1);
  __m512i a = low, b = _mm512_setzero_si512(), c = _mm512_set1_epi64((int64_t)high), d = _mm512_srli_epi64(c, 32);
  for (int round = 0; round < ROUNDS; round++) {
    const __m512i p = _mm512_mul_epu32(a, first), q = _mm512_mul_epu32(c, second);
    a = _mm512_srli_epi64(q, 32) ^ b ^ _mm512_set1_epi64(key.word[0]);
    c = _mm512_srli_epi64(p, 32) ^ d ^ _mm512_set1_epi64(key.word[1]);
    b = q;
    d = p;
    key.word[0] += PHILOX_W32_0;
    key.word[1] += PHILOX_W32_1;
  }
  return a;
}

static __attribute__((target("avx512f"))) void permute_lanes(cohort_random_key key, unsigned half_bits,
                                                             uint64_t value[WALKS]) {
  const __m512i ones = _mm512_set1_epi64(-1), mask = _mm512_xor_si512(_mm512_slli_epi64(ones, half_bits), ones);
  const __m512i walks = _mm512_loadu_si512(value);
  __m512i left = _mm512_srli_epi64(walks, half_bits), right = walks & mask;
  for (unsigned round = 0; round < PERMUTE_ROUNDS; round++) {
    const __m512i mixed = left ^ (first_words(key, permute_domain + round, right) & mask);
    left = right;
    right = mixed;
  }
  _mm512_storeu_si512(value, _mm512_slli_epi64(left, half_bits) | right);
}

static void permute_each(cohort_random_key key, unsigned half_bits, uint64_t value[WALKS]) {
  if (__builtin_cpu_supports("avx512f")) {
    permute_lanes(key, half_bits, value);
    return;
  }
  const uint64_t mask = (UINT64_C(1) << half_bits) - 1;
  uint64_t left[WALKS], right[WALKS];
  for (int i = 0; i < WALKS; i++) {
    left[i] = value[i] >> half_bits;
    right[i] = value[i] & mask;
  }
  for (unsigned round = 0; round < PERMUTE_ROUNDS; round++)
    for (int i = 0; i < WALKS; i++) {
      const uint64_t mixed = left[i] ^ (cohort_random_words(key, permute_domain + round, right[i]).v[0] & mask);
      left[i] = right[i];
      right[i] = mixed;
    }
  for (int i = 0; i < WALKS; i++) value[i] = left[i] << half_bits | right[i];
}

void cohort_random_permute_all(cohort_random_key key, uint64_t size, size_t count, const uint64_t *position,
                               uint64_t *element) {
  unsigned half_bits = 1;
  while (half_bits < 32 && (size - 1) >> (2 * half_bits)) half_bits++;
  uint64_t value[WALKS] = {0};
  size_t whose[WALKS], next = 0;
  for (int walks = 0; walks > 0 || next < count;) {
    for (; walks < WALKS && next < count; walks++, next++) {
      value[walks] = position[next];
      whose[walks] = next;
    }
    permute_each(key, half_bits, value);
    for (int i = walks - 1; i >= 0; i--) {
      if (value[i] >= size) continue;
      element[whose[i]] = value[i];
      walks--;
      value[i] = value[walks];
      whose[i] = whose[walks];
    }
  }
}
