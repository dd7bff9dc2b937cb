/* Family aggregator: one direction from the gradients of several objectives, sum_i weights[i] * gradient_i.
 *
 * Fixed weights are factors of the objectives, which are then one: it costs one backward pass and one gradient, as one
 * loss does. Other weights are made in every step, from inner products of the gradients, from losses, states or draws:
 * each objective has a backward pass and a gradient of its own. Whole gradients never move. */
#ifndef COHORT_METHOD_AGGREGATOR_AGGREGATOR_H
#define COHORT_METHOD_AGGREGATOR_AGGREGATOR_H

#include "base/random.h"
#include "graph/gradient.h"
#include "method/method.h"

/* What an aggregator sees. Its states (the descriptor's table, of owner space, float64; size of [objectives]) are read
 * as the step found them; `next` begins as a copy and is kept when the step is applied, once a step, from the first
 * answer on the step's own batch. */
typedef struct cohort_aggregation {
  const void *config;
  int objectives;
  int64_t step;           /* from 1 */
  const double *products; /* [objectives x objectives]: <g_i, g_j>; zeros without needs_products */
  const double *losses;   /* [objectives] */
  cohort_random_key key;  /* of this step */
  const double *const *state;
  double *const *next;
} cohort_aggregation;

typedef struct cohort_aggregator {
  void (*weigh)(const cohort_aggregation *aggregation, double *weights); /* weights [objectives] is the result */
  /* How many objectives a config is for; 0, or NULL: any number. */
  int (*objectives)(const void *config);
  bool needs_products; /* of the step's gradients */
  bool fixed;          /* weights are the config's alone: asked for once, and used before backward */
} cohort_aggregator;

#endif
