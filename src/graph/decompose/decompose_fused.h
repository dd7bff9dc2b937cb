/* The definition of each fused operation by small ones. */
#ifndef COHORT_GRAPH_DECOMPOSE_FUSED_H
#define COHORT_GRAPH_DECOMPOSE_FUSED_H

#include "graph/node.h"

/* Builds what `node` computes from `input` and sets its outputs; false when it is a small operation already. */
bool cohort_decompose_node(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                           cohort_value *output);

/* Of a fused backward operation; false when it is none. */
bool cohort_decompose_backward(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                               cohort_value *output);
/* Attention and the vocabulary. */
void cohort_decompose_attention(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                                cohort_value *output);
void cohort_decompose_cross_entropy(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                                    cohort_value *output);
void cohort_decompose_head(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                           cohort_value *output);
void cohort_decompose_divergence(cohort_graph *graph, const cohort_node *node, const cohort_value *input,
                                 cohort_value *output);

#endif
