/* bench_overhead: what the executor costs a node, as one JSON object: plans of many nodes of 8 elements, whose
 * arithmetic is nothing, alone (steps of one node) and as chains. The claim is at most 100 ns a node. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "graph/executor.h"

enum { NODES = 1000, ROUNDS = 300, ELEMENTS = 8 };

/* Nodes that no chain may hold, or additions that all do. */
static cohort_value build(cohort_graph *graph, bool fused) {
  const cohort_value x = cohort_graph_input(graph, "x", COHORT_TYPE_REAL, COHORT_SHAPE(ELEMENTS, 1));
  cohort_value y = x;
  for (int i = 0; i < NODES; i++) y = fused ? cohort_graph_add(graph, y, x) : cohort_graph_flip(graph, y, 1);
  return y;
}

/* The least nanoseconds a node over the rounds; below 0 when a plan could not be made. */
static double measure(bool fused) {
  cohort_graph *graph = cohort_graph_create();
  const cohort_plan_output output = {build(graph, fused), false};
  cohort_plan *plan = NULL;
  cohort_executor *executor = NULL;
  cohort_error error;
  double best = -1;
  void **memory = cohort_allocate((size_t)(output.value + 1) * sizeof *memory);
  float data[ELEMENTS] = {1};
  memory[cohort_graph_find_input(graph, "x")] = data;
  if (cohort_plan_create(graph, cohort_kernels_float32(cohort_processor_isa()), 1, &output, &plan, &error) ==
          COHORT_DONE &&
      cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &executor, &error) == COHORT_DONE) {
    const cohort_bindings bindings = {.memory = memory};
    for (int i = 0; i < ROUNDS; i++) {
      const double start = cohort_clock_seconds();
      cohort_executor_run(executor, plan, 0, 0, &bindings);
      const double seconds = cohort_clock_seconds() - start;
      if (best < 0 || seconds < best) best = seconds;
    }
  }
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  cohort_graph_destroy(graph);
  free(memory);
  return best < 0 ? best : best * 1e9 / NODES;
}

int main(void) {
  const double alone = measure(false), fused = measure(true);
  printf("{\"nanoseconds_per_step\": %.1f, \"nanoseconds_per_chained_node\": %.1f}\n", alone, fused);
  return alone >= 0 && fused >= 0 && alone <= 100 && fused <= 100 ? 0 : 1;
}
