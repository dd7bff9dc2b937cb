/* Family similarity, of the tests alone: how alike two vectors are. It shows what a new family takes: this folder. */
#ifndef COHORT_METHOD_SIMILARITY_SIMILARITY_H
#define COHORT_METHOD_SIMILARITY_SIMILARITY_H

#include "method/method.h"

typedef struct cohort_similarity {
  double (*compare)(const void *config, int64_t n, const double *a, const double *b);
} cohort_similarity;

#endif
