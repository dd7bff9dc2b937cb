/* MGDA: the shortest direction of the gradients' convex hull, by an exact active set on their inner products. Cost: the
 * inner products, and n^4 / 3 operations. */
#include "kernel/quadratic.h"
#include "method/aggregator/aggregator.h"

_Static_assert((int)COHORT_QUADRATIC_MOST == (int)COHORT_MAX_OBJECTIVES, "the solver takes as many objectives");

static void weigh(const cohort_aggregation *aggregation, double *weights) {
  cohort_least_on_simplex(aggregation->objectives, aggregation->products, weights);
}

static const cohort_aggregator functions = {.weigh = weigh, .needs_products = true};

static const cohort_method mgda = {
    .family = "aggregator",
    .key = "mgda",
    .summary = "the shortest convex combination of the gradients: a descent direction of every objective, or zero",
    .title = "Multiple-gradient descent algorithm (MGDA) for multiobjective optimization",
    .source = "Desideri, Comptes Rendus Mathematique 350, 2012; Sener and Koltun, NeurIPS 2018; solved exactly",
    .formula = "direction = sum_i w_i g_i, w >= 0 of sum 1 that makes |direction| least",
    .functions = &functions,
};

const cohort_method *const cohort_aggregator_mgda[] = {&mgda, NULL};
