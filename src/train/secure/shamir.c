/* Polynomials modulo a prime. Invariant: every value is below the prime. A share costs threshold products, weights cost
 * count^2 and an inverse for each point. */
#include "train/secure/shamir.h"

#include <string.h>

__extension__ typedef unsigned __int128 wide;

static uint64_t product(uint64_t prime, uint64_t a, uint64_t b) {
  const wide full = (wide)a * b;
  if (prime != COHORT_SHAMIR_PRIME) return (uint64_t)(full % prime);
  uint64_t sum = (uint64_t)(full & COHORT_SHAMIR_PRIME) + (uint64_t)(full >> 61);
  return sum >= COHORT_SHAMIR_PRIME ? sum - COHORT_SHAMIR_PRIME : sum;
}

static uint64_t sum_of(uint64_t prime, uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum >= prime ? sum - prime : sum;
}

/* a^(prime - 2): Fermat's inverse. */
static uint64_t inverse(uint64_t prime, uint64_t a) {
  uint64_t result = 1, power = a;
  for (uint64_t left = prime - 2; left; left >>= 1) {
    if (left & 1) result = product(prime, result, power);
    power = product(prime, power, power);
  }
  return result;
}

uint64_t cohort_shamir_share(uint64_t prime, int threshold, const uint64_t *coefficient, uint64_t at) {
  uint64_t value = 0;
  for (int i = threshold - 1; i >= 0; i--) value = sum_of(prime, product(prime, value, at), coefficient[i]);
  return value;
}

void cohort_shamir_weights(uint64_t prime, int count, const uint64_t *at, uint64_t *weight) {
  for (int i = 0; i < count; i++) {
    uint64_t above = 1, below = 1;
    for (int j = 0; j < count; j++) {
      if (j == i) continue;
      above = product(prime, above, at[j]);
      below = product(prime, below, sum_of(prime, at[j], prime - at[i]));
    }
    weight[i] = product(prime, above, inverse(prime, below));
  }
}

uint64_t cohort_shamir_join(uint64_t prime, int count, const uint64_t *weight, const uint64_t *share) {
  uint64_t secret = 0;
  for (int i = 0; i < count; i++) secret = sum_of(prime, secret, product(prime, weight[i], share[i]));
  return secret;
}

void cohort_shamir_cut(const cohort_cipher_key *key, uint64_t limb[COHORT_SHAMIR_LIMBS]) {
  memset(limb, 0, COHORT_SHAMIR_LIMBS * sizeof *limb);
  for (int i = 0; i < COHORT_CIPHER_KEY_BYTES; i++)
    limb[i / COHORT_SHAMIR_LIMB_BYTES] |= (uint64_t)key->byte[i] << (8 * (i % COHORT_SHAMIR_LIMB_BYTES));
}

void cohort_shamir_glue(const uint64_t limb[COHORT_SHAMIR_LIMBS], cohort_cipher_key *key) {
  for (int i = 0; i < COHORT_CIPHER_KEY_BYTES; i++)
    key->byte[i] = (unsigned char)(limb[i / COHORT_SHAMIR_LIMB_BYTES] >> (8 * (i % COHORT_SHAMIR_LIMB_BYTES)));
}
