/* Family federated: strategies. In a round the clients that are present begin at the server's weights, take steps of
 * their own, and leave a change; the joined change is what the server's optimizer gets as a gradient (minus it).
 *
 *   server: weigh ─────────────────────────────────────────────> join ─> serve ─> its optimizer's step ─> receive
 *   client:        begin ─> local: step, step, ... ─> change ─> leave ─^
 *                                   └─ gradient ─ ask (a point, a batch)
 *
 * A strategy fills in what its paper has of these; what is left out is federated averaging. Its state is vectors, each
 * of one side: kept by every client (rows of the table "clients"), kept by the server and sent with the weights, left
 * by a client beside its change, or of one client's training alone; laid out like the weights, like the personal
 * tensors alone, or so many float64 numbers. On the server's side stand an optimizer of the family optimizer with its
 * settings, and what is kept.
 *
 * Intended usage:
 *   1. Parameters, as of every method; learning_rate is the server's step size.
 *   2. `server` and `settings`: which optimizer, and its settings as numbers; else sgd with the learning_rate.
 *   3. `vectors`. Inside a client, and inside the server, vectors are numbers: COHORT_FEDERATED_VECTORS + i is the i-th
 *      of the table.
 *   4. The functions, in terms of client->call and server->call. Clients run side by side, each in one thread: a client
 *      sees its own rows and uploads, and what the server sends, which it must not write.
 *   5. Where tensors stay with their client (a head of its own), `personal` says which; a client's change of these is
 *      nothing. Where a client has a model of its own, a vector that is `evaluated` or `personal_model` makes it, for
 *      evaluation.
 * What clients and server keep changes only when the server's step was applied. A function that cannot go on returns a
 * status, which the strategy passes up. */
#ifndef COHORT_METHOD_FEDERATED_FEDERATED_H
#define COHORT_METHOD_FEDERATED_FEDERATED_H

#include "method/method.h"
#include "method/optimizer/optimizer.h"
#include "method/registry.h"

enum { COHORT_MAX_FEDERATED_VECTORS = 12, COHORT_MAX_SERVER_SETTINGS = 8, COHORT_MAX_FEATURE_POINTS = 2 };

