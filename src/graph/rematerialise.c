/* Values that are cheap to make again are not kept through the backward sweep: what is read early and, much later,
 * again is made twice, when what it is made from is there anyway. The same kernel on the same numbers: the same bits.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planner.h"

enum {
  LONG_GAP = 16,              /* steps between two reads for which a value is not kept */
  SMALL_VALUE = 1 << 16,      /* bytes of a value that is always kept */
  WORTHWHILE_BYTES = 32 << 20 /* all of them together, or none is made again: small arenas stay in caches */
};

/* Of each root: the longest time between two uses. */
typedef struct gap {
  int latest; /* time of the latest use so far */
  int steps;
  int32_t reader; /* node after the gap, or -1 */
  bool kept;
} gap;

typedef struct remaking {
  const cohort_planner *own;
  gap *gap;             /* [values] */
  bool *again;          /* [nodes]: is made again */
  cohort_value *second; /* [values]: what late readers read instead */
  int nodes, values;    /* that are added */
  cohort_graph *graph;  /* the new one */
} remaking;

static bool is_cheap(cohort_op op) {
  return cohort_op_is_elementwise(op) || op == COHORT_OP_LAYER_NORM || op == COHORT_OP_RMS_NORM ||
         op == COHORT_OP_GROUP_NORM;
}

static void find_gaps(remaking *at) {
  const cohort_planner *own = at->own;
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++)
    at->gap[v] = (gap){own->time[graph->value[v].node], 0, -1, own->storage[v].asked};
  for (int i = 0; i < own->ordered; i++) {
    const int32_t n = own->order[i];
    for (int k = 0; k < graph->node[n].inputs; k++) {
      gap *of = &at->gap[own->root[graph->node[n].input[k]]];
      const int steps = own->time[n] - of->latest;
      if (steps > of->steps) {
        of->steps = steps;
        of->reader = n;
      }
      of->latest = own->time[n];
    }
  }
}

/* Late readers must read the value itself, no view of it, and lane operations keep what they read. */
static void find_kept(remaking *at) {
  const cohort_planner *own = at->own;
  const cohort_graph *graph = own->graph;
  for (int32_t n = 0; n < graph->nodes; n++) {
    const cohort_node *node = &graph->node[n];
    if (!own->needed[n] || cohort_op_is_view(node->op)) continue;
    for (int k = 0; k < node->inputs; k++) {
      const cohort_value root = own->root[node->input[k]];
      gap *of = &at->gap[root];
      if (of->reader < 0) continue;
      const bool late = own->time[n] >= own->time[of->reader];
      if (cohort_op_is_lane(node->op) || (late && node->input[k] != root)) of->kept = true;
    }
  }
}

/* There at the time without being kept for it. */
static bool is_there(const remaking *at, cohort_value value, int time) {
  const cohort_planner *own = at->own;
  const cohort_value root = own->root[value];
  const int32_t maker = own->graph->value[root].node;
  if (cohort_op_is_leaf(own->graph->node[maker].op)) return true;
  return !at->again[maker] && own->storage[root].last >= time;
}

static bool is_worth_it(const remaking *at, int32_t n) {
  const cohort_planner *own = at->own;
  const cohort_node *node = &own->graph->node[n];
  const gap *of = &at->gap[node->first];
  if (!own->needed[n] || !is_cheap(node->op) || of->kept || of->steps < LONG_GAP) return false;
  if (cohort_planner_bytes(own, node->first) < SMALL_VALUE || own->phase[of->reader] != own->phase[n]) return false;
  for (int k = 0; k < node->inputs; k++)
    if (!is_there(at, node->input[k], own->time[of->reader])) return false;
  for (int k = 0; k < node->outputs; k++)
    if (k > 0 && cohort_planner_bytes(own, node->first + k) >= cohort_planner_bytes(own, node->first)) return false;
  return true;
}

static size_t choose(remaking *at) {
  size_t bytes = 0;
  for (int32_t n = 0; n < at->own->graph->nodes; n++) {
    at->again[n] = is_worth_it(at, n);
    if (!at->again[n]) continue;
    at->nodes++;
    at->values += at->own->graph->node[n].outputs;
    bytes += cohort_planner_bytes(at->own, at->own->graph->node[n].first);
  }
  return bytes;
}

static void add_again(remaking *at, int32_t n) {
  cohort_graph *graph = at->graph;
  const cohort_node *node = &at->own->graph->node[n];
  cohort_node *copy = &graph->node[graph->nodes];
  *copy = *node;
  copy->first = graph->values;
  at->second[node->first] = graph->values;
  for (int k = 0; k < node->outputs; k++) {
    graph->value[graph->values] = at->own->graph->value[node->first + k];
    graph->value[graph->values++].node = graph->nodes;
  }
  graph->nodes++;
}

static void add_node(remaking *at, int32_t n) {
  cohort_graph *graph = at->graph;
  const cohort_graph *from = at->own->graph;
  cohort_node *node = &graph->node[graph->nodes];
  *node = from->node[n];
  for (int k = 0; k < node->inputs; k++)
    if (at->second[node->input[k]] != COHORT_NO_VALUE && at->own->needed[n])
      node->input[k] = at->second[node->input[k]];
  for (int k = 0; k < node->outputs; k++) graph->value[node->first + k].node = graph->nodes;
  graph->nodes++;
}

/* Nodes in their order, each second making just before its first reader. Names stay those of the graph. */
static void make_graph(remaking *at) {
  const cohort_graph *from = at->own->graph;
  cohort_graph *graph = at->graph = cohort_allocate(sizeof *graph);
  graph->node = cohort_allocate((size_t)(from->nodes + at->nodes) * sizeof *graph->node);
  graph->value = cohort_allocate((size_t)(from->values + at->values) * sizeof *graph->value);
  memcpy(graph->value, from->value, (size_t)from->values * sizeof *graph->value);
  graph->values = from->values;
  graph->lanes = from->lanes;
  graph->extents = from->extents;
  memcpy(graph->extent, from->extent, sizeof graph->extent);
  for (cohort_value v = 0; v < from->values; v++) at->second[v] = COHORT_NO_VALUE;
  for (int32_t n = 0; n < from->nodes; n++) {
    for (int k = 0; k < from->node[n].inputs; k++) {
      const cohort_value value = from->node[n].input[k];
      const int32_t maker = from->value[value].node;
      if (at->again[maker] && from->node[maker].first == value && at->gap[value].reader == n &&
          at->second[value] == COHORT_NO_VALUE)
        add_again(at, maker);
    }
    add_node(at, n);
  }
}

cohort_graph *cohort_planner_rematerialise(const cohort_planner *own) {
  const size_t nodes = (size_t)own->graph->nodes + 1, values = (size_t)own->graph->values + 1;
  remaking at = {.own = own,
                 .gap = cohort_allocate(values * sizeof *at.gap),
                 .again = cohort_allocate(nodes * sizeof *at.again),
                 .second = cohort_allocate(values * sizeof *at.second)};
  find_gaps(&at);
  find_kept(&at);
  if (choose(&at) >= WORTHWHILE_BYTES) make_graph(&at);
  free(at.gap);
  free(at.again);
  free(at.second);
  return at.graph;
}

void cohort_planner_release_graph(cohort_graph *graph) {
  if (!graph) return;
  free(graph->node);
  free(graph->value);
  free(graph);
}
