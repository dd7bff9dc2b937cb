/* The clients of a federated run: who holds which training samples. */
#ifndef COHORT_TRAIN_ENGINE_POPULATION_H
#define COHORT_TRAIN_ENGINE_POPULATION_H

#include "base/random.h"

typedef struct cohort_population {
  int64_t clients;
  int64_t *first;  /* [clients + 1]: where a client's samples begin in `sample` */
  int32_t *sample; /* numbers of training samples, ascending within a class */
  int64_t largest; /* samples of the largest client */
} cohort_population;

/* Shares out `samples` over the clients: for each class, proportions over clients drawn from Dirichlet(alpha) (Hsu, Qi
 * & Brown 2019, latent Dirichlet allocation over labels); alpha 0 or labels NULL: equal shares of a permutation. A
 * client left without any sample takes one from the largest. */
void cohort_population_create(int64_t clients, int64_t samples, const int32_t *labels, double alpha,
                              cohort_random_key key, cohort_population *out);
void cohort_population_release(cohort_population *population);

#endif
