/* What a run keeps, as flat vectors and row tables: for checkpoints (checkpoint.c) and for memory (snapshot.c). */
#ifndef COHORT_TRAIN_RUN_STORED_H
#define COHORT_TRAIN_RUN_STORED_H

#include "train/run/state.h"

enum { COHORT_MAX_FLATS = 192, COHORT_PATH_ROOM = 128 };

/* The flat datasets of a run and the vectors behind them. */
typedef struct cohort_stored_run {
  int flats;
  cohort_stored_flat flat[COHORT_MAX_FLATS];
  char *vector[COHORT_MAX_FLATS];
  size_t size[COHORT_MAX_FLATS];                 /* bytes of an element */
  const cohort_shards *shards[COHORT_MAX_FLATS]; /* NULL: every rank has all of it */
  char path[COHORT_MAX_FLATS][2][COHORT_PATH_ROOM];
  cohort_stored_tensor number[COHORT_MAX_FLATS]; /* of plain numbers, and what they are called */
  char number_name[COHORT_MAX_FLATS][COHORT_PATH_ROOM];
  cohort_stored_tensor *tensor[COHORT_MAX_SPACES + 1]; /* of the spaces, of what is kept */
  int vectors;                                         /* of the flats; those behind them are row tables' */
} cohort_stored_run;

/* Collective. For a save what tables hold, for a load what they expect. */
void cohort_stored_list(const cohort_run *run, cohort_stored_run *stored, bool save);
void cohort_stored_release(const cohort_run *run, cohort_stored_run *stored);
/* Collective. Before a save (`save`): slices of sharded vectors come from their owners; after a load they go there. */
void cohort_stored_deal(const cohort_run *run, const cohort_stored_run *stored, bool save);
/* Collective. After a load into slices: every rank gets what it holds. */
void cohort_stored_spread(const cohort_run *run, const cohort_stored_run *stored);
/* Collective. After a load: rows go to who holds them. */
cohort_status cohort_stored_take_tables(const cohort_run *run, cohort_stored_run *stored, cohort_error *error);

#endif
