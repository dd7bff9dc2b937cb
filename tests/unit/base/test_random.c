#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"

static cohort_random_key key_of(uint32_t first, uint32_t second) { return (cohort_random_key){{first, second}}; }

/* The known answers of Random123's kat_vectors for philox4x32 10. */
static void test_known_answers(void) {
  const philox4x32_ctr_t zeros = cohort_random_words(key_of(0, 0), 0, 0);
  const uint32_t zeros_answer[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  CU_ASSERT_EQUAL(memcmp(zeros.v, zeros_answer, sizeof zeros_answer), 0);
  const philox4x32_ctr_t ones = cohort_random_words(key_of(UINT32_MAX, UINT32_MAX), UINT64_MAX, UINT64_MAX);
  const uint32_t ones_answer[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  CU_ASSERT_EQUAL(memcmp(ones.v, ones_answer, sizeof ones_answer), 0);
  const philox4x32_ctr_t digits =
      cohort_random_words(key_of(0xa4093822, 0x299f31d0), UINT64_C(0x0370734413198a2e), UINT64_C(0x85a308d3243f6a88));
  const uint32_t digits_answer[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
  CU_ASSERT_EQUAL(memcmp(digits.v, digits_answer, sizeof digits_answer), 0);
}

static void test_words_are_the_stream(void) {
  const cohort_random_key key = cohort_random_key_from_seed(7);
  for (uint64_t element = 0; element < 40; element++) {
    CU_ASSERT_EQUAL(cohort_random_word(key, 3, element), cohort_random_words(key, 3, element / 4).v[element % 4]);
    const double uniform = cohort_random_uniform(cohort_random_word(key, 3, element));
    CU_ASSERT(uniform >= 0 && uniform < 1 && (double)(float)uniform == uniform);
  }
}

static bool same(cohort_random_key a, cohort_random_key b) { return a.word[0] == b.word[0] && a.word[1] == b.word[1]; }

static void test_keys_differ(void) {
  const cohort_random_key root = cohort_random_key_from_seed(1);
  const cohort_random_key keys[] = {
      root,
      cohort_random_key_from_seed(2),
      cohort_random_key_from_seed(UINT64_C(1) << 32),
      cohort_random_key_derive(root, 0),
      cohort_random_key_derive(root, 1),
      cohort_random_key_derive(root, UINT64_C(1) << 32),
      cohort_random_key_derive_name(root, ""),
      cohort_random_key_derive_name(root, "a"),
      cohort_random_key_derive_name(root, "dropout.1"),
      cohort_random_key_derive_name(root, "dropout.2"),
      cohort_random_key_derive_name(root, "12345678"),
      cohort_random_key_derive_name(root, "123456780"),
      cohort_random_key_derive(cohort_random_key_derive(root, 1), 2),
      cohort_random_key_derive(cohort_random_key_derive(root, 2), 1),
  };
  const size_t count = sizeof keys / sizeof *keys;
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < i; j++) CU_ASSERT_FALSE(same(keys[i], keys[j]));
  }
  CU_ASSERT(same(cohort_random_key_derive_name(root, "a"), cohort_random_key_derive_name(root, "a")));
}

static bool is_bijection(cohort_random_key key, uint64_t size) {
  char *seen = calloc(size, 1);
  bool good = seen != NULL;
  for (uint64_t i = 0; good && i < size; i++) {
    const uint64_t element = cohort_random_permute(key, size, i);
    good = element < size && !seen[element];
    if (good) seen[element] = 1;
  }
  free(seen);
  return good;
}

static void test_permutation_is_a_bijection(void) {
  for (uint64_t size = 1; size <= 300; size++) {
    for (uint64_t seed = 0; seed < 3; seed++) CU_ASSERT(is_bijection(cohort_random_key_from_seed(seed), size));
  }
  const uint64_t sizes[] = {1023, 1024, 1025, 4095, 4096, 4097, 65535, 65536, 65537, 100003};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CU_ASSERT(is_bijection(cohort_random_key_from_seed(9), sizes[i]));
  }
  const uint64_t huge = (UINT64_C(1) << 62) + 12345;
  for (uint64_t i = 0; i < 100; i++) CU_ASSERT(cohort_random_permute(key_of(1, 2), huge, i) < huge);
}

static void test_many_positions_at_once(void) {
  enum { MOST = 300 };
  const uint64_t sizes[] = {1, 2, 5, 64, 65, 2048, 100003, (UINT64_C(1) << 62) + 12345};
  uint64_t position[MOST], element[MOST];
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (size_t count = 0; count <= MOST; count = 3 * count + 1) {
      for (size_t i = 0; i < count; i++) position[i] = 7919 * (uint64_t)i % sizes[s];
      cohort_random_permute_all(key_of(3, 4), sizes[s], count, position, element);
      for (size_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(element[i], cohort_random_permute(key_of(3, 4), sizes[s], position[i]));
    }
}

/* Every one of the 24 permutations of 4 elements comes up about equally often over keys: chi-squared with 23 degrees of
 * freedom below its 1e-6 quantile. */
static void test_permutations_are_even(void) {
  enum { KEYS = 24000 };
  int found[256] = {0};
  for (uint64_t seed = 0; seed < KEYS; seed++) {
    unsigned code = 0;
    for (uint64_t i = 0; i < 4; i++) {
      code = code * 4 + (unsigned)cohort_random_permute(cohort_random_key_from_seed(seed), 4, i);
    }
    found[code]++;
  }
  int kinds = 0;
  double chi = 0;
  for (int code = 0; code < 256; code++) {
    if (!found[code]) continue;
    kinds++;
    chi += (found[code] - KEYS / 24.0) * (found[code] - KEYS / 24.0) / (KEYS / 24.0);
  }
  CU_ASSERT_EQUAL(kinds, 24);
  CU_ASSERT(chi < 71.0);
}

static void test_normal_moments(void) {
  enum { COUNT = 100000 };
  const cohort_random_key key = cohort_random_key_from_seed(5);
  double sum = 0, squares = 0;
  for (uint64_t i = 0; i < COUNT; i++) {
    const double value = cohort_random_normal_at(key, 1, i);
    sum += value;
    squares += value * value;
  }
  CU_ASSERT(fabs(sum / COUNT) < 5 / sqrt(COUNT));
  CU_ASSERT(fabs(squares / COUNT - 1) < 5 * sqrt(2.0 / COUNT));
}

static const check checks[] = {
    {"known answers", test_known_answers},
    {"words are the stream", test_words_are_the_stream},
    {"keys differ", test_keys_differ},
    {"a permutation is a bijection", test_permutation_is_a_bijection},
    {"many positions at once", test_many_positions_at_once},
    {"permutations are even", test_permutations_are_even},
    {"moments of the normal numbers", test_normal_moments},
};

int main(void) { return check_run("random", checks, sizeof checks / sizeof *checks); }
