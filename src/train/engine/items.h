/* Items: pieces of work with a known cost, dealt over ranks and threads (clients of a round, trials, repeats of a
 * study, starts of a fit). Who computes an item changes nothing: what an item gives depends on its number alone, sums
 * follow one tree, and results are listed by number.
 *
 * Items stand at the leaves of the tree of lanes (base/lanes.h) in an order that their costs set: the items are halved
 * at equal cost again and again, so that ranks, which take runs of neighbouring leaves of about equal cost, add whole
 * subtrees. The order is a function of the costs alone. Inside a rank each thread takes the next item when it is free.
 *
 * Intended usage:
 *   cohort_item_order_create(items, cost, comm->size, &order);
 *   cohort_items *engine = cohort_items_create(comm, threads, sizeof(float), elements);
 *   cohort_items_run(engine, &order, &work, &results);    collective, as often as wanted, with any order
 *   cohort_item_order_release(&order); cohort_items_destroy(engine); */
#ifndef COHORT_TRAIN_ENGINE_ITEMS_H
#define COHORT_TRAIN_ENGINE_ITEMS_H

#include "base/comm.h"
#include "base/memory.h"
#include "graph/recorder.h"

typedef struct cohort_item_order {
  int items;
  int *item;  /* [items]: which item stands at a leaf */
  int *first; /* [ranks + 1]: a rank's leaves are [first[rank], first[rank + 1]) */
  cohort_scratch item_room, first_room, list_room;
} cohort_item_order;

/* cost[items] > 0, in any unit. Items of equal cost stay in the order of their numbers. `out` is zero, or an order that
 * was made before, whose memory is used again. */
void cohort_item_order_create(int items, const double *cost, int ranks, cohort_item_order *out);
void cohort_item_order_release(cohort_item_order *order);

typedef struct cohort_item_work {
  void *argument;
  /* Runs an item in one thread: executor 0 <= e < cohort_items_executors has its own memory. Fills `row`, a vector of
   * the engine's (NULL: the engine has none), and numbers. An item that returns a status fails alone: it adds nothing
   * to the sum, and its numbers are NAN. COHORT_STOPPED: it was left. */
  cohort_status (*run)(void *argument, int executor, int item, void *row, double *numbers, cohort_error *error);
  int numbers; /* that an item gives */
} cohort_item_work;

/* The same on all ranks; what is NULL is not wanted. Arrays are by the item's number. */
typedef struct cohort_item_results {
  double *numbers;       /* [items][numbers] */
  cohort_status *status; /* [items] */
  double *sums;          /* [numbers]: of items that are done, along the tree */
  const void *sum;       /* receives the sum of rows; valid until the next run */
  int failed;            /* how many items have */
  cohort_error error;    /* of the failed item of the lowest number */
} cohort_item_results;

typedef struct cohort_items cohort_items;

/* `threads` of this rank; rows of `elements` reals of `real` bytes (float or double), 0: items give numbers alone. */
cohort_items *cohort_items_create(cohort_comm *comm, int threads, size_t real, int64_t elements);
void cohort_items_destroy(cohort_items *engine); /* NULL is fine */
int cohort_items_executors(const cohort_items *engine);
/* From now on what runs is measured, by one recorder an executor (an array that stays the caller's); NULL: no longer.
 */
void cohort_items_record(cohort_items *engine, cohort_recorder *const *recorder);
/* Seconds this rank's executors spent in items since the last call. */
double cohort_items_busy_seconds(cohort_items *engine);

/* Collective. */
void cohort_items_run(cohort_items *engine, const cohort_item_order *order, const cohort_item_work *work,
                      cohort_item_results *results);

#endif
