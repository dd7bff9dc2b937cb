/* Family loss: per-sample losses as a graph. The task weights them and divides by an integer count. */
#ifndef COHORT_METHOD_LOSS_LOSS_H
#define COHORT_METHOD_LOSS_LOSS_H

#include "graph/graph.h"
#include "method/method.h"

typedef enum { COHORT_TARGET_CLASS, COHORT_TARGET_REAL } cohort_target;

typedef struct cohort_loss {
  cohort_target target;
  /* input [R, C] (class target: logits; target integer [R], negative: ignored, loss 0), or input and target real [R,
   * C]. Returns the loss of each row [R]. */
  cohort_value (*build)(const void *config, cohort_graph *graph, cohort_value input, cohort_value target);
  /* The same over the vocabulary head's outputs, so that no logits are kept; NULL: the task makes logits and calls
   * build. */
  cohort_value (*build_head)(const void *config, cohort_graph *graph, const cohort_head_outputs *head,
                             cohort_value target);
} cohort_loss;

#endif
