/* Shamir's secret sharing ("How to share a secret", CACM 22(11), 1979) over the integers modulo a prime: a polynomial
 * of degree threshold - 1 whose constant is the secret, seen at as many points as there are holders. Any `threshold`
 * of the values give the secret, fewer say nothing of it.
 *
 * Intended usage:
 *   share = cohort_shamir_share(prime, threshold, coefficient, at);      coefficient[0] is the secret, the rest uniform
 *   cohort_shamir_weights(prime, threshold, at, weight);                 of the points whose shares are there
 *   secret = cohort_shamir_join(prime, threshold, weight, share);
 * A secret longer than the prime is cut into limbs (cohort_shamir_cut). */
#ifndef COHORT_TRAIN_SECURE_SHAMIR_H
#define COHORT_TRAIN_SECURE_SHAMIR_H

#include <stdint.h>

#include "train/secure/cipher.h"

/* The Mersenne prime 2^61 - 1: limbs of seven bytes are below it. */
#define COHORT_SHAMIR_PRIME ((UINT64_C(1) << 61) - 1)
enum { COHORT_SHAMIR_LIMB_BYTES = 7, COHORT_SHAMIR_LIMBS = 5 };

/* The polynomial at a point 0 < at < prime. Any prime below 2^63; all values below it. */
uint64_t cohort_shamir_share(uint64_t prime, int threshold, const uint64_t *coefficient, uint64_t at);
/* Lagrange's weights at zero of `count` different points. */
void cohort_shamir_weights(uint64_t prime, int count, const uint64_t *at, uint64_t *weight);
uint64_t cohort_shamir_join(uint64_t prime, int count, const uint64_t *weight, const uint64_t *share);

/* A key as limbs of seven bytes, little-endian, and back. The last limb has four bytes; higher ones are dropped. */
void cohort_shamir_cut(const cohort_cipher_key *key, uint64_t limb[COHORT_SHAMIR_LIMBS]);
void cohort_shamir_glue(const uint64_t limb[COHORT_SHAMIR_LIMBS], cohort_cipher_key *key);

#endif
