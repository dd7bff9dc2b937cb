/* Joining the changes of a round's clients where some may be malicious (method/robust/robust.h), over all ranks: in a
 * run, and in `cohort probe robust`.
 *
 * A client's change is kept by the rank that trained it. Then every rank gets a slice of the coordinates of all
 * changes; nowhere do all of them meet:
 *
 *   rank 0   x_0 x_1   its own, whole       slice 0 of x_0 .. x_4 --+-- inner products --+-- joined, slice 0
 *   rank 1   x_2 x_3   -- pieces to all ->  slice 1 of x_0 .. x_4 --+   (a sum)          +-- joined, slice 1
 *   rank 2   x_4                            slice 2 of x_0 .. x_4 --+   shares           +-- joined, slice 2
 *                                                                                        --> all-gather
 *
 * Coordinates are cut into blocks by their number alone, inner products of blocks are summed along the tree
 * over blocks, changes along the tree over clients that joins them in a run without any of this: no bit depends on
 * ranks or threads, and where a method leaves nobody out, the joined change is the plain one, bit for bit.
 *
 * Changes that are not finite are left out. A round that has too few clients for what the method is set up for, or
 * none that is finite, is joined to zero.
 *
 * Intended usage, each round:
 *   cohort_robust_begin(robust, &crowd);
 *   memcpy(cohort_robust_row(robust, i), change of client i, ...);    for each client of this rank, in any thread
 *   cohort_robust_finish(robust, joined, &outcome);    collective, in the main thread
 *   cohort_robust_keep(robust);    collective; when the step by it was applied */
#ifndef COHORT_TRAIN_ROBUST_ROBUST_H
#define COHORT_TRAIN_ROBUST_ROBUST_H

#include "method/registry.h"
#include "method/robust/robust.h"
#include "state/row_table.h"
#include "train/engine/items.h"

typedef struct cohort_robust_options {
  cohort_comm *comm;
  int threads; /* of this rank */
  cohort_variant variant;
  int64_t elements;            /* of a change, of the variant's type */
  const cohort_choice *method; /* stays the caller's; NULL: the weighted mean, as of a run without any of this */
  bool plan_only;              /* sizes alone */
} cohort_robust_options;

/* What every client of a set sends instead of its own change, coordinate by coordinate: `mean` times the mean of all
 * others' changes plus `deviation` times their standard deviation (of others - 1 degrees of freedom). */
typedef struct cohort_robust_forgery {
  double mean, deviation;
  const bool *forger; /* [clients]; NULL: nobody */
} cohort_robust_forgery;

/* The clients of a round; arrays are by their number in it and stay the caller's until it is finished. */
typedef struct cohort_robust_crowd {
  int clients;                    /* at least 1 */
  const int64_t *client;          /* who */
  const double *weight;           /* by which the plain sum multiplies each change */
  const cohort_item_order *order; /* which leaf each is, and which rank's */
  cohort_robust_forgery forgery;
} cohort_robust_crowd;

/* Alike on all ranks. */
typedef struct cohort_robust_outcome {
  int finite;          /* clients whose change is */
  int chosen;          /* whose share is not 0 */
  const double *share; /* [clients]: what each change was multiplied by, or, of a method that goes by coordinates, not 0
                          for those that it saw; until the next round */
  double distance;     /* |joined - m| / |m| for the plain mean m of the finite changes; 0 where m is */
} cohort_robust_outcome;

typedef struct cohort_robust_join cohort_robust_join;

cohort_status cohort_robust_create(const cohort_robust_options *options, cohort_robust_join **out, cohort_error *error);
void cohort_robust_destroy(cohort_robust_join *robust); /* NULL is fine */

/* Collective where the method has a history: its rows come. */
void cohort_robust_begin(cohort_robust_join *robust, const cohort_robust_crowd *crowd);
/* Where the change of client number `item` goes; of one that is this rank's. */
void *cohort_robust_row(const cohort_robust_join *robust, int item);
/* Collective. `joined` [elements] is whole on every rank. */
void cohort_robust_finish(cohort_robust_join *robust, void *joined, cohort_robust_outcome *outcome);
/* Collective. What the method keeps: the last joined change, the clients' histories. */
void cohort_robust_keep(cohort_robust_join *robust);

/* What is kept, NULL: nothing. The last joined change, whole and alike on all ranks, zeros at the start; and the table
 * "robust" of a column "history". */
void *cohort_robust_last(const cohort_robust_join *robust);
cohort_row_table *cohort_robust_table(const cohort_robust_join *robust);

/* Memory of a rank of so many for a round of so many clients: changes, slices, inner products; without what is kept. */
double cohort_robust_bytes(const cohort_robust_options *options, double clients, int ranks);
/* What is kept on it after so many rounds at most, of so many clients that there are. */
double cohort_robust_kept_bytes(const cohort_robust_options *options, double population, double rounds, double clients,
                                int ranks);

#endif
