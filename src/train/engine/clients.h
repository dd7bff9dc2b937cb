/* The clients of a round: each takes its local steps from the round's weights, with an update engine of its own, alone
 * in the world, as its strategy says (method/federated/federated.h). Clients are items (train/engine/items.h), so who
 * trains which changes no bit. Generic in type: a run trains clients in float32 on samples, a probe also in float64 on
 * arrays.
 *
 * Intended usage:
 *   cohort_clients_create(&options, &faults, &clients, &error);
 *   cohort_clients_run(clients, &round, weights, &gradient, &loss, &error);    as the oracle of the server's step
 *   cohort_clients_commit(clients, weights);    when that step was applied: what clients and server keep
 *   cohort_clients_destroy(clients); */
#ifndef COHORT_TRAIN_ENGINE_CLIENTS_H
#define COHORT_TRAIN_ENGINE_CLIENTS_H

#include "method/federated/federated.h"
#include "train/engine/round.h"
#include "update/updater.h"

/* Where gradients of clients come from. */
typedef struct cohort_client_question {
  int executor;          /* the thread that asks */
  int64_t round, client; /* draws are keyed by */
  int64_t batch;         /* of the client's samples; COHORT_BATCH_ALL: all */
  const void *point;
  void *gradient;           /* receives it, in the engine's type; NULL: is not wanted */
  const void *const *other; /* the points of the strategy's term (method/federated/federated.h) */
} cohort_client_question;

typedef struct cohort_client_source {
  void *argument;
  /* The mean loss of the batch at the point, and its gradient. False: it was left before its end. */
  bool (*ask)(void *argument, const cohort_client_question *question, double *loss);
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
  int modules;
  const cohort_round_module *module; /* copied; what it points to stays the caller's */
} cohort_clients_options;

typedef struct cohort_clients cohort_clients;

cohort_status cohort_clients_create(const cohort_clients_options *options, cohort_faults *faults, cohort_clients **out,
                                    cohort_error *error);
void cohort_clients_destroy(cohort_clients *clients); /* NULL is fine */

/* Collective. *gradient receives what the server's optimizer steps by, minus the joined change unless the strategy says
 * otherwise, whole on every rank, until the next run; *loss the clients' mean losses of the round, joined by samples
 * (or equally); NAN of a round of nobody. COHORT_STOPPED: it was left. */
cohort_status cohort_clients_run(cohort_clients *clients, const cohort_round *round, const void *weights,
                                 void **gradient, double *loss, cohort_error *error);
/* Collective. The last round's step was applied, and `weights` are the new ones: its clients keep what they have left,
 * the server receives. */
void cohort_clients_commit(cohort_clients *clients, const void *weights);

/* This rank's clients of the last round, as numbers among those present. */
const int *cohort_clients_own(const cohort_clients *clients, int *count);
/* Of the last round, [present] on every rank: mean losses of the clients' steps. */
const double *cohort_clients_losses(const cohort_clients *clients);

/* What is kept: rows by client (NULL: none), and what the server keeps, whole and alike on all ranks. */
cohort_row_table *cohort_clients_table(const cohort_clients *clients);
typedef struct cohort_clients_kept {
  const char *name;
  bool like_weights; /* else numbers: float64 */
  int64_t elements;
  void *values;
} cohort_clients_kept;
/* Number `index` of the server's; false past the last. */
bool cohort_clients_keep(const cohort_clients *clients, int index, cohort_clients_kept *out);
/* The vector of the server's that evaluation takes instead of the weights, by its name; NULL: there is none. */
const void *cohort_clients_evaluated(const cohort_clients *clients, const char **name);

/* Models of clients' own, outside of rounds, for evaluation: the rows of some clients come to this rank, whichever it
 * chooses, then each thread makes the models of any of these, one after another.
 *   cohort_clients_recall(clients, count, client, weights);
 *   cohort_clients_model(clients, executor, i, round, weights, &model, &error);
 * Collective; `client` stays the caller's until all models are made. */
void cohort_clients_recall(cohort_clients *clients, int64_t count, const int64_t *client, const void *weights);
/* In a thread: the model of client[i], which draws as in round `round`, where it asks; the thread's until its next.
 * The weights themselves where clients have none of their own. */
cohort_status cohort_clients_model(cohort_clients *clients, int executor, int64_t i, int64_t round, const void *weights,
                                   const void **model, cohort_error *error);

/* What is kept on a rank of so many after so many rounds at most: the server's vectors, its share of the clients' rows,
 * and the rows of those it trains. */
double cohort_clients_kept_bytes(const cohort_clients *clients, double rounds, double present, int ranks);
/* The messages in which rows come to who trains and go home. */
double cohort_clients_message_bytes(const cohort_clients *clients, double present, int ranks);
/* While they are saved: a rank's slice of the rows, and what comes and goes for it. */
double cohort_clients_saving_bytes(const cohort_clients *clients, double rounds, double present, int ranks);
/* Memory of one client in training. */
double cohort_clients_bytes(const cohort_clients *clients);
/* Of the server's side of a round: its step, and what a joiner makes. */
double cohort_clients_step_bytes(const cohort_clients *clients);
/* Vectors of a row that a client leaves: its change, unless a joiner takes that, and uploads. */
int cohort_clients_uploads(const cohort_clients *clients);
void cohort_clients_record(cohort_clients *clients, cohort_recorder *const *recorder);
double cohort_clients_busy_seconds(cohort_clients *clients);

#endif
