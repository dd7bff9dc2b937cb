/* The clients of a round: each takes its local steps from the round's weights, with an update engine of its own, alone
 * in the world, as its strategy says (method/federated/federated.h). Clients are items (train/engine/items.h), so who
 * trains which changes no bit. Generic in type: a run trains clients in float32 on samples, a probe also in float64 on
 * arrays.
 *
 * Intended usage:
 *   cohort_clients_create(&options, &faults, &clients, &error);
 *   cohort_clients_run(clients, &round, weights, &gradient, &loss, &error);    as the oracle of the server's step
 *   cohort_clients_commit(clients);    when that step was applied: what clients and server keep
 *   cohort_clients_destroy(clients); */
#ifndef COHORT_TRAIN_ENGINE_CLIENTS_H
#define COHORT_TRAIN_ENGINE_CLIENTS_H

#include "method/federated/federated.h"
#include "state/row_table.h"
#include "train/engine/items.h"
#include "update/updater.h"

/* Where gradients of clients come from. */
typedef struct cohort_client_source {
  void *argument;
  /* Of the samples of a client's local step: their mean loss, and its gradient in the engine's type, at `point`, in
   * thread `executor`. False: it was left before its end. */
  bool (*ask)(void *argument, int executor, int64_t round, int64_t client, int64_t step, const void *point,
              void *gradient, double *loss);
} cohort_client_source;

typedef struct cohort_clients_options {
  cohort_comm *comm;
  int threads;                                   /* of this rank */
  const cohort_choice *strategy;                 /* stays the caller's; NULL: the weighted average */
  const cohort_document *client, *client_groups; /* the clients' optimizer */
  const cohort_choice *made;                     /* instead of them, an update that is set up already; or NULL */
  double client_clip;
  const cohort_document *place; /* for faults */
  cohort_document *expanded;    /* of the section; may be NULL */
  int64_t population;           /* clients that there are */
  uint64_t seed;
  const cohort_space *space; /* whose layout clients' weights have; stays the caller's */
  cohort_variant variant;
  bool plan_only; /* layout and sizes alone */
  cohort_client_source source;
} cohort_clients_options;

typedef struct cohort_round {
  int64_t number;        /* from 0 */
  int present;           /* clients that take part */
  const int64_t *client; /* [present]: who, each once */
  const int64_t *steps;  /* [present]: local steps, at least 1 */
  const double *samples; /* [present]: what a change weighs where it is joined by samples */
  const double *cost;    /* [present]: of all its local steps, in any unit */
  double factor;         /* on the clients' learning rate */
} cohort_round;

typedef struct cohort_clients cohort_clients;

cohort_status cohort_clients_create(const cohort_clients_options *options, cohort_faults *faults, cohort_clients **out,
                                    cohort_error *error);
void cohort_clients_destroy(cohort_clients *clients); /* NULL is fine */

/* Collective. *gradient receives minus the joined change, whole on every rank, until the next run; *loss the clients'
 * mean losses of the round, joined alike. COHORT_STOPPED: it was left. */
cohort_status cohort_clients_run(cohort_clients *clients, const cohort_round *round, const void *weights,
                                 void **gradient, double *loss, cohort_error *error);
/* Collective. The last round's step was applied: its clients keep what they have left, the server receives. */
void cohort_clients_commit(cohort_clients *clients);

/* This rank's clients of the last round, as numbers among those present. */
const int *cohort_clients_own(const cohort_clients *clients, int *count);

/* What is kept: rows by client, of the layout of the space (NULL: none), and the server's vectors, whole and alike on
 * all ranks. */
cohort_row_table *cohort_clients_table(const cohort_clients *clients);
int cohort_clients_vectors(const cohort_clients *clients);
void *cohort_clients_vector(const cohort_clients *clients, int index, const char **name);

/* What is kept on a rank of so many after so many rounds at most: the server's vectors, its share of the clients' rows,
 * and the rows of those it trains. */
double cohort_clients_kept_bytes(const cohort_clients *clients, double rounds, double present, int ranks);
/* The messages in which rows come to who trains and go home. */
double cohort_clients_message_bytes(const cohort_clients *clients, double present, int ranks);
/* While they are saved: a rank's slice of the rows, and what comes and goes for it. */
double cohort_clients_saving_bytes(const cohort_clients *clients, double rounds, double present, int ranks);
/* Memory of one client in training. */
double cohort_clients_bytes(const cohort_clients *clients);
/* Vectors of a row that a client leaves: its change, and uploads. */
int cohort_clients_uploads(const cohort_clients *clients);
void cohort_clients_record(cohort_clients *clients, cohort_recorder *const *recorder);
double cohort_clients_busy_seconds(cohort_clients *clients);

#endif
