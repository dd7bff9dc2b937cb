/* A client's side of messages.h. Invariant: a function of its root, its number and what it is told; a share of a
 * neighbour's secret and one of its seed never leave it both. A client costs two agreements and two shares of
 * `threshold` terms for each neighbour, and a stream as long as the upload for each, and one more. */
#include "train/secure/client.h"

#include <string.h>

#include "train/secure/mask.h"

enum { LIMBS = COHORT_SHAMIR_LIMBS };

/* A neighbour's share, inside its box. */
typedef struct contents {
  uint64_t secret[LIMBS], seed[LIMBS];
} contents;
_Static_assert(sizeof(contents) + COHORT_CIPHER_TAG_BYTES == sizeof(cohort_secure_box), "a box holds two shares");

/* Two clients have one sealing key for both ways; each way has its nonce. Keys live for one round. */
static uint64_t way(int from, int to) { return from < to; }

void cohort_secure_client_begin(cohort_secure_client *client, const cohort_cipher_key *root, int number,
                                cohort_secure_keys *keys) {
  client->number = number;
  client->root = *root;
  cohort_cipher_derive(root, "masking", 0, &client->masking);
  cohort_cipher_derive(root, "sealing", 0, &client->sealing);
  cohort_cipher_derive(root, "seed", 0, &client->seed);
  cohort_cipher_public(&client->masking, &keys->masking);
  cohort_cipher_public(&client->sealing, &keys->sealing);
}

/* Uniform modulo the prime, from the stream `limb` of the root: 61 bits, and the next ones for the one value of them
 * that is the prime itself. */
static void draw(const cohort_secure_client *client, const char *purpose, int limb, int threshold,
                 uint64_t *coefficient) {
  cohort_cipher_key key;
  cohort_cipher_derive(&client->root, purpose, (uint64_t)limb, &key);
  cohort_cipher_stream(&key, 0, 0, (size_t)threshold * sizeof *coefficient, coefficient);
  for (int i = 0; i < threshold; i++) {
    coefficient[i] &= COHORT_SHAMIR_PRIME;
    for (uint64_t again = 1; coefficient[i] == COHORT_SHAMIR_PRIME; again++) {
      cohort_cipher_stream(&key, again, (uint32_t)i, sizeof *coefficient, &coefficient[i]);
      coefficient[i] &= COHORT_SHAMIR_PRIME;
    }
  }
}

/* Of all limbs of a secret, the polynomial's values at every neighbour's point, which is its slot + 1. share[degree].
 */
static void share_out(const cohort_secure_client *client, const cohort_secure_public *public, const char *purpose,
                      const cohort_cipher_key *secret, uint64_t *coefficient, uint64_t (*share)[LIMBS]) {
  uint64_t limb[LIMBS];
  cohort_shamir_cut(secret, limb);
  for (int l = 0; l < LIMBS; l++) {
    draw(client, purpose, l, public->threshold, coefficient);
    coefficient[0] = limb[l];
    for (int slot = 0; slot < public->graph->degree; slot++)
      share[slot][l] = cohort_shamir_share(COHORT_SHAMIR_PRIME, public->threshold, coefficient, (uint64_t)slot + 1);
  }
}

size_t cohort_secure_client_room(const cohort_secure_public *public) {
  return (size_t) public->threshold + 2 * LIMBS * (size_t) public->graph->degree;
}

bool cohort_secure_client_share(const cohort_secure_client *client, const cohort_secure_public *public, uint64_t *room,
                                cohort_cipher_key *sealing, cohort_secure_box *box) {
  const int degree = public->graph->degree, number = client->number;
  uint64_t(*secret)[LIMBS] = (uint64_t(*)[LIMBS])(room + public->threshold), (*seed)[LIMBS] = secret + degree;
  share_out(client, public, "share", &client->masking, room, secret);
  share_out(client, public, "shareown", &client->seed, room, seed);
  for (int slot = 0; slot < degree; slot++) {
    const int other = cohort_secure_neighbour(public->graph, number, slot);
    if (!cohort_cipher_pair(&client->sealing, &public->keys[number].sealing, &public->keys[other].sealing,
                            &sealing[slot]))
      return false;
    contents content;
    memcpy(content.secret, secret[slot], sizeof content.secret);
    memcpy(content.seed, seed[slot], sizeof content.seed);
    cohort_cipher_seal(&sealing[slot], way(number, other), sizeof content, &content, box[slot].sealed);
  }
  return true;
}

bool cohort_secure_client_mask(const cohort_secure_client *client, const cohort_secure_public *public, int64_t count,
                               void *words) {
  enum { AT_ONCE = 32 };
  cohort_secure_mask mask[AT_ONCE] = {{client->seed, true}};
  const int degree = public->graph->degree, number = client->number;
  int masks = 1;
  for (int slot = 0; slot < degree; slot++) {
    const int other = cohort_secure_neighbour(public->graph, number, slot);
    if (!cohort_cipher_pair(&client->masking, &public->keys[number].masking, &public->keys[other].masking,
                            &mask[masks].key))
      return false;
    mask[masks++].add = cohort_secure_adds(number, other);
    if (masks < AT_ONCE && slot + 1 < degree) continue;
    cohort_secure_masks_apply(masks, mask, public->modulus, 0, count, words);
    masks = 0;
  }
  cohort_secure_masks_apply(masks, mask, public->modulus, 0, count, words);
  return true;
}

void cohort_secure_client_answer(const cohort_secure_client *client, const cohort_secure_public *public,
                                 const cohort_cipher_key *sealing, const bool *delivered,
                                 const cohort_secure_box *const *incoming, cohort_secure_share *answer) {
  for (int slot = 0; slot < public->graph->degree; slot++) {
    const int other = cohort_secure_neighbour(public->graph, client->number, slot);
    contents content;
    answer[slot] = (cohort_secure_share){.of = COHORT_SECURE_NO_SHARE};
    if (!cohort_cipher_unseal(&sealing[slot], way(other, client->number), sizeof content, incoming[slot]->sealed,
                              &content))
      continue;
    memcpy(answer[slot].limb, delivered[other] ? content.seed : content.secret, sizeof answer[slot].limb);
    answer[slot].of = delivered[other] ? COHORT_SECURE_SHARE_OF_SEED : COHORT_SECURE_SHARE_OF_SECRET;
  }
}
