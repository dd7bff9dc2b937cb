/* The server of secure aggregation: adds uploads, and finds out from the clients' answers which masks are left in the
 * sum. It sees the messages (messages.h) alone: no change, no secret, no code of a client's. The sum may be made by
 * several of them side by side (threads, ranks), each with the uploads of some clients and the masks of some: words are
 * added modulo 2^modulus, so who adds what, and in which order, changes nothing.
 *
 * Intended usage:
 *   cohort_words_add(public.modulus, count, sum, upload);      of every client that has delivered (fixed_point.h)
 *   cohort_secure_server_check(&public, delivered, answers, &missing)
 *   masks += cohort_secure_server_masks(&public, client, delivered, answers, room, mask + masks);
 *   cohort_secure_masks_apply(masks, mask, public.modulus, first, count, sum + first); */
#ifndef COHORT_TRAIN_SECURE_SERVER_H
#define COHORT_TRAIN_SECURE_SERVER_H

#include "train/secure/mask.h"
#include "train/secure/messages.h"

/* answers[clients * degree]: at client * degree + slot, what this client has answered about its neighbour in the slot.
 * Returns the lowest number of a client whose secret fewer than `threshold` of its neighbours have answered for, and
 * in *answered how many have; -1: all can be reconstructed. */
int cohort_secure_server_check(const cohort_secure_public *public, const bool *delivered,
                               const cohort_secure_share *answers, int *answered);

/* The masks that the uploads of others and of this client leave in the sum on its account: its self mask when it has
 * delivered, else those that its neighbours share with it. mask[degree] receives them, to be applied to the sum; room
 * [3 threshold] is scratch. Returns how many, or -1: what the answers give is not the secret of the public key. */
int cohort_secure_server_masks(const cohort_secure_public *public, int client, const bool *delivered,
                               const cohort_secure_share *answers, uint64_t *room, cohort_secure_mask *mask);

#endif
