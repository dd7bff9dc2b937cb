/* Lane operations: what crosses lanes between two phases. Every rank copies its lanes' values into one buffer, all
 * ranks gather it, each reduces it along the tree of lanes and copies the results back; so the bits are those of one
 * rank. Costs lanes x elements of memory and of exchange on every rank: values that cross lanes are meant to be small.
 */
#include "lane/exchange.h"

#include <string.h>

static size_t largest_exchange(const cohort_lane_graph *graph, int phase) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  const int count = cohort_plan_lane_operations(graph->plan, phase, operation, COHORT_MAX_LANE_OPERATIONS);
  size_t largest = 0;
  for (int i = 0; i < count; i++) {
    const size_t bytes = (size_t)operation[i].input_elements * (size_t)graph->options.lanes * sizeof(float);
    if (bytes > largest) largest = bytes;
  }
  return largest;
}

size_t cohort_lane_graph_exchange_bytes(const cohort_lane_graph *graph) {
  size_t largest = 0;
  for (int phase = 0; phase + 1 < cohort_plan_phases(graph->plan); phase++) {
    const size_t bytes = largest_exchange(graph, phase);
    if (bytes > largest) largest = bytes;
  }
  return largest;
}

/* Leaves the result of a SUM, MAX or TAKE over lanes in the first lane's row. */
static void reduce_rows(const cohort_lane_operation *operation, int lanes, float *rows) {
  const int64_t n = operation->input_elements;
  if (operation->op == COHORT_OP_LANE_MAX) {
    for (int lane = 1; lane < lanes; lane++)
      for (int64_t e = 0; e < n; e++)
        if (rows[lane * n + e] > rows[e]) rows[e] = rows[lane * n + e];
    return;
  }
  const float *row[COHORT_MAX_LANES];
  cohort_subtree node[COHORT_MAX_LANES];
  for (int lane = 0; lane < lanes; lane++) {
    row[lane] = rows + lane * n;
    node[lane] = (cohort_subtree){0, lane};
  }
  cohort_lanes_sum_float(lanes, cohort_lanes_root(lanes), lanes, node, row, n, rows);
}

void cohort_lane_graph_exchange(const cohort_lane_graph *graph, const cohort_lane_engine *engine, cohort_comm *comm,
                                cohort_lane_context *contexts, int phase, void *buffer) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  const int count = cohort_plan_lane_operations(graph->plan, phase, operation, COHORT_MAX_LANE_OPERATIONS);
  const int lanes = graph->options.lanes;
  size_t offsets[COHORT_MAX_LANES], bytes[COHORT_MAX_LANES];
  int first, last;
  cohort_lane_engine_own(engine, &first, &last);
  for (int i = 0; i < count; i++) {
    const cohort_lane_operation *own = &operation[i];
    const size_t row_bytes = (size_t)own->input_elements * sizeof(float);
    float *rows = buffer;
    for (int lane = first; lane < last; lane++) {
      int executor, slot;
      cohort_lane_engine_place(engine, lane, &executor, &slot);
      const cohort_bindings bindings = {contexts[executor].memory, {{0, 0}}};
      memcpy(rows + lane * own->input_elements,
             cohort_executor_value(contexts[executor].executor, graph->plan, slot, own->input, &bindings), row_bytes);
    }
    for (int r = 0; r < comm->size; r++) {
      int begin, end;
      cohort_lanes_of(lanes, comm->size, r, &begin, &end);
      offsets[r] = (size_t)begin * row_bytes;
      bytes[r] = (size_t)(end - begin) * row_bytes;
    }
    cohort_comm_gather_all(comm, rows, offsets, bytes);
    if (own->op != COHORT_OP_LANE_GATHER) reduce_rows(own, lanes, rows);
    for (int lane = first; lane < last; lane++) {
      int executor, slot;
      cohort_lane_engine_place(engine, lane, &executor, &slot);
      const cohort_bindings bindings = {contexts[executor].memory, {{0, 0}}};
      const float *from = own->op == COHORT_OP_LANE_TAKE ? rows + lane * own->output_elements : rows;
      memcpy(cohort_executor_value(contexts[executor].executor, graph->plan, slot, own->output, &bindings), from,
             (size_t)own->output_elements * sizeof(float));
    }
  }
}
