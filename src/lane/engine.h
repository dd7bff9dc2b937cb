/* Spreads lanes over ranks and threads and sums what they give along the fixed tree of lanes (base/lanes.h).
 *
 * A lane gives one row of floats (gradients, one vector or several of a space) and a few doubles (losses, counts).
 * Lanes run in waves: one lane of every executor at a time, or, when lanes must run phase by phase together, all of
 * them. Rows of earlier waves are joined as in a binary counter. In the last wave a bucket leaves for its owners
 * (state/collective.h) after the phase in which its gradients are complete, so its rows need little memory of their
 * own: the gradient arena, laid out by the lifetimes of buckets. The sum does not depend on who holds which lane. */
#ifndef COHORT_LANE_ENGINE_H
#define COHORT_LANE_ENGINE_H

#include "base/comm.h"
#include "base/lanes.h"
#include "base/team.h"
#include "graph/partition.h"
#include "state/activity.h"
#include "state/collective.h"

typedef struct cohort_lane_engine cohort_lane_engine;

/* What a lane gives at most, and the place among them that says that its work was left before its end: not 0. */
enum { COHORT_MAX_SCALARS = 39, COHORT_LANE_LEFT = COHORT_MAX_SCALARS, COHORT_LANE_SCALARS };

/* Where a lane leaves its vectors: element e of bucket b of vector v at base + v * vector + place[b] + e. */
typedef struct cohort_lane_row {
  float *base; /* NULL: it gives none */
  const int64_t *place;
  int64_t vector;
} cohort_lane_row;

typedef struct cohort_lane_work {
  void *argument;
  int phases;
  bool lockstep; /* lanes run phase by phase together: values cross lanes, or parameters come and go */
  const cohort_plan
      *plan;   /* whose events (graph/partition.h) phases have; NULL: buckets are written in the last phase */
  int vectors; /* vectors of the space in a row; 0: no row, scalars only */
  int scalars; /* doubles a lane gives in the last phase */
  /* Runs phase `phase` of lane `lane` on executor `executor` (0 <= executor < executors), in slot `slot` of it (0
   * unless lanes run together). In the last phase fills scalars; scalars[COHORT_LANE_LEFT] it may set in any. */
  void (*run)(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row, double *scalars);
  /* On every rank, in the main thread, which may exchange: before the first wave runs a phase, and after the last has.
   * NULL when there is nothing to do. */
  void (*before)(void *argument, int phase);
  void (*after)(void *argument, int phase);
} cohort_lane_work;

/* Of `threads` of this rank. */
cohort_status cohort_lane_engine_create(cohort_comm *comm, int lanes, int threads, cohort_lane_engine **out,
                                        cohort_error *error);
void cohort_lane_engine_destroy(cohort_lane_engine *engine);

/* What a rank needs: executors, lanes of the busiest, rows of whole vectors and of the gradient arena. */
typedef struct cohort_lane_needs {
  int executors, slots, whole, arena;
} cohort_lane_needs;
cohort_lane_needs cohort_lane_engine_needs(int lanes, int ranks, int rank, int threads, bool lockstep, bool separate);

/* How rows are held, for all work with rows. */
typedef struct cohort_lane_rows {
  const cohort_shards *shards; /* of all spaces */
  int buckets;                 /* of them in a row: the first; 0: all */
  int vectors;                 /* the most that any work has */
  bool lockstep;               /* of the work with rows */
  bool separate;  /* the sum is a vector of its own, of which only own pieces take memory; all rows are the gradient
                     arena */
  bool allreduce; /* all ranks get the whole sum, which is not apart */
  bool overlap;   /* buckets travel while lanes compute */
  /* The gradient arena of one lane: [buckets] where each begins, and its length; NULL: as the space, all at once.
   * `before[b]` is the bucket (or -1) that last used memory of b before it in a step. */
  const int64_t *place;
  const int *before;
  int64_t elements;
} cohort_lane_rows;

/* Makes room for rows, and the transfer that carries them; once, before the first run with vectors. Collective. */
cohort_status cohort_lane_engine_prepare(cohort_lane_engine *engine, const cohort_lane_rows *rows, cohort_error *error);
cohort_collective *cohort_lane_engine_collective(const cohort_lane_engine *engine);
/* The sum as a vector that other ranks can gather from; valid unless rows are `separate`. */
const cohort_vector *cohort_lane_engine_sum(const cohort_lane_engine *engine);

/* Cuts the memory of rows into pieces of `bytes` (a multiple of 64) for other use between runs, which overwrite them;
 * returns how many there are, of which the first `most` are left in `piece`. None where other ranks read rows. */
int cohort_lane_engine_borrow(const cohort_lane_engine *engine, size_t bytes, int most, void **piece);

int cohort_lane_engine_executors(const cohort_lane_engine *engine);        /* of this rank */
int cohort_lane_engine_executor_threads(const cohort_lane_engine *engine); /* team of each executor */
int cohort_lane_engine_slots(const cohort_lane_engine *engine);            /* most lanes of one executor */
void cohort_lane_engine_own(const cohort_lane_engine *engine, int *first, int *last);
/* Where an own lane runs, when lanes run together. */
void cohort_lane_engine_place(const cohort_lane_engine *engine, int lane, int *executor, int *slot);
const cohort_team *cohort_lane_engine_team(const cohort_lane_engine *engine); /* all threads, between lane work */

/* Collective. Runs the work; the sums over lanes of the scalars are left in scalars[work->scalars] on every rank, and
 * lane_scalars (may be NULL) receives all lanes' values [lanes][scalars]. When vectors > 0, *sum points to the sum of
 * rows, valid on this rank for its own pieces (`allreduce`: for all): vector v at *sum + v * elements of a row; it
 * stays valid until the next run. */
void cohort_lane_engine_run(cohort_lane_engine *engine, const cohort_lane_work *work, double *scalars,
                            double *lane_scalars, float **sum);

/* Whether a lane of some rank has left its work in the last run, which had scalars: the same on all ranks. The sums are
 * then undefined. */
bool cohort_lane_engine_left(const cohort_lane_engine *engine);

/* Of vector 0 of the last sum: the sum of squares of each of this rank's pieces, others are undefined; by the float32
 * kernels' dot (kernel/kernel.h), made while the tree was finished. Valid until the next run. */
const double *cohort_lane_engine_squares(const cohort_lane_engine *engine);

/* From now on what runs is measured, by one recorder an executor (an array that stays the caller's); NULL: no longer.
 */
void cohort_lane_engine_record(cohort_lane_engine *engine, cohort_recorder *const *recorder);

/* Seconds this rank's executors spent in lane work since the last call, summed over executors. */
double cohort_lane_engine_busy_seconds(cohort_lane_engine *engine);

#endif
