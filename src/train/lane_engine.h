/* Spreads lanes over ranks and threads and sums what they give along the fixed tree of lanes (base/lanes.h).
 *
 * A lane gives one row of floats (gradients, one vector or several of a space) and a few doubles (losses, counts). Rows
 * of neighbouring lanes are joined as in a binary counter, so an executor with k lanes holds about log2 k rows. Between
 * ranks each owner of a shard receives every subtree's part of it and finishes the tree: a reduce-scatter whose sum
 * does not depend on who holds which lane. Work that comes in phases runs a phase for all lanes before the next. */
#ifndef COHORT_TRAIN_LANE_ENGINE_H
#define COHORT_TRAIN_LANE_ENGINE_H

#include "base/comm.h"
#include "base/lanes.h"
#include "base/team.h"
#include "train/activity.h"
#include "train/space.h"

typedef struct cohort_lane_engine cohort_lane_engine;

enum { COHORT_MAX_SCALARS = 32 };

typedef struct cohort_lane_work {
  void *argument;
  int phases;  /* 1: lanes are independent */
  int vectors; /* vectors of the space in a row; 0: no row, scalars only */
  int scalars; /* doubles a lane gives in the last phase */
  /* Runs phase `phase` of lane `lane` on executor `executor` (0 <= executor < executors), in slot `slot` of it (0 when
   * there is one phase). In the last phase fills row[vectors * elements] and scalars. */
  void (*run)(void *argument, int executor, int slot, int lane, int phase, float *row, double *scalars);
  /* Between phases, called once on every rank after all its lanes have run `phase`; may exchange. NULL when phases = 1.
   */
  void (*between)(void *argument, int phase);
} cohort_lane_work;

/* `threads` of this rank; `elements` of one vector; `vectors` the most that any work has. */
cohort_status cohort_lane_engine_create(cohort_comm *comm, int lanes, int threads, int64_t elements, int vectors,
                                        cohort_lane_engine **out, cohort_error *error);
/* Makes room for what ranks exchange; once, before the first run with vectors, with the shards of a space. */
cohort_status cohort_lane_engine_prepare(cohort_lane_engine *engine, const cohort_shards *shards, cohort_error *error);
void cohort_lane_engine_destroy(cohort_lane_engine *engine);

int cohort_lane_engine_executors(const cohort_lane_engine *engine);        /* of this rank */
int cohort_lane_engine_executor_threads(const cohort_lane_engine *engine); /* team of each executor */
int cohort_lane_engine_slots(const cohort_lane_engine *engine);            /* most lanes of one executor */
void cohort_lane_engine_own(const cohort_lane_engine *engine, int *first, int *last);
/* Where an own lane runs. */
void cohort_lane_engine_place(const cohort_lane_engine *engine, int lane, int *executor, int *slot);
const cohort_team *cohort_lane_engine_team(const cohort_lane_engine *engine); /* all threads, between lane work */

/* Collective. Runs the work; the sums over lanes of the scalars are left in scalars[work->scalars] on every rank, and
 * lane_scalars (may be NULL) receives all lanes' values [lanes][scalars]. When vectors > 0, *sum points to the sum of
 * rows, valid on this rank for its shard (all of it when there is one rank): vector v at *sum + v * elements; it stays
 * valid until the next run. */
void cohort_lane_engine_run(cohort_lane_engine *engine, const cohort_lane_work *work, const cohort_shards *shards,
                            double *scalars, double *lane_scalars, float **sum);

/* The sums of squares of the last run's first vector over this rank's pieces [pieces of the space], others undefined:
 * by the kernels' dot (kernel/kernel.h), made while the tree was finished. Valid until the next run. */
const double *cohort_lane_engine_squares(const cohort_lane_engine *engine);

/* From now on what runs is measured, by one recorder an executor (an array that stays the caller's); NULL: no longer.
 */
void cohort_lane_engine_record(cohort_lane_engine *engine, cohort_recorder *const *recorder);

/* Seconds this rank's executors spent in lane work since the last call, summed over executors. */
double cohort_lane_engine_busy_seconds(cohort_lane_engine *engine);

#endif
