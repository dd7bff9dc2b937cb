/* A client of secure aggregation: makes its keys, shares its secrets, masks what it uploads, and answers for its
 * neighbours (messages.h). All that it draws comes from one root key, which a simulation derives from the run's seed so
 * that runs repeat: who knows the seed can remove every mask. A deployment would draw the root from the system.
 *
 * Intended usage, each step for every client before the next one:
 *   cohort_secure_client_begin(&client, &root, number, &keys[number]);
 *   cohort_secure_client_share(&client, &public, room, sealing, box);   box[degree], by slot of the neighbour
 *   cohort_secure_client_mask(&client, &public, count, words);           words, in place, are the upload
 *   cohort_secure_client_answer(&client, &public, sealing, delivered, boxes, answer);
 * Functions may run in any thread, several clients at once. */
#ifndef COHORT_TRAIN_SECURE_CLIENT_H
#define COHORT_TRAIN_SECURE_CLIENT_H

#include "train/secure/messages.h"

typedef struct cohort_secure_client {
  int number;
  cohort_cipher_key root, masking, sealing, seed; /* secrets; the seed is the self mask's */
} cohort_secure_client;

void cohort_secure_client_begin(cohort_secure_client *client, const cohort_cipher_key *root, int number,
                                cohort_secure_keys *keys);

/* room[cohort_secure_client_room] is scratch. sealing[degree] receives the keys shared with the neighbours, box[degree]
 * what they get. False: a neighbour's public key is refused. */
size_t cohort_secure_client_room(const cohort_secure_public *public);
bool cohort_secure_client_share(const cohort_secure_client *client, const cohort_secure_public *public, uint64_t *room,
                                cohort_cipher_key *sealing, cohort_secure_box *box);

/* Adds the client's masks to `count` words. False: a neighbour's public key is refused. */
bool cohort_secure_client_mask(const cohort_secure_client *client, const cohort_secure_public *public, int64_t count,
                               void *words);

/* incoming[degree]: the box that the neighbour in each slot has sealed for this client. delivered[clients]. Gives one
 * share of each neighbour; a box that does not open gives none. */
void cohort_secure_client_answer(const cohort_secure_client *client, const cohort_secure_public *public,
                                 const cohort_cipher_key *sealing, const bool *delivered,
                                 const cohort_secure_box *const *incoming, cohort_secure_share *answer);

#endif
