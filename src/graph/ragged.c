/* Ragged rows: which values have the rows of an extent, so that a run may compute fewer than were planned. Invariant: a
 * value that has them is read as far as they are in use alone, and what is in use depends on nothing beyond. Where a
 * node does something else with rows (moves them, sends them across lanes), no run of the plan is shortened. A few
 * passes over the nodes, once a plan. */
#include <stdlib.h>

#include "base/memory.h"
#include "graph/planner.h"

/* What of a node follows the extent: bits of inputs and outputs. */
typedef struct ragged {
  unsigned inputs, outputs;
  bool fits;
} ragged;

static const ragged unfit = {0, 0, false};

typedef struct finder {
  const cohort_planner *own;
  uint8_t *extent; /* [values] */
} finder;

static cohort_shape shape_of(const finder *at, cohort_value value) { return at->own->graph->value[value].shape; }

/* Whether its first axis is made of the extent's rows, as far as its size tells. */
static bool leads(const finder *at, cohort_value value, int extent) {
  const cohort_shape shape = shape_of(at, value);
  const int64_t most = at->own->graph->extent[extent - 1].most;
  return shape.axes > 0 && shape.size[0] >= most && shape.size[0] % most == 0;
}

static unsigned all(int count) { return (1U << count) - 1; }

/* Inputs along the output's first axis follow; others are read for every row. */
static ragged elementwise(const finder *at, const cohort_node *node) {
  const cohort_shape out = shape_of(at, node->first);
  ragged what = {0, all(node->outputs), true};
  for (int i = 0; i < node->inputs; i++) {
    const cohort_shape in = shape_of(at, node->input[i]);
    if (in.axes == out.axes && in.size[0] == out.size[0]) what.inputs |= 1U << i;
  }
  return what;
}

static ragged along_axis(const cohort_node *node, bool rows) {
  return rows ? unfit : (ragged){all(node->inputs), 1, true};
}

static ragged product(const finder *at, const cohort_node *node) {
  const cohort_shape a = shape_of(at, node->input[0]), b = shape_of(at, node->input[1]);
  const bool transposed_a = node->attributes.integers[0], flat = b.axes == 2;
  const bool a_has = at->extent[node->input[0]], b_has = at->extent[node->input[1]];
  if (!flat) return a.axes == b.axes ? (ragged){3, 1, true} : unfit; /* rows are the batch */
  if (transposed_a) return a.axes == 2 && !node->attributes.integers[1] ? (ragged){3, 0, true} : unfit;
  return a_has && !b_has ? (ragged){1, 1, true} : unfit;
}

static ragged gather(const finder *at, const cohort_node *node) {
  if (at->extent[node->input[1]]) return (ragged){2, 1, true};
  return (ragged){0, 0, true}; /* some rows by their numbers */
}

/* What a node does with rows, told by its operation. */
static ragged look_at(const finder *at, const cohort_node *node) {
  const int64_t *integers = node->attributes.integers;
  const int axes = shape_of(at, node->input[0]).axes;
  if (node->op != COHORT_OP_DROPOUT && (cohort_op_is_elementwise(node->op) || node->op == COHORT_OP_BROADCAST))
    return elementwise(at, node);
  switch (node->op) {
    case COHORT_OP_STOP_GRADIENT:
    case COHORT_OP_RESHAPE:
      return (ragged){1, 1, true};
    case COHORT_OP_PERMUTE:
    case COHORT_OP_SLICE:
    case COHORT_OP_PAD:
    case COHORT_OP_CONCAT:
    case COHORT_OP_FLIP:
    case COHORT_OP_CUMSUM:
      return along_axis(node, node->op == COHORT_OP_PERMUTE ? integers[0] != 0 : integers[0] == 0);
    case COHORT_OP_SUM:
    case COHORT_OP_MAX:
      return (ragged){1, integers[0] & 1 ? 0 : 1, true};
    case COHORT_OP_ARGMAX:
    case COHORT_OP_ARGSORT:
    case COHORT_OP_LOGSUMEXP:
      return along_axis(node, axes < 2);
    case COHORT_OP_GATHER:
      return gather(at, node);
    case COHORT_OP_SCATTER_ADD:
    case COHORT_OP_SEGMENT_SUM:
      return (ragged){3, 0, true};
    case COHORT_OP_TAKE_ALONG:
    case COHORT_OP_PUT_ALONG:
    case COHORT_OP_RANDOM_UNIFORM:
    case COHORT_OP_RANDOM_NORMAL:
    case COHORT_OP_DROPOUT:
    case COHORT_OP_ROTARY:
    case COHORT_OP_ATTENTION:
    case COHORT_OP_ATTENTION_BACKWARD:
    case COHORT_OP_ATTENTION_SECOND:
    case COHORT_OP_SOFTMAX_CROSS_ENTROPY:
    case COHORT_OP_SOFTMAX_CROSS_ENTROPY_BACKWARD:
      return (ragged){all(node->inputs), all(node->outputs), true};
    case COHORT_OP_LAYER_NORM:
    case COHORT_OP_RMS_NORM:
      return (ragged){1, all(node->outputs), true};
    case COHORT_OP_LAYER_NORM_BACKWARD:
    case COHORT_OP_RMS_NORM_BACKWARD:
      return (ragged){all(node->inputs) & ~2U, 1, true};
    case COHORT_OP_MATMUL:
      return product(at, node);
    case COHORT_OP_VOCABULARY_HEAD:
      return (ragged){5, all(node->outputs), true};
    case COHORT_OP_VOCABULARY_HEAD_BACKWARD:
      return (ragged){all(node->inputs) & ~2U, 1, true};
    case COHORT_OP_VOCABULARY_DIVERGENCE:
      return (ragged){5, all(node->outputs), true};
    case COHORT_OP_VOCABULARY_DIVERGENCE_BACKWARD:
      return (ragged){all(node->inputs) & ~10U, 1, true};
    default:
      return unfit;
  }
}

