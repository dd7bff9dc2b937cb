/* Family aggregator: one direction from the gradients of several objectives. All of them work from inner products, so
 * the core never moves whole gradients: direction = sum_i weights[i] * gradient_i. */
#ifndef COHORT_METHOD_AGGREGATOR_AGGREGATOR_H
#define COHORT_METHOD_AGGREGATOR_AGGREGATOR_H

#include "base/random.h"
#include "method/method.h"

enum { COHORT_MAX_OBJECTIVES = 16 };

typedef struct cohort_aggregator {
  /* products [objectives x objectives]: <g_i, g_j>; losses [objectives]; weights [objectives] is the result. NULL
   * `weigh` is not allowed. */
  void (*weigh)(const void *config, int objectives, const double *products, const double *losses, cohort_random_key key,
                double *weights);
  bool needs_products; /* false: products may be NULL and the objectives are summed before backward */
} cohort_aggregator;

#endif
