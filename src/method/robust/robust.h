/* Family robust: how the changes of a round's clients are joined where some of them may be malicious (Byzantine), in
 * the place of their weighted mean.
 *
 * A method has one of two forms, or both, one after the other. `share` gives each client's change a share, from inner
 * products of changes alone, so that no rank needs whole changes of other ranks' clients: the joined change is the sum
 * of share times change. `combine` goes coordinate by coordinate over the values, in order of size, of those clients
 * whose share is not 0. Where nothing is to be left out, a method must equal the mean bit for bit: it then gives the
 * weights as it got them, or each client 1 / clients.
 *
 * What a client weighs (its samples, as the strategy says) is what a malicious one may lie about. Methods that choose
 * or average whole changes read weights; those that go by order count clients alike and do not.
 *
 * Changes that are not finite are left out before a method sees any. Methods are pure and allocate nothing: `work` has
 * the room that cohort_robust_work says. Intended usage: train/robust/robust.h.
 *
 * To add a method: copy template.c to NAME.c, fill the descriptor, write one of the two. */
#ifndef COHORT_METHOD_ROBUST_ROBUST_H
#define COHORT_METHOD_ROBUST_ROBUST_H

#include "method/method.h"

typedef struct cohort_robust_round {
  const void *config;
  int clients;            /* whose changes are finite, at least 1 */
  int rows;               /* clients; with `recalls` one more, the last joined change */
  const double *weight;   /* [clients]: >= 0, of a sum above 0 */
  const double *products; /* [rows][rows]: <x_i, x_j>; NULL for a method that declares none */
  double *work;           /* cohort_robust_work(clients) numbers, of any content */
} cohort_robust_round;

typedef struct cohort_robust {
  /* share[rows] is the result: all finite. NULL: 1 / clients each. */
  void (*share)(const cohort_robust_round *round, double *share);
  /* For n coordinates: out[e] from value[0][e] <= ... <= value[chosen - 1][e], those of the `chosen` clients whose
   * share is not 0; `clients` of the round is as in `share`, products are NULL. NULL: shares say all. */
  void (*combine)(const cohort_robust_round *round, int chosen, int64_t n, const double *const *value, double *out);
  /* False: with so many clients `combine` has nothing to leave out, and shares say all. NULL: true. */
  bool (*combines)(const void *config, int clients);
  /* How many malicious clients it is set up for among so many, and the most that it can be; both NULL: it is not. */
  int (*byzantine)(const void *config, int clients);
  int (*most_byzantine)(int clients);
  bool products; /* `share` reads them */
  bool history;  /* they are of each client's sum of changes, this round's included: a row for each that took part */
  bool recalls;  /* the last joined change is a row of products, and has a share: a vector that the server keeps */
} cohort_robust;

/* Numbers of workspace. */
static inline int64_t cohort_robust_work(int64_t clients) { return clients * (clients + 4); }

/* The parameter `byzantine`: below 1 a share of the clients, rounded down; else a number of them. */
#define COHORT_ROBUST_BYZANTINE(config, default_text)                                                      \
  COHORT_REAL_ATLEAST(config, byzantine, default_text, 0,                                                  \
                      "malicious clients to expect in a round: below 1 as a share, rounded down, else as " \
                      "a number")
int cohort_robust_byzantine(double byzantine, int clients);
/* COHORT_BAD_CONFIG where it is neither a share nor a whole number. */
cohort_status cohort_robust_check_byzantine(double byzantine, cohort_error *error);

/* Less than half of the clients. */
int cohort_robust_minority(int clients);

/* Squared distance of two rows. */
double cohort_robust_distance(const cohort_robust_round *round, int i, int j);
/* other[clients - 1] receives the other clients from the nearest to the farthest, ties by number. Uses the last
 * `clients` numbers of the workspace. */
void cohort_robust_neighbours(const cohort_robust_round *round, int client, double *other);
/* Krum's score of every client: the sum of its squared distances to its `nearest` nearest others (all when there are
 * fewer). score[clients] may lie in the workspace's numbers [clients, 2 clients); it uses [0, clients) and the last. */
void cohort_robust_scores(const cohort_robust_round *round, int nearest, double *score);
/* `neighbours` as given, or by default those of the paper: clients - byzantine - 2, at least 1. */
int cohort_robust_nearest(int64_t neighbours, int clients, int byzantine);

/* Shares of the clients whose share is not 0: their weights, of sum 1; all clients' weights as they are. */
void cohort_robust_share_weights(const cohort_robust_round *round, double *share);

/* Whether so many clients are enough for what the method is set up for: COHORT_BAD_CONFIG with a text. */
cohort_status cohort_robust_admits(const cohort_method *method, const void *config, int clients, cohort_error *error);

#endif
