/* Family asynchronous: a server that does not wait. Clients train side by side, each from the weights that it was sent;
 * the server steps when enough changes have arrived, and sends its weights to whoever begins next. A method says how
 * many train at once, how many arrivals make a step, and what a change weighs that began several steps ago.
 *
 * Intended usage: parameters, as of every method; `concurrency`, `buffer`, `weight`. The engine
 * (train/engine/arrivals.h) keeps the queue of arrivals and the weights that clients began at, and calls the strategy
 * and the server's optimizer as in any round: a round is the arrivals of one step. */
#ifndef COHORT_METHOD_ASYNCHRONOUS_ASYNCHRONOUS_H
#define COHORT_METHOD_ASYNCHRONOUS_ASYNCHRONOUS_H

#include "method/method.h"

typedef struct cohort_asynchronous {
  /* Clients that train at once, and arrivals for a step; `wanted` is clients_per_round. */
  int64_t (*concurrency)(const void *config, int64_t wanted);
  int64_t (*buffer)(const void *config, int64_t wanted);
  /* Factor of a change that began `delay` steps of the server ago, 0: at the weights that are stepped from. The
   * change's weight is this times its share among the arrivals of the step. */
  double (*weight)(const void *config, int64_t delay);
  bool mixes;                             /* the client's model is mixed in, not its change */
  bool (*by_samples)(const void *config); /* shares by samples; NULL, or false: equal ones */
} cohort_asynchronous;

/* Functions of the delay that several methods have. */
enum { COHORT_STALENESS_CONSTANT, COHORT_STALENESS_POLYNOMIAL, COHORT_STALENESS_HINGE };
extern const char *const cohort_staleness_names[];
double cohort_staleness(int kind, double slope, double grace, int64_t delay);

#endif
