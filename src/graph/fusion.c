/* Which elementwise nodes run as one step. In order, a node takes in the sets that make its inputs, when nobody
 * outside reads their values before it: then all of them can run at its time. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planner.h"

/* Steps that a set may wait for its last member: what it reads stays in memory as long. */
enum { LONGEST_WAIT = 8 };

/* Nodes that read each root, as lists. */
typedef struct readers {
  int32_t *first; /* [values + 1] */
  int32_t *node;
} readers;

static readers find_readers(const cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  readers all = {.first = cohort_allocate(((size_t)graph->values + 2) * sizeof *all.first)};
  for (int pass = 0; pass < 2; pass++) {
    for (int32_t n = 0; n < graph->nodes; n++) {
      const cohort_node *node = &graph->node[n];
      if (!own->needed[n] || cohort_op_is_view(node->op)) continue;
      for (int i = 0; i < node->inputs; i++) {
        const int32_t root = own->root[node->input[i]];
        if (pass == 0) {
          all.first[root + 2]++;
        } else {
          all.node[all.first[root + 1]++] = n;
        }
      }
    }
    if (pass == 1) break;
    for (cohort_value v = 0; v <= graph->values; v++) all.first[v + 1] += all.first[v];
    all.node = cohort_allocate(((size_t)all.first[graph->values + 1] + 1) * sizeof *all.node);
  }
  return all;
}

static bool is_member(const cohort_node_set *set, int32_t node) {
  for (int i = 0; i < set->members; i++)
    if (set->member[i] == node) return true;
  return false;
}

static int64_t elements_of(const cohort_planner *own, cohort_value value) {
  return cohort_shape_elements(own->graph->value[value].shape);
}

/* Of SUM over all rows: the columns that remain; 0 when it is another sum. */
static int64_t sum_columns(const cohort_planner *own, const cohort_node *node) {
  const cohort_shape shape = own->graph->value[node->input[0]].shape;
  int64_t rows = 1, columns = 1;
  for (int axis = 0; axis < shape.axes; axis++) {
    const bool reduced = node->attributes.integers[0] >> axis & 1;
    if (shape.size[axis] == 1) continue;
    if (reduced && columns > 1) return 0;
    *(reduced ? &rows : &columns) *= shape.size[axis];
  }
  return rows > 1 && columns > 1 ? columns : 0;
}

static int64_t set_elements(const cohort_planner *own, const cohort_node *node) {
  return elements_of(own, node->op == COHORT_OP_SUM ? node->input[0] : node->first);
}

/* How a link reads a value from outside; false when no kind of slot serves. */
static bool classify(const cohort_planner *own, const cohort_node *node, int index, cohort_fusion_slot *slot) {
  const cohort_value value = node->input[index];
  const cohort_shape in = own->graph->value[value].shape, out = own->graph->value[node->first].shape;
  const int64_t elements = elements_of(own, value), all = set_elements(own, node);
  slot->type = own->graph->value[value].type;
  slot->kind = COHORT_SLOT_INPUT;
  if (node->op == COHORT_OP_DROPOUT && index > 0) {
    slot->kind = COHORT_SLOT_WHOLE;
    return true;
  }
  if (elements == all) return true;
  if (elements == 1) {
    slot->kind = COHORT_SLOT_SCALAR;
    return true;
  }
  const int lead = out.axes - in.axes;
  bool suffix = true, prefix = true; /* [1, 1, C] and [A, B, 1] of [A, B, C] */
  bool repeated_over = true, held_over = false;
  for (int axis = 0; axis < out.axes; axis++) {
    const int64_t size = axis < lead ? 1 : in.size[axis - lead];
    if (out.size[axis] == 1) continue;
    repeated_over = repeated_over && size == 1;
    held_over = held_over || size == 1;
    if (!repeated_over && size != out.size[axis]) suffix = false;
    if (held_over && size != 1) prefix = false;
  }
  slot->kind = suffix ? COHORT_SLOT_REPEATED : COHORT_SLOT_HELD;
  slot->period = suffix ? elements : all / elements;
  return suffix || prefix;
}

