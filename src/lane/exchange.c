/* Lane operations: what crosses lanes between two phases. Every rank copies its lanes' values into one buffer, all
 * ranks gather it, each reduces it along the tree of lanes and copies the results back; so the bits are those of one
 * rank. Costs lanes x elements of memory and of exchange on every rank: values that cross lanes are meant to be small.
 */
#include "lane/exchange.h"

#include <string.h>

/* The operations of a phase, and where the rows of the first begin in the buffer, in floats. */
static int list_operations(const cohort_lane_graph *graph, int phase, cohort_lane_operation *operation,
                           int64_t *place) {
  *place = 0;
  for (int before = 0; before < phase; before++) {
    const int count = cohort_plan_lane_operations(graph->plan, before, operation, COHORT_MAX_LANE_OPERATIONS);
    for (int i = 0; i < count; i++) *place += operation[i].input_elements * graph->options.lanes;
  }
  return cohort_plan_lane_operations(graph->plan, phase, operation, COHORT_MAX_LANE_OPERATIONS);
}

size_t cohort_lane_graph_exchange_bytes(const cohort_lane_graph *graph) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  int64_t elements = 0;
  (void)list_operations(graph, cohort_plan_phases(graph->plan) - 1, operation, &elements);
  return (size_t)elements * sizeof(float);
}

bool cohort_lane_graph_crosses(const cohort_lane_graph *graph, int phase) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  return phase + 1 < cohort_plan_phases(graph->plan) &&
         cohort_plan_lane_operations(graph->plan, phase, operation, COHORT_MAX_LANE_OPERATIONS) > 0;
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

static void *value_of(const cohort_lane_graph *graph, const cohort_lane_context *context, int slot,
                      cohort_value value) {
  const cohort_bindings bindings = {context->memory, {{0, 0}}, NULL};
  return cohort_executor_value(context->executor, graph->plan, slot, value, &bindings);
}

void cohort_lane_graph_put(const cohort_lane_graph *graph, const cohort_lane_context *context, int slot, int lane,
                           int phase, void *buffer) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  int64_t place;
  const int count = list_operations(graph, phase, operation, &place);
  for (int i = 0; i < count; i++) {
    const int64_t n = operation[i].input_elements;
    memcpy((float *)buffer + place + lane * n, value_of(graph, context, slot, operation[i].input),
           (size_t)n * sizeof(float));
    place += n * graph->options.lanes;
  }
}

void cohort_lane_graph_join(const cohort_lane_graph *graph, cohort_comm *comm, int phase, void *buffer) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  size_t offsets[COHORT_MAX_LANES], bytes[COHORT_MAX_LANES];
  const int lanes = graph->options.lanes;
  int64_t place;
  const int count = list_operations(graph, phase, operation, &place);
  for (int i = 0; i < count; i++) {
    const size_t row_bytes = (size_t)operation[i].input_elements * sizeof(float);
    float *rows = (float *)buffer + place;
    for (int r = 0; r < comm->size; r++) {
      int begin, end;
      cohort_lanes_of(lanes, comm->size, r, &begin, &end);
      offsets[r] = (size_t)begin * row_bytes;
      bytes[r] = (size_t)(end - begin) * row_bytes;
    }
    cohort_comm_gather_all(comm, rows, offsets, bytes);
    if (operation[i].op != COHORT_OP_LANE_GATHER) reduce_rows(&operation[i], lanes, rows);
    place += operation[i].input_elements * lanes;
  }
}

void cohort_lane_graph_take(const cohort_lane_graph *graph, const cohort_lane_context *context, int slot, int lane,
                            int phase, const void *buffer) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  int64_t place;
  const int count = list_operations(graph, phase, operation, &place);
  for (int i = 0; i < count; i++) {
    const int64_t n = operation[i].output_elements;
    const float *rows = (const float *)buffer + place;
    memcpy(value_of(graph, context, slot, operation[i].output),
           operation[i].op == COHORT_OP_LANE_TAKE ? rows + lane * n : rows, (size_t)n * sizeof(float));
    place += operation[i].input_elements * graph->options.lanes;
  }
}

/* A context's bindings of values that cross are those of any of its lanes: they lie in the slots' arenas. */
void cohort_lane_graph_exchange(const cohort_lane_graph *graph, const cohort_lane_engine *engine, cohort_comm *comm,
                                cohort_lane_context *contexts, int phase, void *buffer) {
  if (!cohort_lane_graph_crosses(graph, phase)) return;
  int first, last, executor, slot;
  cohort_lane_engine_own(engine, &first, &last);
  for (int lane = first; lane < last; lane++) {
    cohort_lane_engine_place(engine, lane, &executor, &slot);
    cohort_lane_graph_put(graph, &contexts[executor], slot, lane, phase, buffer);
  }
  cohort_lane_graph_join(graph, comm, phase, buffer);
  for (int lane = first; lane < last; lane++) {
    cohort_lane_engine_place(engine, lane, &executor, &slot);
    cohort_lane_graph_take(graph, &contexts[executor], slot, lane, phase, buffer);
  }
}