/* 1 + the extent of the node's inputs, 0: none; -1: of two. */
static int extent_of(const finder *at, const cohort_node *node) {
  int found = 0;
  for (int i = 0; i < node->inputs; i++) {
    const int own = at->extent[node->input[i]];
    if (own && found && own != found) return -1;
    if (own) found = own;
  }
  return found;
}

/* What follows the extent must have its rows; of a gather the table need not follow. */
static bool holds(const finder *at, const cohort_node *node, int extent, const ragged *what) {
  for (int i = 0; i < node->inputs; i++) {
    if (what->inputs >> i & 1 ? !leads(at, node->input[i], extent)
                              : at->extent[node->input[i]] && node->op != COHORT_OP_GATHER)
      return false;
  }
  for (int i = 0; i < node->outputs; i++)
    if (what->outputs >> i & 1 && !leads(at, node->first + i, extent)) return false;
  return true;
}

static bool spread(const finder *at, const cohort_node *node) {
  const int extent = extent_of(at, node);
  if (extent == 0) return true;
  if (extent < 0) return false;
  const ragged what = look_at(at, node);
  if (!what.fits || !holds(at, node, extent, &what)) return false;
  for (int i = 0; i < node->outputs; i++)
    if (what.outputs >> i & 1) at->extent[node->first + i] = (uint8_t)extent;
  return true;
}

/* A fusion makes all its values at once, so all have the rows; sums apart. */
static bool spread_in_set(const finder *at, const cohort_node_set *set, bool *changed) {
  const cohort_graph *graph = at->own->graph;
  int extent = 0;
  for (int m = 0; m < set->members; m++) {
    const int own = extent_of(at, &graph->node[set->member[m]]);
    if (own < 0 || (own && extent && own != extent)) return false;
    if (own) extent = own;
  }
  for (int m = 0; extent && m < set->members; m++) {
    const cohort_node *node = &graph->node[set->member[m]];
    const cohort_value makes = node->op == COHORT_OP_SUM ? node->input[0] : node->first;
    if (!leads(at, makes, extent)) return false;
    for (int k = 0; node->op != COHORT_OP_SUM && k < node->outputs; k++) {
      *changed |= !at->extent[node->first + k];
      at->extent[node->first + k] = (uint8_t)extent;
    }
  }
  return true;
}

static bool find(const finder *at) {
  const cohort_planner *own = at->own;
  bool changed = true;
  while (changed) {
    changed = false;
    for (int32_t n = 0; n < own->graph->nodes; n++)
      if (own->needed[n] && !spread(at, &own->graph->node[n])) return false;
    for (int32_t n = 0; n < own->graph->nodes; n++) {
      const cohort_node_set *set = own->needed[n] ? cohort_planner_fused(own, n) : NULL;
      if (set && set->member[set->members - 1] == n && !spread_in_set(at, set, &changed)) return false;
    }
  }
  for (int i = 0; i < own->outputs; i++)
    if (own->output[i].external && at->extent[own->output[i].value]) return false;
  return true;
}

void cohort_planner_find_extents(cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  const finder at = {own, cohort_allocate((size_t)graph->values + 1)};
  for (cohort_value v = 0; v < graph->values; v++) at.extent[v] = (uint8_t)graph->value[v].extent;
  if (graph->extents && find(&at)) {
    own->extent = own->plan->extent = at.extent;
    own->plan->extents = graph->extents;
    for (int e = 0; e < graph->extents; e++) own->plan->most[e] = graph->extent[e].most;
  } else {
    free(at.extent);
  }
}

void cohort_planner_shorten(const cohort_planner *own, int32_t n, cohort_step *step) {
  if (!own->extent) return;
  const finder at = {own, own->extent};
  const cohort_node *node = &own->graph->node[n];
  const cohort_node_set *set = cohort_planner_fused(own, n);
  if (!set) {
    step->extent = extent_of(&at, node);
    if (!step->extent) return;
    const ragged what = look_at(&at, node);
    step->ragged_inputs = what.inputs;
    step->ragged_outputs = what.outputs;
    return;
  }
  for (int m = 0; m < set->members && !step->extent; m++)
    step->extent = extent_of(&at, &own->graph->node[set->member[m]]);
}
