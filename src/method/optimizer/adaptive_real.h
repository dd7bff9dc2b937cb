/* What Adam and its kin share: averages of the gradient and of its square, and the step made of both. A method says
 * what its decay joins and how the average of squares goes on. */
#ifndef COHORT_METHOD_OPTIMIZER_ADAPTIVE_REAL_H
#define COHORT_METHOD_OPTIMIZER_ADAPTIVE_REAL_H

#include <stdbool.h>

#include "method/optimizer/optimizer_real.h"

typedef struct cohort_adaptive {
  double beta1, beta2, epsilon;
  bool bias_correction; /* both averages are divided by 1 - beta^t */
  bool decoupled;       /* weight decay shrinks the parameter; else it joins the gradient */
} cohort_adaptive;

/* The next average of squares; `rest` = 1 - beta2. */
typedef real cohort_adaptive_second(real average, real square, real beta2, real rest);

/* beta2 v + (1 - beta2) g^2 */
static inline real cohort_adaptive_mean(real average, real square, real beta2, real rest) {
  return beta2 * average + rest * square;
}

typedef struct cohort_adaptive_constants {
  real keep, rate, beta1, rest1, beta2, rest2, root, epsilon, scale, decay;
} cohort_adaptive_constants;

static inline cohort_adaptive_constants cohort_adaptive_constants_of(const cohort_update *u,
                                                                     const cohort_adaptive *settings) {
  const double correction1 = settings->bias_correction ? 1 - pow(settings->beta1, (double)u->step) : 1;
  const double correction2 = settings->bias_correction ? 1 - pow(settings->beta2, (double)u->step) : 1;
  return (cohort_adaptive_constants){
      .keep = (real)(1 - u->learning_rate * u->weight_decay),
      .rate = (real)(u->learning_rate / correction1),
      .beta1 = (real)settings->beta1,
      .rest1 = (real)(1 - settings->beta1),
      .beta2 = (real)settings->beta2,
      .rest2 = (real)(1 - settings->beta2),
      .root = (real)(1 / sqrt(correction2)),
      .epsilon = (real)settings->epsilon,
      .scale = (real)u->gradient_scale,
      .decay = (real)u->weight_decay,
  };
}

/* `decoupled` and `next` are constants where this is inlined: one loop without a branch or a call. */
static inline __attribute__((always_inline)) void cohort_adaptive_range(int64_t n, const cohort_adaptive_constants *c,
                                                                        bool decoupled, cohort_adaptive_second *next,
                                                                        real *restrict w, const real *restrict gradient,
                                                                        real *restrict first, real *restrict second) {
  for (int64_t i = 0; i < n; i++) {
    const real g = decoupled ? c->scale * gradient[i] : c->scale * gradient[i] + c->decay * w[i];
    const real m = c->beta1 * first[i] + c->rest1 * g;
    const real v = next(second[i], g * g, c->beta2, c->rest2);
    const real step = c->rate * m / (COHORT_SQRT(v) * c->root + c->epsilon);
    first[i] = m;
    second[i] = v;
    w[i] = (decoupled ? c->keep * w[i] : w[i]) - step;
  }
}

/* One update of a range; state[0] is the average of the gradient, state[1] that of its square. */
static inline __attribute__((always_inline)) void cohort_adaptive_update(const cohort_update *u,
                                                                         cohort_adaptive settings,
                                                                         cohort_adaptive_second *next) {
  const cohort_adaptive_constants c = cohort_adaptive_constants_of(u, &settings);
  cohort_adaptive_range(u->elements, &c, settings.decoupled, next, u->parameters, u->gradient, u->state[0],
                        u->state[1]);
}

#endif
