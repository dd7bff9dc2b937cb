/* Replaces fused operations by the small operations that define them: the oracle of the fused kernels, and what a
 * second derivative needs. Memory is not spared (attention makes its score matrix). */
#ifndef COHORT_GRAPH_DECOMPOSE_H
#define COHORT_GRAPH_DECOMPOSE_H

#include "graph/graph.h"

typedef enum {
  COHORT_DECOMPOSE_ALL,
  COHORT_DECOMPOSE_FOR_TWO, /* those that cannot be differentiated twice as they are */
} cohort_decompose_which;

/* A new graph with the same parameters (same order), inputs and lanes. map[v] is the new value of old value v; map has
 * room for cohort_graph_values(graph) entries, or is NULL. Fused backward operations become the
 * derivative of their forward's definition. */
cohort_graph *cohort_graph_decompose(const cohort_graph *graph, cohort_decompose_which which, cohort_value *map);
int32_t cohort_graph_values(const cohort_graph *graph);

#endif
