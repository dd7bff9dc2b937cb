/* How the lanes of a plan run whose values cross: together, phase by phase, in the memory of all of them; or one after
 * another, from the start again for every exchange, in the memory of one. Invariant: the same plan on the same numbers,
 * so the same bits. The second costs the passes up to each exchange once more, and room for gradients that such a pass
 * writes on its way. */
#include <stdlib.h>

#include "base/memory.h"
#include "train/run/state.h"

static bool comes_and_goes(const cohort_run *run, const cohort_lane_graph *graph) {
  return graph->options.gradients ? run->sharding >= COHORT_SHARDING_GRADIENTS
                                  : run->sharding >= COHORT_SHARDING_PARAMETERS;
}

bool cohort_run_recomputes(const cohort_run *run, const cohort_lane_graph *graph) {
  return run->settings->coupling == COHORT_COUPLING_RECOMPUTE && cohort_lane_graph_lockstep(graph) &&
         !comes_and_goes(run, graph);
}

bool cohort_run_lockstep(const cohort_run *run, const cohort_lane_graph *graph) {
  return comes_and_goes(run, graph) || (cohort_lane_graph_lockstep(graph) && !cohort_run_recomputes(run, graph));
}

/* Where a pass that is run again leaves gradients that nobody reads. */
cohort_status cohort_run_make_spare(cohort_run *run, int graphs, cohort_lane_graph *const *graph, int executors,
                                    cohort_error *error) {
  const cohort_space_layout *layout = run->spaces.layout;
  for (int g = 0; g < graphs; g++) {
    if (!graph[g]->options.gradients) continue;
    if (run->settings->coupling == COHORT_COUPLING_RECOMPUTE && graph[g] == run->train && comes_and_goes(run, graph[g]))
      cohort_log_warning(run->log,
                         "coupling: recompute has no effect while gradients are sharded: the lanes run together");
    if (!cohort_run_recomputes(run, graph[g])) continue;
    const int64_t vectors = graph[g]->vectors + graph[g]->options.hessian_product;
    if (vectors > run->spare_vectors) run->spare_vectors = vectors;
  }
  if (!run->spare_vectors) return COHORT_DONE;
  run->spare_place = cohort_allocate((size_t)(layout->shards->buckets + 1) * sizeof *run->spare_place);
  for (int b = 0; b < layout->shards->buckets; b++) run->spare_place[b] = layout->shards->bucket[b].offset;
  void *memory = NULL;
  COHORT_TRY(
      cohort_memory_create((size_t)(executors * run->spare_vectors * cohort_space_layout_row(layout)) * sizeof(float),
                           "gradients of passes that are run again", &memory, error));
  run->spare = memory;
  return COHORT_DONE;
}