/* Slots of a fusion while it is made. */
typedef struct sketch {
  const cohort_planner *own;
  const readers *readers;
  cohort_node_set *set;
  cohort_value value[COHORT_FUSION_SLOTS]; /* root of each slot */
  int last[COHORT_FUSION_SLOTS];           /* link that reads it last */
  bool used[COHORT_FUSION_BUFFERS];
  bool failed;
} sketch;

static bool inside(const sketch *at, cohort_value root) {
  if (at->own->storage[root].asked) return false;
  for (int32_t r = at->readers->first[root]; r < at->readers->first[root + 1]; r++)
    if (!is_member(at->set, at->readers->node[r])) return false;
  return true;
}

static int add_slot(sketch *at, cohort_value root, cohort_fusion_slot slot) {
  cohort_fusion *fusion = &at->set->fusion;
  if (fusion->slots == COHORT_FUSION_SLOTS) {
    at->failed = true;
    return 0;
  }
  at->value[fusion->slots] = root;
  at->last[fusion->slots] = -1;
  fusion->slot[fusion->slots] = slot;
  return fusion->slots++;
}

static int add_input(sketch *at, const cohort_node *node, int index) {
  cohort_node_set *set = at->set;
  const cohort_value root = at->own->root[node->input[index]];
  cohort_fusion_slot slot = {0};
  if (is_member(set, at->own->graph->value[root].node)) {
    for (int s = 0; s < set->fusion.slots; s++)
      if (at->value[s] == root) return s;
  }
  if (!classify(at->own, node, index, &slot)) at->failed = true;
  while (slot.tensor < set->inputs && at->own->root[set->input[slot.tensor]] != root) slot.tensor++;
  if (slot.tensor == COHORT_MAX_INPUTS) {
    at->failed = true;
    return 0;
  }
  if (slot.tensor == set->inputs) set->input[set->inputs++] = node->input[index];
  for (int s = 0; s < set->fusion.slots; s++) {
    const cohort_fusion_slot *other = &set->fusion.slot[s];
    if (at->value[s] == root && other->kind == slot.kind && other->period == slot.period) return s;
  }
  return add_slot(at, root, slot);
}

static int add_output(sketch *at, cohort_value value) {
  cohort_node_set *set = at->set;
  cohort_fusion_slot slot = {.kind = COHORT_SLOT_BUFFER, .type = at->own->graph->value[value].type};
  if (!inside(at, value)) {
    slot.kind = COHORT_SLOT_OUTPUT;
    slot.tensor = set->outputs;
    if (set->outputs == COHORT_MAX_OUTPUTS) {
      at->failed = true;
      return 0;
    }
    set->output[set->outputs++] = value;
  }
  return add_slot(at, value, slot);
}

static void add_operation(sketch *at, int32_t n) {
  const cohort_node *node = &at->own->graph->node[n];
  cohort_fusion *fusion = &at->set->fusion;
  cohort_fusion_operation *operation = &fusion->operation[fusion->operations];
  *operation = (cohort_fusion_operation){
      .op = node->op, .attributes = node->attributes, .inputs = node->inputs, .outputs = node->outputs};
  for (int i = 0; i < node->inputs && !at->failed; i++) {
    operation->input[i] = add_input(at, node, i);
    at->last[operation->input[i]] = fusion->operations;
  }
  for (int i = 0; i < node->outputs && !at->failed; i++) operation->output[i] = add_output(at, node->first + i);
  if (node->op == COHORT_OP_DROPOUT) {
    const cohort_shape shape = at->own->graph->value[node->first].shape;
    operation->columns = shape.axes ? fusion->elements / shape.size[0] : 1;
  }
  if (node->op == COHORT_OP_SUM) {
    operation->columns = sum_columns(at->own, node);
    if (fusion->sums++ == COHORT_FUSION_SUMS || (fusion->columns && fusion->columns != operation->columns))
      at->failed = true;
    fusion->columns = operation->columns;
  }
  fusion->operations++;
}

static void take_buffer(sketch *at, cohort_fusion_slot *slot) {
  slot->buffer = 0;
  while (slot->buffer < COHORT_FUSION_BUFFERS && at->used[slot->buffer]) slot->buffer++;
  if (slot->buffer == COHORT_FUSION_BUFFERS) {
    slot->buffer = 0;
    at->failed = true;
  }
  at->used[slot->buffer] = true;
}

