/* What the files of secure aggregation share with one another. */
#ifndef COHORT_TRAIN_SECURE_SECURE_STATE_H
#define COHORT_TRAIN_SECURE_SECURE_STATE_H

#include <stdatomic.h>

#include "base/team.h"
#include "train/secure/client.h"
#include "train/secure/secure.h"
#include "train/secure/server.h"

/* What one thread makes uploads in, and the sum of its own. */
typedef struct secure_executor {
  void *upload, *sum; /* [words] */
  int64_t *whole;     /* [COHORT_SECURE_STRETCH] */
  bool used;          /* the sum has an upload of this round */
  cohort_fixed_point_count seen;
} secure_executor;

struct cohort_secure {
  cohort_secure_options options;
  cohort_fixed_point how;
  cohort_random_key key;
  cohort_team team;
  int64_t words; /* of an upload: all vectors */
  secure_executor *executor;
  /* The round. Clients are numbered by their leaf in the order of items, so that a rank's are neighbours. */
  cohort_secure_round round;
  int clients, first, own; /* of all ranks; this rank's: [first, first + own) */
  double whole_share, delivered_share;
  int degree_clients, degree; /* the last degree that was searched, and for how many clients */
  cohort_secure_graph graph;
  cohort_secure_public public;
  int *leaf;                    /* [clients]: of an item */
  bool *delivered, *answering;  /* [clients]: by leaf; who answers has delivered */
  int delivered_clients;        /* their number */
  cohort_secure_client *client; /* [own] */
  cohort_secure_keys *keys;     /* [clients] */
  cohort_cipher_key *sealing;   /* [own * degree] */
  cohort_secure_box *boxes;     /* [clients * degree] */
  cohort_secure_share *answers; /* [clients * degree] */
  cohort_secure_mask *mask;     /* what is left in this rank's sum */
  int64_t masks, *first_mask;   /* [own + 1] */
  atomic_bool spoilt;           /* a public key or a reconstructed secret is wrong */
  cohort_scratch leaf_room, flag_room, client_room, keys_room, sealing_room, boxes_room, answers_room, mask_room,
      first_room, place_room, message_room, coming_room, share_room;
};

/* Scratch of 64-bit words for one of this rank's clients. */
uint64_t *cohort_secure_room_of(cohort_secure *secure, int64_t own);
/* All ranks get all parts: `bytes` for each client. */
void cohort_secure_gather(cohort_secure *secure, void *data, size_t bytes);

#endif