/* The row that every table begins with; `config` is the method's struct, which has the field. */
/* clang-format off */
#define COHORT_SERVER_LEARNING_RATE(config)                                                                            \
  {COHORT_FIELD(config, learning_rate, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .maximum = INFINITY,     \
   .maximum_open = true, .meaning = "the server's step size; 1 takes the clients' average", .sweep_low = 0.1,          \
   .sweep_high = 3, .sweep_log = true}
/* clang-format on */

/* Whose vector it is. */
typedef enum {
  COHORT_SIDE_CLIENT, /* one of each client, kept; a client writes its own */
  COHORT_SIDE_SERVER, /* one, kept; clients and `serve` read it, `receive` writes it */
  COHORT_SIDE_UPLOAD, /* a client leaves it; the server finds the mean over those present (numbers: each client's) */
  COHORT_SIDE_ROUND,  /* of one client's training in one round, from zero */
} cohort_federated_side;

typedef enum {
  COHORT_LIKE_WEIGHTS,
  COHORT_LIKE_PERSONAL, /* the personal tensors alone; of clients */
  COHORT_LIKE_NUMBERS,  /* `count` float64 numbers */
} cohort_federated_layout;

/* The table ends with a name of NULL. Kept ones begin as zero. */
typedef struct cohort_federated_vector {
  const char *name;
  cohort_federated_side side;
  const char *meaning;
  cohort_federated_layout layout;
  int64_t (*count)(const void *config, int64_t clients);  /* numbers, among so many clients in all; NULL: one */
  double (*initial)(const void *config, int64_t clients); /* what kept numbers begin as; NULL: 0 */
  bool from_weights; /* kept: begins as the weights: of the server as they are before the first round, of a client as
                        they are when it first takes part */
  bool stepped;      /* a client's or a round's: an optimizer of its own steps it, which starts anew in every round */
  bool weighted;     /* an upload: joined with the weights of the changes, not equally */
  bool evaluated;    /* evaluation takes it instead of the weights: a server's; a client's for its own model */
} cohort_federated_vector;

/* Vectors inside a client; then those of the table, in its order. */
enum {
  COHORT_CLIENT_START,    /* the round's weights; not written */
  COHORT_CLIENT_LOCAL,    /* where the client stands; when its program ends, LOCAL - START is its change */
  COHORT_CLIENT_POINT,    /* in `gradient`: where it is wanted; not written */
  COHORT_CLIENT_GRADIENT, /* in `gradient`: receives it */
  COHORT_CLIENT_CHANGE,   /* in `leave`: LOCAL - START, of personal tensors 0; may be written */
  COHORT_CLIENT_SCRATCH,  /* of one call */
  COHORT_CLIENT_VECTORS
};
/* Vectors of the server; then those of the table. Of uploads it finds the means. */
enum {
  COHORT_SERVER_WEIGHTS, /* in `serve` before the step, in `receive` after it; not written */
  COHORT_SERVER_CHANGE,  /* the joined change; not written */
  COHORT_SERVER_STEP,    /* what its optimizer gets as gradient: minus the joined change, unless `serve` writes it */
  COHORT_SERVER_SCRATCH, /* of one call */
  COHORT_SERVER_VECTORS
};
enum { COHORT_FEDERATED_VECTORS = 8 }; /* number of the table's first */

/* Batches of a client in a round: number s is that of its step s, and any further number is another one, which follow
 * one another through its samples in an order of the round's own. */
enum { COHORT_BATCH_ALL = -1 }; /* all its samples */

/* Which tensors a step moves; the others stay, and their gradient is 0. */
typedef enum { COHORT_MOVES_ALL, COHORT_MOVES_PERSONAL, COHORT_MOVES_SHARED } cohort_federated_moves;

struct cohort_federated_client;

/* What a client may do. Of two vectors one of which has the personal tensors alone, those are meant: of the other
 * nothing else is read or written. */
typedef struct cohort_federated_client_functions {
  /* The mean loss of a batch at a point (any vector like the weights); *loss may be NULL. `gradient` receives its
   * gradient; below 0: the loss alone is wanted. */
  cohort_status (*ask)(struct cohort_federated_client *client, int point, int64_t batch, int gradient, double *loss,
                       cohort_error *error);
  /* The client's optimizer (a driver too) takes a step of LOCAL, or of a vector that is `stepped`, with the gradient
   * that `gradient` gives. */
  cohort_status (*step)(struct cohort_federated_client *client, int vector, cohort_federated_moves moves,
                        cohort_error *error);
  /* out = alpha a + beta b */
  void (*combine)(const struct cohort_federated_client *client, int out, double alpha, int a, double beta, int b);
  void (*map)(const struct cohort_federated_client *client, cohort_map map, int out, int a, int b, double number);
  /* Draws by (the run's seed, `name`, round, client, number, element), or a value. */
  void (*fill)(const struct cohort_federated_client *client, cohort_fill fill, int out, const char *name,
               double number);
  double (*dot)(const struct cohort_federated_client *client, int a, int b);
  /* The numbers of a vector of numbers; of the server's they are not written. */
  double *(*numbers)(const struct cohort_federated_client *client, int vector);
} cohort_federated_client_functions;

typedef struct cohort_federated_client {
  const void *config;
  int64_t client, round;    /* its number in the population; from 0 */
  int64_t clients, present; /* of the population, of the round */
  int64_t steps;            /* that it takes in this round */
  int64_t step; /* whose batch `gradient` is about, from 0: the default program counts it, one of its own sets it */
  double learning_rate;  /* of its optimizer; scheduled */
  double samples, share; /* what it is weighed by, and its weight in the join */
  int stepped;           /* in `gradient`: the vector whose step asks */
  const cohort_federated_client_functions *call;
  void *implementation;
} cohort_federated_client;
typedef cohort_status cohort_federated_client_function(cohort_federated_client *client, cohort_error *error);

struct cohort_federated_server;

/* All in the main thread, on every rank alike. */
typedef struct cohort_federated_server_functions {
  void (*combine)(const struct cohort_federated_server *server, int out, double alpha, int a, double beta, int b);
  void (*map)(const struct cohort_federated_server *server, cohort_map map, int out, int a, int b, double number);
  double (*dot)(const struct cohort_federated_server *server, int a, int b);
  /* Of the server's numbers; of an upload those of client number `i` among those present. */
  double *(*numbers)(const struct cohort_federated_server *server, int vector, int i);
  /* Draws by (the run's seed, `name`, round, number, element), or a value. */
  void (*fill)(const struct cohort_federated_server *server, cohort_fill fill, int out, const char *name,
               double number);
  /* A parameter of the clients' optimizer. */
  double (*client_real)(const struct cohort_federated_server *server, const char *name, double otherwise);
} cohort_federated_server_functions;

typedef struct cohort_federated_server {
  const void *config;
  int64_t round, clients, present; /* from 0; of the population, of the round */
  const int64_t *client, *steps;   /* [present]: who, and how many steps each takes */
  const double *samples, *share;   /* [present]: as in a client */
  const int64_t *version;          /* [present]: the round whose weights each began at; NULL: all at this one's */
  const cohort_federated_server_functions *call;
  const void *implementation;
} cohort_federated_server;

/* What `move` may ask: the losses of a batch, summed over its samples, at other inputs [R, ...] in place of `input`. */
typedef struct cohort_federated_inputs {
  cohort_value input;
  cohort_value (*loss)(const struct cohort_federated_inputs *inputs, cohort_graph *graph, cohort_value input);
  const void *implementation;
} cohort_federated_inputs;

/* What a client's local steps must be. */
typedef enum {
  COHORT_STEPS_ANY,
  COHORT_STEPS_SGD,   /* sgd, without Nesterov, groups or clip */
  COHORT_STEPS_PLAIN, /* learning_rate times the gradient: without momentum either */
} cohort_federated_steps;

typedef struct cohort_federated {
  const char *server; /* key of its optimizer; NULL: sgd */
  /* Of that optimizer; returns how many. NULL: the strategy's learning_rate alone. */
  int (*settings)(const void *config, cohort_choice_number out[COHORT_MAX_SERVER_SETTINGS]);
  bool uniform;  /* changes are joined with equal weights; else by samples */
  bool asks_all; /* it asks about all samples, or for losses alone: a client then has room for one gradient more */
  cohort_federated_steps steps;
  const cohort_federated_vector *vectors; /* NULL: none */
  /* Whether tensor `number` of so many stays with the client. NULL: none does. */
  bool (*personal)(const void *config, const cohort_parameter_tensor *tensor, int number, int tensors);
  /* Before clients begin: weights of the changes, share[present], filled with those by samples (or `uniform`). */
  void (*weigh)(const cohort_federated_server *server, double *share);
  /* A term of every sample's loss, [R], by its features (what the model's heads read, [R, width]): where the gradient
   * is asked for, and at other points, which are vectors like the weights, listed in `feature_point`. Costs a forward
   * pass a point. NULL: none. */
  int feature_points;
  int feature_point[COHORT_MAX_FEATURE_POINTS];
  cohort_value (*term)(const void *config, cohort_graph *graph, cohort_value features, const cohort_value *other);
  /* The inputs that clients train at, instead of their samples', of which they are a constant: an adversary's. Of tasks
   * whose inputs are real. NULL: the samples'. */
  cohort_value (*move)(const void *config, cohort_graph *graph, const cohort_federated_inputs *inputs);
  cohort_federated_client_function *begin;
  /* The program, instead of `steps` steps of LOCAL. */
  cohort_federated_client_function *local;
  /* The gradient at POINT into GRADIENT, instead of that of the batch `step`. What it first asks gives the loss. */
  cohort_federated_client_function *gradient;
  cohort_federated_client_function *leave;
  /* From CHANGE, uploads and what the server keeps makes STEP; writes nothing kept. */
  void (*serve)(const cohort_federated_server *server);
  void (*receive)(const cohort_federated_server *server);
  /* Outside of a round, START being the server's weights: LOCAL, which begins as these, becomes the client's own model.
   * It may ask; what it writes of rows is not kept. NULL: it is what is `evaluated` of the client's, or there is none.
   */
  cohort_federated_client_function *personal_model;
} cohort_federated;

/* The number in the table of the vector of a side that is `evaluated`; -1: none. */
static inline int cohort_federated_evaluated(const cohort_federated *strategy, cohort_federated_side side) {
  const cohort_federated_vector *vector = strategy ? strategy->vectors : NULL;
  for (int v = 0; vector && vector[v].name; v++)
    if (vector[v].evaluated && vector[v].side == side) return v;
  return -1;
}

static inline bool cohort_federated_has_models(const cohort_federated *strategy) {
  return strategy && (strategy->personal_model || cohort_federated_evaluated(strategy, COHORT_SIDE_CLIENT) >= 0);
}

#endif