/* Repeated values keep theirs from tile to tile; others share: an output may lie over an input that dies. */
static void assign_buffers(sketch *at) {
  cohort_fusion *fusion = &at->set->fusion;
  for (int s = 0; s < fusion->slots; s++)
    if (fusion->slot[s].kind == COHORT_SLOT_REPEATED || fusion->slot[s].kind == COHORT_SLOT_HELD)
      take_buffer(at, &fusion->slot[s]);
  for (int i = 0; i < fusion->operations; i++) {
    const cohort_fusion_operation *operation = &fusion->operation[i];
    for (int k = 0; k < operation->inputs; k++) {
      const cohort_fusion_slot *slot = &fusion->slot[operation->input[k]];
      if (slot->kind == COHORT_SLOT_BUFFER && at->last[operation->input[k]] == i) at->used[slot->buffer] = false;
    }
    for (int k = 0; k < operation->outputs; k++)
      if (fusion->slot[operation->output[k]].kind == COHORT_SLOT_BUFFER)
        take_buffer(at, &fusion->slot[operation->output[k]]);
    for (int k = 0; k < operation->outputs; k++) { /* of what nobody reads */
      const cohort_fusion_slot *slot = &fusion->slot[operation->output[k]];
      if (slot->kind == COHORT_SLOT_BUFFER && at->last[operation->output[k]] < 0) at->used[slot->buffer] = false;
    }
  }
}

/* Fills in the fusion of a set's members; false when it does not fit. */
static bool make_fusion(const cohort_planner *own, const readers *all, cohort_node_set *set) {
  sketch at = {.own = own, .readers = all, .set = set};
  set->inputs = set->outputs = 0;
  set->fusion = (cohort_fusion){.elements = set_elements(own, &own->graph->node[set->member[0]])};
  for (int i = 0; i < set->members && !at.failed; i++) add_operation(&at, set->member[i]);
  if (!at.failed) assign_buffers(&at);
  return !at.failed;
}

/* Whether nobody outside of the set reads its values before the last member's time. */
static bool may_wait(const cohort_planner *own, const readers *all, const cohort_node_set *set, int time) {
  for (int i = 0; i < set->members; i++) {
    const cohort_node *node = &own->graph->node[set->member[i]];
    for (int k = 0; k < node->outputs; k++) {
      const cohort_value v = node->first + k;
      for (int32_t r = all->first[v]; r < all->first[v + 1]; r++)
        if (own->time[all->node[r]] < time && !is_member(set, all->node[r])) return false;
    }
  }
  return true;
}

static int compare_nodes(const void *left, const void *right) {
  const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
  return (a > b) - (a < b);
}

/* The sets of `own_set` and of `other` as one; false, with own_set unchanged, when they cannot be. */
static bool join(const cohort_planner *own, const readers *all, cohort_node_set *own_set, const cohort_node_set *other,
                 cohort_node_set *room, int time) {
  if (own_set->members + other->members > COHORT_FUSION_OPERATIONS) return false;
  room->members = own_set->members + other->members;
  memcpy(room->member, own_set->member, (size_t)own_set->members * sizeof *room->member);
  memcpy(room->member + own_set->members, other->member, (size_t)other->members * sizeof *room->member);
  qsort(room->member, (size_t)room->members, sizeof *room->member, compare_nodes);
  if (!may_wait(own, all, room, time) || !make_fusion(own, all, room)) return false;
  *own_set = *room;
  return true;
}

/* A SUM begins no set. */
static bool may_begin(const cohort_planner *own, const cohort_node *node) {
  return cohort_op_is_elementwise(node->op) && elements_of(own, node->first) > 0;
}

static bool may_follow(const cohort_planner *own, const cohort_node *node) {
  return may_begin(own, node) ||
         (node->op == COHORT_OP_SUM && elements_of(own, node->input[0]) > 0 && sum_columns(own, node) > 0);
}

