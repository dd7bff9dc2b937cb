/* The cryptography of secure aggregation: a thin layer over libsodium, and the only place that includes it. X25519
 * (RFC 7748), ChaCha20 and ChaCha20-Poly1305 (RFC 8439), BLAKE2b for the derivation of keys. All functions are pure and
 * may run in any thread; none allocates.
 *
 * Intended usage:
 *   cohort_cipher_open(&error);                              once, before the others
 *   cohort_cipher_derive(&root, "masking", 0, &secret);      a secret for each purpose
 *   cohort_cipher_public(&secret, &public);                  what others may know
 *   cohort_cipher_pair(&secret, &public, &other, &shared);   both sides get the same key
 *   cohort_cipher_stream(&shared, 0, 0, sizeof mask, mask);  */
#ifndef COHORT_TRAIN_SECURE_CIPHER_H
#define COHORT_TRAIN_SECURE_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { COHORT_CIPHER_KEY_BYTES = 32, COHORT_CIPHER_TAG_BYTES = 16, COHORT_CIPHER_BLOCK = 64 };

typedef struct cohort_cipher_key {
  unsigned char byte[COHORT_CIPHER_KEY_BYTES];
} cohort_cipher_key;

/* COHORT_NO_RESOURCE when the library cannot start. Idempotent. */
cohort_status cohort_cipher_open(cohort_error *error);

/* Key `number` of a purpose (at most 8 letters) from a root: BLAKE2b keyed by the root, as libsodium's crypto_kdf. */
void cohort_cipher_derive(const cohort_cipher_key *root, const char *purpose, uint64_t number, cohort_cipher_key *out);

void cohort_cipher_public(const cohort_cipher_key *secret, cohort_cipher_key *out);
/* X25519 of a secret and somebody's public key, as it stands. False: the public key is of low order, a refusal. */
bool cohort_cipher_agree(const cohort_cipher_key *secret, const cohort_cipher_key *public, cohort_cipher_key *out);
/* The key that two sides have in common: BLAKE2b of their agreement and of both public keys, the lower one first. */
bool cohort_cipher_pair(const cohort_cipher_key *secret, const cohort_cipher_key *own_public,
                        const cohort_cipher_key *public, cohort_cipher_key *out);

/* `bytes` of the key's ChaCha20 stream from block `block` (of 64 bytes) on, for a nonce that ends in `nonce`. */
void cohort_cipher_stream(const cohort_cipher_key *key, uint64_t nonce, uint32_t block, size_t bytes, void *out);
/* The same with all twelve bytes of the nonce given. */
void cohort_cipher_stream_for(const cohort_cipher_key *key, const unsigned char nonce[12], uint32_t block, size_t bytes,
                              void *out);

/* ChaCha20-Poly1305 of `bytes` into bytes + COHORT_CIPHER_TAG_BYTES. A (key, nonce) seals one text only. */
void cohort_cipher_seal(const cohort_cipher_key *key, uint64_t nonce, size_t bytes, const void *text, void *sealed);
/* `bytes` of text. False: it was not sealed so, and `text` is of no use. */
bool cohort_cipher_unseal(const cohort_cipher_key *key, uint64_t nonce, size_t bytes, const void *sealed, void *text);
/* The same with the whole nonce and additional data, as RFC 8439 writes it. */
void cohort_cipher_seal_for(const cohort_cipher_key *key, const unsigned char nonce[12], size_t data_bytes,
                            const void *data, size_t bytes, const void *text, void *sealed);

#endif
