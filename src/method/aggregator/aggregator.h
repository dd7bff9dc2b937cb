/* Family aggregator: one direction from the gradients of several objectives. All of them work from inner products, so
 * the core never moves whole gradients: direction = sum_i weights[i] * gradient_i. */
#ifndef COHORT_METHOD_AGGREGATOR_AGGREGATOR_H
#define COHORT_METHOD_AGGREGATOR_AGGREGATOR_H

#include "base/random.h"
#include "method/method.h"

enum { COHORT_MAX_OBJECTIVES = 16 };

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
  bool needs_products; /* false: the objectives are summed before backward */
} cohort_aggregator;

#endif
