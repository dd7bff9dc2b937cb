/* Family federated: strategies. In a round the clients that are present begin at the server's weights, take steps of
 * their own, and leave a change; the joined change is what the server's optimizer gets as a gradient (minus it).
 *
 * A strategy is, on the client's side, a change of the gradient (`correct`), vectors that each client keeps (rows of
 * the table "clients"), and what it leaves when its steps are done (`leave`: uploads, rows); between the two, how
 * changes and uploads are joined; on the server's side, an optimizer of the family optimizer with its settings, and
 * vectors that the server keeps and sends with the weights (`receive`). All but the optimizer may be left out.
 *
 * Intended usage:
 *   1. Parameters, as of every method; learning_rate is the server's step size.
 *   2. `server` and `settings`: which optimizer, and its settings as numbers.
 *   3. `vectors`, each laid out like the weights. Inside a client, and inside the server, vectors are numbers:
 *      COHORT_CLIENT_VECTORS + i is the i-th of the table.
 *   4. `correct`, `leave`, `receive` in terms of combine. Clients run side by side: a client sees its own rows and
 *      uploads, and what the server sends, which it must not write.
 * What clients and server keep changes only when the server's step was applied. */
#ifndef COHORT_METHOD_FEDERATED_FEDERATED_H
#define COHORT_METHOD_FEDERATED_FEDERATED_H

#include "method/method.h"
#include "method/registry.h"

enum { COHORT_MAX_FEDERATED_VECTORS = 8, COHORT_MAX_SERVER_SETTINGS = 8 };

/* Whose vector it is. */
typedef enum {
  COHORT_SIDE_CLIENT, /* one of each client, kept; zero before it first takes part */
  COHORT_SIDE_SERVER, /* one, kept; zero at the start; clients read it, `receive` writes it */
  COHORT_SIDE_UPLOAD, /* a client leaves it; `receive` finds the mean over those present, each of equal weight */
} cohort_federated_side;

/* The table ends with a name of NULL. */
typedef struct cohort_federated_vector {
  const char *name;
  cohort_federated_side side;
  const char *meaning;
} cohort_federated_vector;

/* Vectors inside a client; then those of the table, in its order. Of the server: those of the table alone. */
enum {
  COHORT_CLIENT_START,    /* the round's weights; not written */
  COHORT_CLIENT_LOCAL,    /* where the client stands */
  COHORT_CLIENT_GRADIENT, /* at `local`: correct changes it */
  COHORT_CLIENT_SCRATCH,  /* of one call */
  COHORT_CLIENT_VECTORS
};

typedef struct cohort_federated_client {
  const void *config;
  int64_t steps;        /* that it takes in this round */
  double learning_rate; /* of its optimizer; scheduled */
  /* out = alpha a + beta b */
  void (*combine)(const struct cohort_federated_client *client, int out, double alpha, int a, double beta, int b);
  const void *implementation;
} cohort_federated_client;

typedef struct cohort_federated_server {
  const void *config;
  int64_t clients, present; /* of the population, of the round */
  void (*combine)(const struct cohort_federated_server *server, int out, double alpha, int a, double beta, int b);
  const void *implementation;
} cohort_federated_server;

typedef struct cohort_federated {
  const char *server;                                                                        /* key of the optimizer */
  int (*settings)(const void *config, cohort_choice_number out[COHORT_MAX_SERVER_SETTINGS]); /* returns how many */
  bool uniform; /* changes are joined with equal weights; else by samples */
  bool plain;   /* a local step must be learning_rate times the gradient: sgd without momentum, decay, groups, clip */
  const cohort_federated_vector *vectors; /* NULL: none */
  void (*correct)(const cohort_federated_client *client);
  void (*leave)(const cohort_federated_client *client);
  void (*receive)(const cohort_federated_server *server);
} cohort_federated;

#endif
