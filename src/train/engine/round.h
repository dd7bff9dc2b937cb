/* A round of a federation, and what takes part in one beside the clients and their strategy: attacks, clips, noise,
 * compression, robust and secure joins, clocks. Each is a module, in a file of its own; the engine of clients
 * (train/engine/clients.h) calls it at its place in the round:
 *
 *   begin -> [clients: change -> apply, in the order of the modules -> joiner.take] -> joiner.finish -> joined
 *         -> the server's step -> commit
 *
 * A module without a function has nothing to do there. All but `apply` and `take` run in the main thread, on every rank
 * and in the same order, and may exchange. Changes and sums are vectors like the weights, in the engine's real type. */
#ifndef COHORT_TRAIN_ENGINE_ROUND_H
#define COHORT_TRAIN_ENGINE_ROUND_H

#include "io/checkpoint.h"
#include "state/row_table.h"
#include "train/engine/items.h"

typedef struct cohort_round {
  int64_t number;        /* from 0 */
  int present;           /* clients that take part; 0: nobody */
  const int64_t *client; /* [present]: who, each once */
  const int64_t *steps;  /* [present]: local steps, at least 1 */
  const double *samples; /* [present]: what a change weighs where it is joined by samples */
  const double *cost;    /* [present]: of all its local steps, in any unit */
  double factor;         /* on the clients' learning rate */
  /* What follows may be NULL. */
  const double *share;      /* [present]: weights of the changes, instead of the strategy's */
  const int64_t *version;   /* [present]: the round whose weights a client began at; NULL: this one. It draws by that */
  const void *const *start; /* [present]: those weights; NULL: this round's */
} cohort_round;

/* How changes become one, instead of their sum along the tree, each times its share. */
typedef struct cohort_joiner {
  void *argument;
  /* Before clients begin: who stands where in the order, and the changes' weights. NULL: nothing to do. */
  cohort_status (*begin)(void *argument, const cohort_round *round, const cohort_item_order *order, const double *share,
                         cohort_error *error);
  /* In the client's thread: the change of client number `item` of those present is final. Nobody reads it later. */
  void (*take)(void *argument, int executor, int item, const void *change);
  /* The joined change into `sum`, whole on every rank. */
  cohort_status (*finish)(void *argument, const cohort_round *round, void *sum, cohort_error *error);
} cohort_joiner;

/* What a module keeps beside row tables: the same on all ranks, saved and resumed under its name. */
typedef struct cohort_round_state {
  const char *name;
  cohort_stored_type type;
  int64_t elements;
  void *values;
} cohort_round_state;

enum { COHORT_MAX_ROUND_MODULES = 12, COHORT_MAX_ROUND_COLUMNS = 32 };

typedef struct cohort_round_module {
  const char *name; /* of its states in checkpoints: "privacy" */
  void *argument;   /* stays its owner's, who ends it: `release`, or NULL */
  void (*release)(void *argument);
  void (*begin)(void *argument, const cohort_round *round);
  /* In the client's thread, executor 0 <= e < threads: changes a client's change in place. Returns a number that
   * `joined` finds listed. `version` is what the client draws by: the round that it began in. */
  double (*apply)(void *argument, int executor, int64_t version, int64_t client, void *change);
  /* The joined change, whole on every rank; applied[present]: what `apply` has returned (NULL: there is none). With
   * one such function in the list a round of nobody is a step too. */
  cohort_status (*joined)(void *argument, const cohort_round *round, const double *applied, void *change,
                          cohort_error *error);
  /* The server's step was applied. losses[present]: clients' mean losses. */
  void (*commit)(void *argument, const cohort_round *round, const double *losses);
  const cohort_joiner *joiner; /* or NULL; one module at most has one */
  /* Columns of metrics.csv's rows of training, "privacy/epsilon", as they are after the round; NAN: empty. */
  int columns;
  const char *const *column;
  const double *value; /* [columns] */
  /* Why the last round's join was refused: then nothing is finite in it, so nothing changes, and the run goes on. NULL
   * where that cannot be; "": it was not. */
  const char *refusal;
  int states;
  const cohort_round_state *state;
  int tables;
  cohort_row_table *const *table;
  /* Memory for a round of so many clients on a rank of so many, beside what is kept; what is kept on it after so many
   * rounds at most. For `check`; NULL: next to nothing. */
  double (*bytes)(void *argument, double present, int ranks);
  double (*kept_bytes)(void *argument, double rounds, double present, int ranks);
} cohort_round_module;

#endif
