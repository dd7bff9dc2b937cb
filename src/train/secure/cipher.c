/* libsodium behind cipher.h. Invariant: no state of its own, so a result is a function of the arguments alone. An
 * agreement takes some 20-50 microseconds, a stream about a nanosecond for one to three bytes. */
#include "train/secure/cipher.h"

#include <sodium.h>
#include <string.h>

_Static_assert(COHORT_CIPHER_KEY_BYTES == crypto_scalarmult_BYTES, "an agreement is a key");
_Static_assert(COHORT_CIPHER_KEY_BYTES == crypto_stream_chacha20_ietf_KEYBYTES, "a key is a stream's");
_Static_assert(COHORT_CIPHER_KEY_BYTES == crypto_kdf_KEYBYTES, "a key is a root");
_Static_assert(COHORT_CIPHER_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "the tag");

enum { NONCE = crypto_stream_chacha20_ietf_NONCEBYTES };

cohort_status cohort_cipher_open(cohort_error *error) {
  if (sodium_init() >= 0) return COHORT_DONE;
  return cohort_fail(error, COHORT_NO_RESOURCE,
                     "federated.secure: libsodium cannot start on this machine; remove federated.secure");
}

void cohort_cipher_derive(const cohort_cipher_key *root, const char *purpose, uint64_t number, cohort_cipher_key *out) {
  char context[crypto_kdf_CONTEXTBYTES] = {0};
  memcpy(context, purpose, strnlen(purpose, sizeof context));
  (void)crypto_kdf_derive_from_key(out->byte, sizeof out->byte, number, context, root->byte);
}

void cohort_cipher_public(const cohort_cipher_key *secret, cohort_cipher_key *out) {
  (void)crypto_scalarmult_base(out->byte, secret->byte);
}

bool cohort_cipher_agree(const cohort_cipher_key *secret, const cohort_cipher_key *public, cohort_cipher_key *out) {
  return crypto_scalarmult(out->byte, secret->byte, public->byte) == 0;
}

bool cohort_cipher_pair(const cohort_cipher_key *secret, const cohort_cipher_key *own_public,
                        const cohort_cipher_key *public, cohort_cipher_key *out) {
  cohort_cipher_key agreed[3];
  const bool own_first = memcmp(own_public->byte, public->byte, sizeof public->byte) < 0;
  if (!cohort_cipher_agree(secret, public, &agreed[0])) return false;
  agreed[1] = own_first ? *own_public : *public;
  agreed[2] = own_first ? *public : *own_public;
  (void)crypto_generichash(out->byte, sizeof out->byte, agreed[0].byte, sizeof agreed, NULL, 0);
  sodium_memzero(agreed, sizeof agreed);
  return true;
}

static void write_nonce(uint64_t number, unsigned char nonce[NONCE]) {
  memset(nonce, 0, NONCE);
  for (int i = 0; i < 8; i++) nonce[NONCE - 8 + i] = (unsigned char)(number >> (8 * i));
}

void cohort_cipher_stream_for(const cohort_cipher_key *key, const unsigned char nonce[NONCE], uint32_t block,
                              size_t bytes, void *out) {
  memset(out, 0, bytes);
  (void)crypto_stream_chacha20_ietf_xor_ic(out, out, bytes, nonce, block, key->byte);
}

void cohort_cipher_stream(const cohort_cipher_key *key, uint64_t nonce, uint32_t block, size_t bytes, void *out) {
  unsigned char whole[NONCE];
  write_nonce(nonce, whole);
  cohort_cipher_stream_for(key, whole, block, bytes, out);
}

void cohort_cipher_seal_for(const cohort_cipher_key *key, const unsigned char nonce[NONCE], size_t data_bytes,
                            const void *data, size_t bytes, const void *text, void *sealed) {
  (void)crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, text, bytes, data, data_bytes, NULL, nonce, key->byte);
}

void cohort_cipher_seal(const cohort_cipher_key *key, uint64_t nonce, size_t bytes, const void *text, void *sealed) {
  unsigned char whole[NONCE];
  write_nonce(nonce, whole);
  cohort_cipher_seal_for(key, whole, 0, NULL, bytes, text, sealed);
}

bool cohort_cipher_unseal(const cohort_cipher_key *key, uint64_t nonce, size_t bytes, const void *sealed, void *text) {
  unsigned char whole[NONCE];
  write_nonce(nonce, whole);
  return crypto_aead_chacha20poly1305_ietf_decrypt(text, NULL, NULL, sealed, bytes + COHORT_CIPHER_TAG_BYTES, NULL, 0,
                                                   whole, key->byte) == 0;
}
