/* The inside of the engine of clients, shared by clients.c (making, memory), clients_round.c (a round),
 * client_program.c (one client) and server_program.c (the server's side of the strategy). */
#ifndef COHORT_TRAIN_ENGINE_CLIENTS_STATE_H
#define COHORT_TRAIN_ENGINE_CLIENTS_STATE_H

#include "train/engine/clients.h"
#include "update/algebra.h"

enum { MOST_VECTORS = COHORT_MAX_FEDERATED_VECTORS };

/* An optimizer of a client: the first one steps LOCAL. */
typedef struct client_stepper {
  int vector;
  cohort_updater *updater;
} client_stepper;

/* Vectors of an executor. */
enum { LOCAL, GRADIENT, SCRATCH, CHANGE, HELD, EXECUTOR_VECTORS };

/* What one executor trains clients with, one after another. */
typedef struct client_trainer {
  cohort_space *space; /* values: those of the vector that is stepped */
  cohort_vector weights;
  void *memory[EXECUTOR_VECTORS];
  void *round[MOST_VECTORS]; /* by vector: those of one client's training */
  cohort_comm alone;
  cohort_shard_group *members;
  int steppers;
  client_stepper stepper[1 + MOST_VECTORS];
} client_trainer;

/* Neighbouring tensors that stay with their client. */
typedef struct personal_range {
  int64_t offset, packed, elements; /* in a vector like the weights; in one of personal tensors */
} personal_range;

struct cohort_clients {
  cohort_clients_options options;
  const cohort_federated *strategy; /* or NULL */
  const void *config;
  cohort_choice client; /* the clients' optimizer, as it was chosen */
  const cohort_kernel_set *kernels;
  const cohort_algebra *algebra;
  size_t real;
  int64_t elements;
  int vectors, rows, uploads;      /* of the strategy; of them those of a client, uploads that are vectors */
  cohort_federated_vector *vector; /* [vectors] */
  int64_t size[MOST_VECTORS];      /* elements or numbers of each */
  int place[MOST_VECTORS];         /* among the rows' columns, an item's vectors, or an item's numbers */
  int ranges;
  personal_range *range;
  int64_t personal; /* elements of a vector of personal tensors */
  int modules, filters;
  cohort_round_module module[COHORT_MAX_ROUND_MODULES];
  const cohort_joiner *joiner; /* or NULL */
  int joins;                   /* 1: an item's vectors begin with its change; 0: a joiner takes that */
  int numbers;                 /* of an item: loss as it is joined, loss, modules', uploads' */
  client_trainer *trainer;     /* [threads] */
  cohort_items *items;
  cohort_row_table *table;    /* or NULL */
  void *server[MOST_VECTORS]; /* by vector; NULL: not the server's */
  void *step, *scratch;
  /* The round. */
  cohort_round round;
  const void *weights;
  cohort_item_order order;
  double *weight, *share; /* [present]: of losses; of changes */
  int own;                /* clients of this rank */
  int *own_of;            /* [present]: which of them; -1 */
  int64_t *own_client, *own_position;
  bool *found;
  char *row[MOST_VECTORS]; /* [own][size], by vector; NULL: not the clients' */
  double *number;          /* [present][numbers] */
  double *losses, *applied, *sums;
  void *change;    /* the joined one */
  const char *sum; /* what items have summed */
  cohort_scratch row_room[MOST_VECTORS], weight_room, share_room, own_of_room, client_room, position_room, found_room,
      number_room, losses_room, applied_room, sums_room, joined_room;
};

enum { ITEM_LOSS_JOINED, ITEM_LOSS, ITEM_NUMBERS };

/* Where a vector lies: `personal`: of the personal tensors alone. */
typedef struct placed_vector {
  char *values;
  bool personal;
} placed_vector;

/* What both sides of a strategy may do with vectors. */
void cohort_clients_combine(const cohort_clients *clients, placed_vector out, double alpha, placed_vector a,
                            double beta, placed_vector b);
void cohort_clients_map(const cohort_clients *clients, cohort_map map, placed_vector out, placed_vector a,
                        placed_vector b, double number);
double cohort_clients_dot(const cohort_clients *clients, placed_vector a, placed_vector b);
/* Personal tensors, or the others, become zero. */
void cohort_clients_blank(const cohort_clients *clients, void *vector, bool personal);

/* clients.c: the rows of clients own_client[own], as `row`; those that were never kept begin from `start` (NULL: from
 * where the round's clients begin). Collective. */
void cohort_clients_bring_rows(cohort_clients *clients, const void *start);

/* client_program.c: an item's work; `argument` is the clients. */
cohort_status cohort_clients_train(void *argument, int executor, int item, void *row, double *numbers,
                                   cohort_error *error);

/* server_program.c */
void cohort_clients_weigh(const cohort_clients *clients, double *share);
void cohort_clients_serve(const cohort_clients *clients);
void cohort_clients_receive(const cohort_clients *clients);

#endif
