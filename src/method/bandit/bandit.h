/* Family bandit: who pulls one of several arms, round after round, and learns from the reward of that arm alone. A
 * round shows a context, a row of features, before the choice.
 *
 * Intended usage: `begin` once; then every round `score`, pull the arm of cohort_bandit_choose, `learn`. All numbers
 * are float64. What a method knows lies in one array of `state` numbers, which the caller holds: a problem, a replay of
 * logged rounds, a file of `probe`.
 *
 * To add a method: copy template.c, fill the descriptor, write the four functions. */
#ifndef COHORT_METHOD_BANDIT_BANDIT_H
#define COHORT_METHOD_BANDIT_BANDIT_H

#include "method/method.h"

typedef struct cohort_bandit_size {
  int64_t arms, features;
} cohort_bandit_size;

typedef struct cohort_bandit {
  int64_t (*state)(cohort_bandit_size size); /* numbers, scratch included */
  void (*begin)(const void *config, cohort_bandit_size size, double *state);
  /* score[arms], finite: the arm of the largest is pulled. Of the state it may write scratch alone. */
  void (*score)(const void *config, cohort_bandit_size size, const double *context, double *state, double *score);
  void (*learn)(const void *config, cohort_bandit_size size, const double *context, int64_t arm, double reward,
                double *state);
} cohort_bandit;

/* The arm of the largest score, the first of equal ones. */
int64_t cohort_bandit_choose(int64_t arms, const double *score);

#endif
