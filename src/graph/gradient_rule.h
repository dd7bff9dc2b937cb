/* The derivative of one node: what a rule is given and where it puts its results. */
#ifndef COHORT_GRAPH_GRADIENT_RULE_H
#define COHORT_GRAPH_GRADIENT_RULE_H

#include "graph/node.h"

typedef struct cohort_rule {
  cohort_graph *graph;
  cohort_node node;                    /* a copy: the graph grows meanwhile */
  cohort_value y[COHORT_MAX_OUTPUTS];  /* outputs */
  cohort_value dy[COHORT_MAX_OUTPUTS]; /* their cotangents, COHORT_NO_VALUE when none */
  bool wanted[COHORT_MAX_INPUTS];      /* inputs whose cotangent is of use */
  cohort_value dx[COHORT_MAX_INPUTS];  /* result, COHORT_NO_VALUE: nothing; of the input's shape */
} cohort_rule;

typedef void (*cohort_rule_function)(cohort_rule *rule);

/* The rule of an operation; NULL: it has no derivative and passes nothing on. */
cohort_rule_function cohort_rule_elementwise(cohort_op op);
cohort_rule_function cohort_rule_movement(cohort_op op); /* and reductions */
cohort_rule_function cohort_rule_indexing(cohort_op op); /* and products, images */
cohort_rule_function cohort_rule_lanes(cohort_op op);
cohort_rule_function cohort_rule_fused(cohort_op op); /* and random rows */

static inline cohort_shape cohort_rule_shape(const cohort_rule *rule, int input) {
  return cohort_graph_shape(rule->graph, rule->node.input[input]);
}

/* A cotangent that may be broader than the input: summed down to it. */
static inline void cohort_rule_give(cohort_rule *rule, int input, cohort_value cotangent) {
  rule->dx[input] = cohort_graph_sum_to(rule->graph, cotangent, cohort_rule_shape(rule, input));
}

/* Cotangent `output`, zeros when there is none. */
static inline cohort_value cohort_rule_cotangent(const cohort_rule *rule, int output) {
  if (rule->dy[output] != COHORT_NO_VALUE) return rule->dy[output];
  return cohort_graph_broadcast(rule->graph, cohort_graph_constant(rule->graph, 0),
                                cohort_graph_shape(rule->graph, rule->y[output]));
}

#endif
