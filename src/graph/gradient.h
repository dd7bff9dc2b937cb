/* Reverse-mode differentiation as a transform from graph to graph: it adds nodes made of the same operations, so it can
 * be applied again (Hessian-vector products, gradient penalties). Nodes that the loss does not need get nothing. */
#ifndef COHORT_GRAPH_GRADIENT_H
#define COHORT_GRAPH_GRADIENT_H

#include "graph/graph.h"

/* The most losses of a graph that are differentiated one by one. */
enum { COHORT_MAX_OBJECTIVES = 16 };

/* gradients[i] becomes the gradient of sum(of * cotangent) with respect to wrt[i], of its shape (zeros when
 * independent): a value of its own, different from all others, so that it can be an external output of a plan. Across
 * lanes it is the gradient of the sum of all lanes' losses with respect to this lane's copy of wrt[i]. cotangent
 * COHORT_NO_VALUE: ones, `of` usually a scalar. Operations without a derivative of their backward (the fused ones) must
 * be decomposed first when the result is to be differentiated again. */
void cohort_graph_gradient(cohort_graph *graph, cohort_value of, cohort_value cotangent, int count,
                           const cohort_value *wrt, cohort_value *gradients);

/* Hessian-vector product: products[i] = d/d wrt[i] of sum_j <gradients[j], directions[j]>, the gradients being those of
 * one loss by all of wrt. The graph must be free of operations that cannot be differentiated twice (graph/decompose.h).
 */
void cohort_graph_hessian_product(cohort_graph *graph, int count, const cohort_value *gradients,
                                  const cohort_value *wrt, const cohort_value *directions, cohort_value *products);

#endif
