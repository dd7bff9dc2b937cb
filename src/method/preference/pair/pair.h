/* What losses on pairs share: the margin of a column, links from a margin to a loss, the likelihood of the chosen. Each
 * is a few elementwise nodes over pairs [P] or completions [C]; nothing here knows a method. */
#ifndef COHORT_METHOD_PREFERENCE_PAIR_PAIR_H
#define COHORT_METHOD_PREFERENCE_PAIR_PAIR_H

#include "method/preference/preference.h"

/* Losses of a margin z, as convex (but for the last) bounds of 1 where z < 0. */
typedef enum {
  COHORT_BOUND_LOGISTIC,    /* log(1 + e^-z) */
  COHORT_BOUND_SQUARED,     /* (z - 1)^2 */
  COHORT_BOUND_HINGE,       /* max(0, 1 - z) */
  COHORT_BOUND_EXPONENTIAL, /* e^-z */
  COHORT_BOUND_TRUNCATED,   /* max(0, 1 - z)^2 */
  COHORT_BOUND_SAVAGE,      /* 1 / (1 + e^z)^2 */
} cohort_pair_bound;

/* [P]: the link of each margin. */
cohort_value cohort_pair_bounded(cohort_graph *graph, cohort_pair_bound link, cohort_value margin);
/* A column's chosen less its rejected: [C] -> [P]. */
cohort_value cohort_pair_margin(cohort_graph *graph, cohort_value column);
/* A completion's sum over its tokens: [C] -> [C]. */
cohort_value cohort_pair_mean(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value sums);
/* e^x, x cut at 80: what float32 still holds. */
cohort_value cohort_pair_exponential(cohort_graph *graph, cohort_value x);
cohort_value cohort_pair_sigmoid(cohort_graph *graph, cohort_value x);
cohort_value cohort_pair_square(cohort_graph *graph, cohort_value x);
/* factor * x; x itself where the factor is 1. */
cohort_value cohort_pair_weighed(cohort_graph *graph, cohort_value x, double factor);
/* [P]: minus the chosen's log p, a sum over its tokens: a token_loss. */
cohort_value cohort_pair_likelihood(cohort_graph *graph, const cohort_preference_fields *fields);
/* [P]: AOT (Melnyk et al., 2024): margins of the batch, sorted, less those that they are to exceed, sorted; the mean of
 * their smoothed logistic losses, the same for every pair. All lanes' margins are gathered: n log n of n pairs. */
cohort_value cohort_pair_transport(cohort_graph *graph, const cohort_preference_fields *fields, cohort_value upper,
                                   cohort_value lower, double beta, double flipped);

#endif
