/* Family optimizer: updates (pure, over ranges) and drivers (they ask, then call a base update).
 *
 * An update's file is numeric: it includes "method/optimizer/optimizer_real.h" and is compiled per type and instruction
 * set. Every optimizer has a parameter learning_rate; weight_decay when it decays. The core multiplies the learning
 * rate by schedule and group and hands decay 0 to tensors that are not decayed, so an update uses only what is in
 * cohort_update. */
#ifndef COHORT_METHOD_OPTIMIZER_OPTIMIZER_H
#define COHORT_METHOD_OPTIMIZER_OPTIMIZER_H

#include "base/team.h"
#include "kernel/kernel.h"
#include "method/method.h"

enum { COHORT_MAX_STATES = 8 };

/* One range of one tensor: a piece (cut element), whole rows, or the whole tensor. All pointers are real * of the
 * variant. */
typedef struct cohort_update {
  const void *config;
  int64_t step; /* this step's number, from 1 */
  double learning_rate, weight_decay;
  double gradient_scale;   /* from clipping: the true gradient is gradient_scale * gradient */
  cohort_shape shape;      /* of the tensor */
  int64_t first, elements; /* the range inside the tensor */
  void *parameters;
  const void *gradient;
  const void *curvature; /* COHORT_NEEDS_CURVATURE, else NULL: z * (H z) */
  void *
      state[COHORT_MAX_STATES]; /* in the order of the descriptor; element states at the range, others at their start */
  void *workspace;              /* cohort_optimizer.workspace(shape) elements of real */
  const cohort_kernel_set *kernels; /* for products */
  const cohort_team *team;
} cohort_update;

/* What a driver may do. Vectors are numbers: points to evaluate at, gradients; all ranks call in the same order. */
enum {
  COHORT_VECTOR_WEIGHTS = 0,
  COHORT_VECTOR_GRADIENT = 1,
  COHORT_VECTOR_SHADOW = 2 /* , 3, ...: declared shadows */
};
typedef struct cohort_driver {
  const void *config;
  int64_t step;
  void *implementation;
  /* Evaluates the step's own batch at `point` (WEIGHTS or a shadow): the gradient goes to `gradient` (GRADIENT or a
   * shadow). The loss that is reported is that of the first call. */
  cohort_status (*ask)(struct cohort_driver *driver, int point, int gradient, cohort_error *error);
  double (*dot)(struct cohort_driver *driver, int a, int b);
  /* out = alpha a + beta b */
  void (*combine)(struct cohort_driver *driver, int out, double alpha, int a, double beta, int b);
  /* The base update at the weights with this gradient (clipping and decay are the core's). */
  cohort_status (*update)(struct cohort_driver *driver, int gradient, cohort_error *error);
} cohort_driver;

typedef struct cohort_optimizer {
  void (*update)(const cohort_update *update);                        /* NULL for a driver */
  cohort_status (*drive)(cohort_driver *driver, cohort_error *error); /* NULL for an update */
  int asks, shadows;                        /* of a driver: evaluations a step, vectors that it needs */
  int64_t (*workspace)(cohort_shape shape); /* elements; NULL: none */
  double (*cost)(cohort_shape shape);       /* FLOPs, to deal whole tensors; NULL: elements */
} cohort_optimizer;
/* A driver's config has a METHOD parameter `base` of family optimizer. */

#endif
