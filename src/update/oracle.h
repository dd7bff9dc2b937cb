/* The oracle: who answers questions about a point. Lanes answer about a batch, a round of clients about a round, arrays
 * about what a probe was given. The update engine asks, and nobody asks which of them answers. */
#ifndef COHORT_UPDATE_ORACLE_H
#define COHORT_UPDATE_ORACLE_H

#include "method/optimizer/optimizer.h"
#include "state/prefetch.h"

/* A question as the oracle gets it: vectors are memory now. */
typedef struct cohort_ask {
  const cohort_point *point;
  bool gradient;         /* false: losses alone */
  const void *direction; /* whole on this rank; NULL: no product */
  double clip;           /* above 0: every sample's gradient is scaled to this norm at most */
  bool labels;           /* the gradient, one of all objectives, is at labels drawn from the model's own distribution */
  bool fisher;           /* the product is with Fisher's matrix */
  double *divergence;    /* receives that of the outputs from those at the weights; NULL: is not wanted */
} cohort_ask;

typedef struct cohort_oracle {
  void *argument;
  int objectives;
  int64_t samples; /* of a step's batch */
  double noise;    /* what a budget of privacy asks for (cohort_answer); 0: none */
  int64_t labels;  /* what its sums are divided by: samples, tokens */
  /* *rows receives, on this rank's shard, in the engine's real type: as many gradients as the engine's needs say, one
   * of all objectives or one of each after another (each as long as the space), then the product (Fisher's: after one);
   * valid until the next ask. losses[objectives]: means over the batch. Collective. */
  cohort_status (*ask)(void *argument, const cohort_ask *ask, void **rows, double *losses, cohort_error *error);
  /* Of the last ask's first gradient: the sum of squares of each of this rank's pieces, by the kernels' dot; others are
   * undefined. NULL: the engine reads the gradient itself. */
  const double *(*squares)(void *argument);
  /* An ask may be left with COHORT_STOPPED, and with it the step, unless asks are held. NULL: it never is. */
  void (*hold)(void *argument, bool holds);
  /* Draws that were given instead of being drawn, as whole vectors; NULL, or a NULL answer: they are drawn. `name` is
   * "z" for the signs of a hvp diagonal's direction, else the driver's. */
  const void *(*draws)(void *argument, const char *name, int64_t step, int64_t number);
} cohort_oracle;

#endif
