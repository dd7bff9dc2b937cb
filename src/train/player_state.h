/* The inside of a player, shared by player.c and player_create.c alone. */
#ifndef COHORT_TRAIN_PLAYER_STATE_H
#define COHORT_TRAIN_PLAYER_STATE_H

#include "train/groups.h"
#include "train/player.h"

enum { COHORT_MAX_SHADOWS = 4 };

struct cohort_player {
  cohort_player_plan plan;
  cohort_choice schedule, aggregator, driver; /* driver.method NULL: plain updates */
  cohort_groups groups;
  cohort_shards *shards;
  cohort_team team;
  bool *updates; /* [pieces] */
  const cohort_vector *weights;
  cohort_transfer *transfer;
  uint64_t *arrival;   /* [buckets]: of what was last gathered of each */
  int *first_owned;    /* [buckets + 1]: where a bucket's begin in `owned` */
  cohort_piece *owned; /* element-cut pieces of this rank, small neighbours as one */
  int owned_count;
  cohort_piece *shared; /* the same in equal shares for threads, when one rank owns all */
  int *share;           /* [threads + 1]: where a thread's begin in `shared` */
  int *whole;           /* whole tensors of this rank, costliest first */
  int *whole_thread;    /* which thread takes each */
  int whole_count;
  double *piece_sums; /* [pieces] */
  float *direction;   /* Rademacher draws, when an update needs curvature */
  float *gradient;    /* kept by a driver between asks */
  cohort_vector shadow[COHORT_MAX_SHADOWS];
  char *workspace; /* one per thread */
  size_t workspace_bytes;
  cohort_random_key key;
  bool curvature;
  cohort_recorder *recorder;       /* or NULL */
  double owned_bytes, whole_bytes; /* that one update of the owned pieces, of the whole tensors reads and writes */
  cohort_player_figures figures;
};

#endif
