/* Conjugate gradients on products that are asked for: (M + damping) x = b, what newtoncg and trpo share. A product and
 * two exchanges an iteration. */
#ifndef COHORT_METHOD_OPTIMIZER_CONJUGATE_GRADIENTS_H
#define COHORT_METHOD_OPTIMIZER_CONJUGATE_GRADIENTS_H

#include "method/optimizer/optimizer.h"

typedef struct cohort_conjugate_gradients {
  cohort_question question; /* its direction and product are two vectors to work in */
  int residual;             /* holds b; then what is left of it */
  int solution;             /* receives x */
  double damping;
  double enough; /* square of a residual that ends it */
  int64_t iterations;
} cohort_conjugate_gradients;

/* M plus damping times the direction; *bend: along it. */
static inline cohort_status cohort_conjugate_gradients_multiply(cohort_driver *driver,
                                                                const cohort_conjugate_gradients *own, double *bend,
                                                                cohort_error *error) {
  const int direction = own->question.direction, product = own->question.product;
  cohort_answer ignored;
  COHORT_TRY(driver->call->ask(driver, &own->question, &ignored, error));
  if (own->damping > 0) driver->call->combine(driver, product, 1, product, own->damping, direction);
  driver->call->dots(driver, 1, &direction, &product, bend);
  return COHORT_DONE;
}

/* From 0; `square` is that of b. It ends at a direction that curves the wrong way, with what there is so far, or b. */
static inline cohort_status cohort_conjugate_gradients_solve(cohort_driver *driver,
                                                             const cohort_conjugate_gradients *own, double square,
                                                             cohort_error *error) {
  const int direction = own->question.direction, product = own->question.product;
  double bend, next;
  driver->call->copy(driver, direction, own->residual);
  driver->call->fill(driver, COHORT_FILL_VALUE, own->solution, NULL, 0);
  for (int64_t i = 0; i < own->iterations && square > own->enough; i++) {
    COHORT_TRY(cohort_conjugate_gradients_multiply(driver, own, &bend, error));
    if (!(bend > 0)) {
      if (i == 0) driver->call->copy(driver, own->solution, direction);
      break;
    }
    driver->call->combine(driver, own->solution, 1, own->solution, square / bend, direction);
    driver->call->combine(driver, own->residual, 1, own->residual, -square / bend, product);
    driver->call->dots(driver, 1, &own->residual, &own->residual, &next);
    driver->call->combine(driver, direction, 1, own->residual, next / square, direction);
    square = next;
  }
  return COHORT_DONE;
}

#endif