static void grow(cohort_planner *own, const readers *all, int32_t n, cohort_node_set *room) {
  const cohort_node *node = &own->graph->node[n];
  if (!may_follow(own, node)) return;
  cohort_node_set *set = cohort_allocate(sizeof *set);
  set->members = 1;
  set->member[0] = n;
  for (int i = 0; i < node->inputs; i++) {
    const int32_t maker = own->graph->value[own->root[node->input[i]]].node;
    cohort_node_set *other = own->set[maker];
    if (!other || is_member(set, maker) || own->phase[maker] != own->phase[n]) continue;
    if (set_elements(own, &own->graph->node[maker]) != set_elements(own, node)) continue;
    if (own->graph->node[maker].op == COHORT_OP_SUM || own->time[n] - own->time[maker] > LONGEST_WAIT) continue;
    if (!join(own, all, set, other, room, own->time[n])) continue;
    for (int m = 0; m < set->members; m++) {
      own->set[set->member[m]] = set;
      own->time[set->member[m]] = own->time[n];
    }
    free(other);
  }
  own->set[n] = set;
  if (set->members > 1 || may_begin(own, node)) return;
  own->set[n] = NULL;
  free(set);
}

/* Whether a node alone gains by the layout of a fusion: its own kernel would walk rows of a few elements. */
static bool repeats_short_rows(const cohort_fusion *fusion) {
  enum { SHORT_ROW = 128 };
  for (int s = 0; s < fusion->slots; s++) {
    const cohort_fusion_slot *slot = &fusion->slot[s];
    if ((slot->kind == COHORT_SLOT_REPEATED || slot->kind == COHORT_SLOT_HELD) && slot->period < SHORT_ROW) return true;
  }
  return false;
}

static void finish_set(cohort_planner *own, const readers *all, cohort_node_set *set) {
  const bool fits = make_fusion(own, all, set); /* of more than one member it does */
  set->fused = set->members > 1 || (fits && repeats_short_rows(&set->fusion));
  const sketch at = {.own = own, .readers = all, .set = set};
  for (int m = 0; m < set->members; m++) {
    const cohort_node *node = &own->graph->node[set->member[m]];
    for (int k = 0; k < node->outputs; k++)
      own->storage[node->first + k].inside = set->fused && inside(&at, node->first + k);
  }
}

/* Fusions were made while later readers could still join: now all sets stand. */
static void finish(cohort_planner *own, const readers *all) {
  int kept = 0;
  for (int i = 0; i < own->ordered; i++) {
    const int32_t n = own->order[i];
    cohort_node_set *set = own->set[n];
    if (set && set->member[set->members - 1] != n) continue;
    if (set) finish_set(own, all, set);
    own->order[kept++] = n;
  }
  own->ordered = kept;
}

void cohort_planner_fuse(cohort_planner *own) {
  readers all = find_readers(own);
  cohort_node_set *room = cohort_allocate(sizeof *room);
  for (int i = 0; i < own->ordered; i++) grow(own, &all, own->order[i], room);
  finish(own, &all);
  free(room);
  free(all.first);
  free(all.node);
}

void cohort_planner_release_sets(cohort_planner *own) {
  for (int32_t n = 0; n < own->graph->nodes; n++)
    if (own->set[n] && own->set[n]->member[own->set[n]->members - 1] == n) {
      cohort_node_set *set = own->set[n];
      for (int m = 0; m < set->members; m++) own->set[set->member[m]] = NULL;
      free(set);
    }
}

/* The last link that reads a value, or the link that makes it. */
static int operation_of(const cohort_planner *own, const cohort_node_set *set, cohort_value root, bool made) {
  int found = -1;
  for (int i = 0; i < set->members; i++) {
    const cohort_node *node = &own->graph->node[set->member[i]];
    for (int k = 0; !made && k < node->inputs; k++)
      if (own->root[node->input[k]] == root) found = i;
    if (made && root >= node->first && root < node->first + node->outputs) found = i;
  }
  return found;
}

bool cohort_node_set_in_place(const cohort_planner *own, const cohort_node_set *set, cohort_value input,
                              cohort_value output) {
  const cohort_value root = own->root[input];
  const cohort_node *maker = cohort_planner_node(own, output);
  if (maker->op == COHORT_OP_SUM || cohort_planner_bytes(own, root) != cohort_planner_bytes(own, output)) return false;
  if (own->graph->value[root].type != COHORT_TYPE_REAL || own->graph->value[output].type != COHORT_TYPE_REAL)
    return false;
  return operation_of(own, set, root, false) <= operation_of(own, set, output, true);
}
