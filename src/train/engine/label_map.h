/* Which labels the clients of a federation hold, as a map that stays readable for thousands of them. */
#ifndef COHORT_TRAIN_ENGINE_LABEL_MAP_H
#define COHORT_TRAIN_ENGINE_LABEL_MAP_H

#include <stdbool.h>

#include "train/engine/population.h"

typedef struct cohort_label_map {
  int64_t clients, labels;
  int rows, columns;                      /* of the map */
  int64_t labels_a_row, clients_a_column; /* neighbours share one where there are many; the last has fewer */
  bool ordered;    /* clients stand in the order of their commonest label, then of its share; else of their numbers */
  double *share;   /* [rows][columns]: of the samples of a column's clients */
  double *samples; /* [columns]: of a client, on average */
} cohort_label_map;

/* labels[sample] >= 0. */
void cohort_label_map_create(const cohort_population *population, const int32_t *labels, cohort_label_map *out);
void cohort_label_map_release(cohort_label_map *map);

#endif
