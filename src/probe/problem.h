/* The problems that optimizers are given as arrays: a quadratic or a logistic regression over all tensors, one after
 * another. Values are computed in float64 and handed over in the probe's type. */
#ifndef COHORT_PROBE_PROBLEM_H
#define COHORT_PROBE_PROBLEM_H

#include "probe/engine.h"

typedef struct cohort_probe_problem {
  const cohort_probe_state *probe;
  const cohort_space *space;
  const cohort_array *A, *b;  /* loss w'Aw/2 - b'w, or NULL */
  const cohort_array *x, *y;  /* loss mean of log(1 + exp(-s w'x)), s = 2y - 1 */
  const cohort_array *batch;  /* [steps, rows]: the samples of each step; NULL: all */
  const cohort_array *labels; /* [steps, rows]: what the model draws as labels; NULL: they are drawn */
  cohort_random_key key;      /* of labels */
  int64_t n, samples, step;   /* n = 0: no problem is given; step: from 0, the one whose batch is meant */
  double *point, *out, *vector;
} cohort_probe_problem;

void cohort_probe_problem_create(cohort_probe_state *probe, const cohort_space *space, cohort_probe_problem *out);
/* All take flat vectors of the space's layout. */
double cohort_probe_problem_loss(const cohort_probe_problem *problem, const void *point);
/* `clip` above 0: every sample's gradient is scaled to this norm at most (logistic problems). `labels`: at labels drawn
 * from the model instead of y (logistic problems). */
void cohort_probe_problem_gradient(const cohort_probe_problem *problem, const void *point, double clip, bool labels,
                                   void *gradient);
/* The mean divergence of the labels' distribution at `point` from that at `before`; of a quadratic, of Gaussians with
 * precision A. */
double cohort_probe_problem_divergence(const cohort_probe_problem *problem, const void *point, const void *before);
/* Hessian at `point` times `vector`: here Fisher's matrix too. */
void cohort_probe_problem_product(const cohort_probe_problem *problem, const void *point, const void *vector,
                                  void *product);

#endif
