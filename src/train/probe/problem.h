/* The problems that methods which ask are given as arrays: a quadratic or a logistic regression over all tensors, one
 * after another. Values are computed in float64 and handed over in the probe's type. */
#ifndef COHORT_TRAIN_PROBE_PROBLEM_H
#define COHORT_TRAIN_PROBE_PROBLEM_H

#include "train/probe/probe.h"

typedef struct cohort_probe_problem {
  const cohort_probe_state *probe;
  const cohort_probe_updater *updater;
  const cohort_array *A, *b; /* loss w'Aw/2 - b'w, or NULL */
  const cohort_array *x, *y; /* loss mean of log(1 + exp(-s w'x)), s = 2y - 1 */
  int64_t n, samples;        /* n = 0: no problem is given */
  double *point, *out, *vector;
} cohort_probe_problem;

void cohort_probe_problem_create(cohort_probe_state *probe, const cohort_probe_updater *updater,
                                 cohort_probe_problem *out);
/* Flat vectors of the updater's layout. */
void cohort_probe_problem_gradient(const cohort_probe_problem *problem, const void *point, void *gradient);
/* Hessian at `point` times `vector`. */
void cohort_probe_problem_product(const cohort_probe_problem *problem, const void *point, const void *vector,
                                  void *product);

#endif
