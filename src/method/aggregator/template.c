/* A complete aggregator to start from: copy this file to src/method/aggregator/NAME.c, build, and NAME is a method like
 * any other: in `cohort methods aggregator`, in `cohort probe aggregator NAME`, in configs with several losses, and
 * under the contract tests. As it stands each objective's weight is the inverse of a moving average of its loss, so
 * that all weigh alike whatever their scale.
 *
 * It sees inner products of the gradients and losses, never a gradient. A state is read as the step found it and
 * written as `next`, which is kept once a step, when the step is applied. */
#include <math.h>

#include "method/aggregator/aggregator.h"

typedef struct own_config {
  double decay;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_UNIT(own_config, decay, "0.9", "share of the last average that is kept"),
    {.name = NULL},
};

/* `shape` is [objectives]. */
static int64_t of_each(const void *config, cohort_shape shape) {
  (void)config;
  return shape.size[0];
}

static const cohort_state states[] = {
    {.name = "average",
     .owner = COHORT_OWNER_SPACE,
     .type = COHORT_STATE_FLOAT64,
     .size = of_each,
     .meaning = "moving average of each objective's loss"},
    {.name = NULL},
};

/* From a zero average the first steps are biased, all of them alike: the weights are scaled to a sum of their number.
 */
static void weigh(const cohort_aggregation *aggregation, double *weights) {
  const double decay = ((const own_config *)aggregation->config)->decay;
  double sum = 0;
  for (int i = 0; i < aggregation->objectives; i++) {
    const double average = decay * aggregation->state[0][i] + (1 - decay) * aggregation->losses[i];
    aggregation->next[0][i] = average;
    weights[i] = 1 / fmax(fabs(average), 1e-8);
    sum += weights[i];
  }
  for (int i = 0; i < aggregation->objectives; i++) weights[i] *= aggregation->objectives / sum;
}

/* .needs_products where inner products are read; .fixed where weights are the config's alone. */
static const cohort_aggregator functions = {.weigh = weigh};

static const cohort_method method = {
    .family = "aggregator",
    .key = COHORT_FILE_KEY,
    .summary = "objectives weighed by the inverse of their average loss (a template)",
    .source = "the template of the family aggregator",
    .formula = "a_i = decay a_i + (1 - decay) L_i; w_i = k (1 / |a_i|) / sum_j (1 / |a_j|) for k objectives",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .states = states,
    .functions = &functions,
};

COHORT_METHOD_FILE(aggregator, COHORT_FILE) = {&method, NULL};
