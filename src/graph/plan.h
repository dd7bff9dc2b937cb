/* A plan: the nodes that some outputs need, in order, cut into phases at lane operations, with an offset in one arena
 * for every value. A plan holds offsets, not pointers, so executors share it read-only. Views cost nothing; a value
 * lives from its node to its last reader, also across phases: each lane has an arena of its own. Outputs, and what goes
 * into and comes out of lane operations, live to the end. */
#ifndef COHORT_GRAPH_PLAN_H
#define COHORT_GRAPH_PLAN_H

#include "graph/graph.h"
#include "kernel/kernel.h"

typedef struct cohort_plan cohort_plan;

/* What must be computed. An output may be `external`: its kernel writes to memory that the caller binds (gradients go
 * straight into the gradient vector); others lie in the arena and are read with cohort_executor_value. External memory
 * is written in the last phase alone and need not be bound before, until the plan is cut (cut.h); one output must not
 * be asked for twice with different memory: values that cohort_graph_gradient returns are distinct for that reason. */
typedef struct cohort_plan_output {
  cohort_value value;
  bool external;
} cohort_plan_output;

/* The graph may be destroyed afterwards. Also keeps every input and parameter that is needed, by value. */
cohort_status cohort_plan_create(const cohort_graph *graph, const cohort_kernel_set *kernels, int outputs,
                                 const cohort_plan_output *output, cohort_plan **out, cohort_error *error);
void cohort_plan_destroy(cohort_plan *plan);

size_t cohort_plan_arena_bytes(const cohort_plan *plan); /* of one lane */
int cohort_plan_phases(const cohort_plan *plan);         /* 1 when there is no lane operation */
int cohort_plan_extents(const cohort_plan *plan);        /* that runs may shorten: the graph's, or 0 */
/* How many of a value's elements a run with these extents (cohort_bindings.extent) makes. */
int64_t cohort_plan_elements(const cohort_plan *plan, cohort_value value, int64_t elements, const int64_t *extent);
int cohort_plan_nodes(const cohort_plan *plan);    /* its steps: elementwise nodes may run as one */
double cohort_plan_flops(const cohort_plan *plan); /* products of one run of all phases */
/* Step `step` of a plan, 0 <= step < cohort_plan_nodes, as it stands in the plan's order. */
typedef struct cohort_plan_step {
  const char *name; /* of the node; the plan's */
  cohort_op op;
  bool backward; /* made by the gradient transform */
  double flops;  /* of products in one call */
  double bytes;  /* of inputs and outputs of one call */
} cohort_plan_step;
cohort_plan_step cohort_plan_step_at(const cohort_plan *plan, int step);
/* A line per step and event: phase, name, operation, shape, offset; for people. Owned by the caller (free). */
char *cohort_plan_describe(const cohort_plan *plan);

#endif
