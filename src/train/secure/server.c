/* The server's side of messages.h. Invariant: a function of the messages. A client that has delivered costs the square
 * of the threshold and a stream, one that is lost an agreement and a stream for each neighbour. */
#include "train/secure/server.h"

enum { LIMBS = COHORT_SHAMIR_LIMBS };

/* The answer of the neighbour in a slot about `client`; NULL: there is none of this kind. */
static const cohort_secure_share *answer_about(const cohort_secure_public *public, int client, int slot,
                                               cohort_secure_share_of of, const cohort_secure_share *answers) {
  const int holder = cohort_secure_neighbour(public->graph, client, slot);
  const int back = cohort_secure_back_slot(public->graph, client, slot);
  const cohort_secure_share *answer = &answers[(size_t)holder * (size_t) public->graph->degree + (size_t)back];
  return answer->of == of ? answer : NULL;
}

static cohort_secure_share_of wanted(const bool *delivered, int client) {
  return delivered[client] ? COHORT_SECURE_SHARE_OF_SEED : COHORT_SECURE_SHARE_OF_SECRET;
}

int cohort_secure_server_check(const cohort_secure_public *public, const bool *delivered,
                               const cohort_secure_share *answers, int *answered) {
  for (int client = 0; client < public->graph->clients; client++) {
    *answered = 0;
    for (int slot = 0; slot < public->graph->degree; slot++)
      *answered += answer_about(public, client, slot, wanted(delivered, client), answers) != NULL;
    if (*answered < public->threshold) return client;
  }
  return -1;
}

/* A secret from the first `threshold` shares that are there. */
static bool reconstruct(const cohort_secure_public *public, int client, cohort_secure_share_of of,
                        const cohort_secure_share *answers, uint64_t *room, cohort_cipher_key *out) {
  const int threshold = public->threshold;
  uint64_t *at = room, *weight = room + threshold, *value = room + 2 * (size_t)threshold;
  int found = 0;
  for (int slot = 0; slot < public->graph->degree && found < threshold; slot++)
    if (answer_about(public, client, slot, of, answers)) at[found++] = (uint64_t)slot + 1;
  if (found < threshold) return false;
  uint64_t limb[LIMBS];
  cohort_shamir_weights(COHORT_SHAMIR_PRIME, threshold, at, weight);
  for (int l = 0; l < LIMBS; l++) {
    for (int i = 0; i < threshold; i++) value[i] = answer_about(public, client, (int)at[i] - 1, of, answers)->limb[l];
    limb[l] = cohort_shamir_join(COHORT_SHAMIR_PRIME, threshold, weight, value);
  }
  cohort_shamir_glue(limb, out);
  return true;
}

int cohort_secure_server_masks(const cohort_secure_public *public, int client, const bool *delivered,
                               const cohort_secure_share *answers, uint64_t *room, cohort_secure_mask *mask) {
  cohort_cipher_key secret, known;
  if (!reconstruct(public, client, wanted(delivered, client), answers, room, &secret)) return -1;
  if (delivered[client]) {
    mask[0] = (cohort_secure_mask){secret, false};
    return 1;
  }
  cohort_cipher_public(&secret, &known);
  for (int i = 0; i < COHORT_CIPHER_KEY_BYTES; i++)
    if (known.byte[i] != public->keys[client].masking.byte[i]) return -1;
  int masks = 0;
  for (int slot = 0; slot < public->graph->degree; slot++) {
    const int other = cohort_secure_neighbour(public->graph, client, slot);
    if (!delivered[other]) continue;
    if (!cohort_cipher_pair(&secret, &known, &public->keys[other].masking, &mask[masks].key)) return -1;
    mask[masks++].add = !cohort_secure_adds(other, client);
  }
  return masks;
}
