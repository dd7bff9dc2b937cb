/* What clients and the server of a round of secure aggregation say to one another (Bonawitz, Ivanov, Kreuter,
 * Marcedone, McMahan, Patel, Ramage, Segal & Seth, "Practical Secure Aggregation for Privacy-Preserving Machine
 * Learning", CCS 2017, Figure 4 without the parts for an active adversary: no signatures, no consistency check; with
 * the neighbours of Bell et al., CCS 2020). Types alone. The server (server.h) sees nothing but these.
 *
 *   client u                                         server
 *   0 keys: public masking key, public sealing key ->       -> all keys to all
 *   1 boxes: shares of its masking secret and of            -> a box to the neighbour it is for
 *     its self mask's seed, sealed for each neighbour ->
 *   2 upload: whole numbers + self mask
 *     + sum over neighbours v of +-mask(u, v)          ->       adds uploads
 *   3 <- who has delivered
 *     answers: of a neighbour that has delivered the
 *     share of its seed, of a lost one that of its
 *     masking secret, never both                       ->       reconstructs what is left in the sum, and removes it
 */
#ifndef COHORT_TRAIN_SECURE_MESSAGES_H
#define COHORT_TRAIN_SECURE_MESSAGES_H

#include "train/secure/neighbours.h"
#include "train/secure/shamir.h"

typedef struct cohort_secure_keys {
  cohort_cipher_key masking, sealing; /* public */
} cohort_secure_keys;

typedef struct cohort_secure_box {
  unsigned char sealed[2 * COHORT_SHAMIR_LIMBS * 8 + COHORT_CIPHER_TAG_BYTES];
} cohort_secure_box;

typedef enum {
  COHORT_SECURE_NO_SHARE, /* who should have answered is gone */
  COHORT_SECURE_SHARE_OF_SEED,
  COHORT_SECURE_SHARE_OF_SECRET,
} cohort_secure_share_of;

typedef struct cohort_secure_share {
  uint64_t limb[COHORT_SHAMIR_LIMBS];
  uint64_t of; /* a cohort_secure_share_of */
} cohort_secure_share;

/* What all know of a round. Clients are numbers [0, clients) in it. */
typedef struct cohort_secure_public {
  const cohort_secure_graph *graph;
  int threshold;                  /* shares that reconstruct a secret */
  int modulus;                    /* 32 or 64: of a word */
  const cohort_secure_keys *keys; /* [clients] */
} cohort_secure_public;

/* Masks are streams of words; between two clients the lower number adds what the higher one subtracts. */
static inline bool cohort_secure_adds(int client, int neighbour) { return client < neighbour; }

#endif
