/* Which elementwise nodes run as one step. In order, a node takes in the groups that make its inputs, when nobody
 * outside reads their values before it: then all of them can run at its time. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/draft.h"

/* Steps that a group may wait for its last member: what it reads stays in memory as long. */
enum { LONGEST_WAIT = 8 };

/* Nodes that read each root, as lists. */
typedef struct readers {
  int32_t *first; /* [values + 1] */
  int32_t *node;
} readers;

static readers find_readers(const cohort_draft *own) {
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

static bool is_member(const cohort_group *group, int32_t node) {
  for (int i = 0; i < group->members; i++)
    if (group->member[i] == node) return true;
  return false;
}

static int64_t elements_of(const cohort_draft *own, cohort_value value) {
  return cohort_shape_elements(own->graph->value[value].shape);
}

/* Of SUM over all rows: the columns that remain; 0 when it is another sum. */
static int64_t sum_columns(const cohort_draft *own, const cohort_node *node) {
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

static int64_t group_elements(const cohort_draft *own, const cohort_node *node) {
  return elements_of(own, node->op == COHORT_OP_SUM ? node->input[0] : node->first);
}

/* How a link reads a value from outside; false when no kind of slot serves. */
static bool classify(const cohort_draft *own, const cohort_node *node, int index, cohort_chain_slot *slot) {
  const cohort_value value = node->input[index];
  const cohort_shape in = own->graph->value[value].shape, out = own->graph->value[node->first].shape;
  const int64_t elements = elements_of(own, value), all = group_elements(own, node);
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

/* Slots of a chain while it is made. */
typedef struct sketch {
  const cohort_draft *own;
  const readers *readers;
  cohort_group *group;
  cohort_value value[COHORT_CHAIN_SLOTS]; /* root of each slot */
  int last[COHORT_CHAIN_SLOTS];           /* link that reads it last */
  bool used[COHORT_CHAIN_BUFFERS];
  bool failed;
} sketch;

static bool inside(const sketch *at, cohort_value root) {
  if (at->own->storage[root].asked) return false;
  for (int32_t r = at->readers->first[root]; r < at->readers->first[root + 1]; r++)
    if (!is_member(at->group, at->readers->node[r])) return false;
  return true;
}

static int add_slot(sketch *at, cohort_value root, cohort_chain_slot slot) {
  cohort_chain *chain = &at->group->chain;
  if (chain->slots == COHORT_CHAIN_SLOTS) {
    at->failed = true;
    return 0;
  }
  at->value[chain->slots] = root;
  at->last[chain->slots] = -1;
  chain->slot[chain->slots] = slot;
  return chain->slots++;
}

static int add_input(sketch *at, const cohort_node *node, int index) {
  cohort_group *group = at->group;
  const cohort_value root = at->own->root[node->input[index]];
  cohort_chain_slot slot = {0};
  if (is_member(group, at->own->graph->value[root].node)) {
    for (int s = 0; s < group->chain.slots; s++)
      if (at->value[s] == root) return s;
  }
  if (!classify(at->own, node, index, &slot)) at->failed = true;
  while (slot.tensor < group->inputs && at->own->root[group->input[slot.tensor]] != root) slot.tensor++;
  if (slot.tensor == COHORT_MAX_INPUTS) {
    at->failed = true;
    return 0;
  }
  if (slot.tensor == group->inputs) group->input[group->inputs++] = node->input[index];
  for (int s = 0; s < group->chain.slots; s++) {
    const cohort_chain_slot *other = &group->chain.slot[s];
    if (at->value[s] == root && other->kind == slot.kind && other->period == slot.period) return s;
  }
  return add_slot(at, root, slot);
}

static int add_output(sketch *at, cohort_value value) {
  cohort_group *group = at->group;
  cohort_chain_slot slot = {.kind = COHORT_SLOT_BUFFER, .type = at->own->graph->value[value].type};
  if (!inside(at, value)) {
    slot.kind = COHORT_SLOT_OUTPUT;
    slot.tensor = group->outputs;
    if (group->outputs == COHORT_MAX_OUTPUTS) {
      at->failed = true;
      return 0;
    }
    group->output[group->outputs++] = value;
  }
  return add_slot(at, value, slot);
}

static void add_link(sketch *at, int32_t n) {
  const cohort_node *node = &at->own->graph->node[n];
  cohort_chain *chain = &at->group->chain;
  cohort_chain_link *link = &chain->link[chain->links];
  *link = (cohort_chain_link){
      .op = node->op, .attributes = node->attributes, .inputs = node->inputs, .outputs = node->outputs};
  for (int i = 0; i < node->inputs && !at->failed; i++) {
    link->input[i] = add_input(at, node, i);
    at->last[link->input[i]] = chain->links;
  }
  for (int i = 0; i < node->outputs && !at->failed; i++) link->output[i] = add_output(at, node->first + i);
  if (node->op == COHORT_OP_DROPOUT) {
    const cohort_shape shape = at->own->graph->value[node->first].shape;
    link->columns = shape.axes ? chain->elements / shape.size[0] : 1;
  }
  if (node->op == COHORT_OP_SUM) {
    link->columns = sum_columns(at->own, node);
    if (chain->sums++ == COHORT_CHAIN_SUMS || (chain->columns && chain->columns != link->columns)) at->failed = true;
    chain->columns = link->columns;
  }
  chain->links++;
}

static void take_buffer(sketch *at, cohort_chain_slot *slot) {
  slot->buffer = 0;
  while (slot->buffer < COHORT_CHAIN_BUFFERS && at->used[slot->buffer]) slot->buffer++;
  if (slot->buffer == COHORT_CHAIN_BUFFERS) {
    slot->buffer = 0;
    at->failed = true;
  }
  at->used[slot->buffer] = true;
}

/* Repeated values keep theirs from tile to tile; others share: an output may lie over an input that dies. */
static void assign_buffers(sketch *at) {
  cohort_chain *chain = &at->group->chain;
  for (int s = 0; s < chain->slots; s++)
    if (chain->slot[s].kind == COHORT_SLOT_REPEATED || chain->slot[s].kind == COHORT_SLOT_HELD)
      take_buffer(at, &chain->slot[s]);
  for (int i = 0; i < chain->links; i++) {
    const cohort_chain_link *link = &chain->link[i];
    for (int k = 0; k < link->inputs; k++) {
      const cohort_chain_slot *slot = &chain->slot[link->input[k]];
      if (slot->kind == COHORT_SLOT_BUFFER && at->last[link->input[k]] == i) at->used[slot->buffer] = false;
    }
    for (int k = 0; k < link->outputs; k++)
      if (chain->slot[link->output[k]].kind == COHORT_SLOT_BUFFER) take_buffer(at, &chain->slot[link->output[k]]);
    for (int k = 0; k < link->outputs; k++) { /* of what nobody reads */
      const cohort_chain_slot *slot = &chain->slot[link->output[k]];
      if (slot->kind == COHORT_SLOT_BUFFER && at->last[link->output[k]] < 0) at->used[slot->buffer] = false;
    }
  }
}

/* Fills in the chain of a group's members; false when it does not fit. */
static bool make_chain(const cohort_draft *own, const readers *all, cohort_group *group) {
  sketch at = {.own = own, .readers = all, .group = group};
  group->inputs = group->outputs = 0;
  group->chain = (cohort_chain){.elements = group_elements(own, &own->graph->node[group->member[0]])};
  for (int i = 0; i < group->members && !at.failed; i++) add_link(&at, group->member[i]);
  if (!at.failed) assign_buffers(&at);
  return !at.failed;
}

/* Whether nobody outside of the group reads its values before the last member's time. */
static bool may_wait(const cohort_draft *own, const readers *all, const cohort_group *group, int time) {
  for (int i = 0; i < group->members; i++) {
    const cohort_node *node = &own->graph->node[group->member[i]];
    for (int k = 0; k < node->outputs; k++) {
      const cohort_value v = node->first + k;
      for (int32_t r = all->first[v]; r < all->first[v + 1]; r++)
        if (own->time[all->node[r]] < time && !is_member(group, all->node[r])) return false;
    }
  }
  return true;
}

static int compare_nodes(const void *left, const void *right) {
  const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
  return (a > b) - (a < b);
}

/* The groups of `own_group` and of `other` as one; false, with own_group unchanged, when they cannot be. */
static bool join(const cohort_draft *own, const readers *all, cohort_group *own_group, const cohort_group *other,
                 cohort_group *room, int time) {
  if (own_group->members + other->members > COHORT_CHAIN_LINKS) return false;
  room->members = own_group->members + other->members;
  memcpy(room->member, own_group->member, (size_t)own_group->members * sizeof *room->member);
  memcpy(room->member + own_group->members, other->member, (size_t)other->members * sizeof *room->member);
  qsort(room->member, (size_t)room->members, sizeof *room->member, compare_nodes);
  if (!may_wait(own, all, room, time) || !make_chain(own, all, room)) return false;
  *own_group = *room;
  return true;
}

/* A SUM begins no group. */
static bool may_begin(const cohort_draft *own, const cohort_node *node) {
  return cohort_op_is_elementwise(node->op) && elements_of(own, node->first) > 0;
}

static bool may_follow(const cohort_draft *own, const cohort_node *node) {
  return may_begin(own, node) ||
         (node->op == COHORT_OP_SUM && elements_of(own, node->input[0]) > 0 && sum_columns(own, node) > 0);
}

static void grow(cohort_draft *own, const readers *all, int32_t n, cohort_group *room) {
  const cohort_node *node = &own->graph->node[n];
  if (!may_follow(own, node)) return;
  cohort_group *group = cohort_allocate(sizeof *group);
  group->members = 1;
  group->member[0] = n;
  for (int i = 0; i < node->inputs; i++) {
    const int32_t maker = own->graph->value[own->root[node->input[i]]].node;
    cohort_group *other = own->group[maker];
    if (!other || is_member(group, maker) || own->phase[maker] != own->phase[n]) continue;
    if (group_elements(own, &own->graph->node[maker]) != group_elements(own, node)) continue;
    if (own->graph->node[maker].op == COHORT_OP_SUM || own->time[n] - own->time[maker] > LONGEST_WAIT) continue;
    if (!join(own, all, group, other, room, own->time[n])) continue;
    for (int m = 0; m < group->members; m++) {
      own->group[group->member[m]] = group;
      own->time[group->member[m]] = own->time[n];
    }
    free(other);
  }
  own->group[n] = group;
  if (group->members > 1 || may_begin(own, node)) return;
  own->group[n] = NULL;
  free(group);
}

/* Whether a node alone gains by the layout of a chain: its own kernel would walk rows of a few elements. */
static bool repeats_short_rows(const cohort_chain *chain) {
  enum { SHORT_ROW = 128 };
  for (int s = 0; s < chain->slots; s++) {
    const cohort_chain_slot *slot = &chain->slot[s];
    if ((slot->kind == COHORT_SLOT_REPEATED || slot->kind == COHORT_SLOT_HELD) && slot->period < SHORT_ROW) return true;
  }
  return false;
}

static void finish_group(cohort_draft *own, const readers *all, cohort_group *group) {
  const bool fits = make_chain(own, all, group); /* of more than one member it does */
  group->chained = group->members > 1 || (fits && repeats_short_rows(&group->chain));
  const sketch at = {.own = own, .readers = all, .group = group};
  for (int m = 0; m < group->members; m++) {
    const cohort_node *node = &own->graph->node[group->member[m]];
    for (int k = 0; k < node->outputs; k++)
      own->storage[node->first + k].inside = group->chained && inside(&at, node->first + k);
  }
}

/* Chains were made while later readers could still join: now all groups stand. */
static void finish(cohort_draft *own, const readers *all) {
  int kept = 0;
  for (int i = 0; i < own->ordered; i++) {
    const int32_t n = own->order[i];
    cohort_group *group = own->group[n];
    if (group && group->member[group->members - 1] != n) continue;
    if (group) finish_group(own, all, group);
    own->order[kept++] = n;
  }
  own->ordered = kept;
}

void cohort_draft_group(cohort_draft *own) {
  readers all = find_readers(own);
  cohort_group *room = cohort_allocate(sizeof *room);
  for (int i = 0; i < own->ordered; i++) grow(own, &all, own->order[i], room);
  finish(own, &all);
  free(room);
  free(all.first);
  free(all.node);
}

void cohort_draft_release_groups(cohort_draft *own) {
  for (int32_t n = 0; n < own->graph->nodes; n++)
    if (own->group[n] && own->group[n]->member[own->group[n]->members - 1] == n) {
      cohort_group *group = own->group[n];
      for (int m = 0; m < group->members; m++) own->group[group->member[m]] = NULL;
      free(group);
    }
}

/* The last link that reads a value, or the link that makes it. */
static int link_of(const cohort_draft *own, const cohort_group *group, cohort_value root, bool made) {
  int found = -1;
  for (int i = 0; i < group->members; i++) {
    const cohort_node *node = &own->graph->node[group->member[i]];
    for (int k = 0; !made && k < node->inputs; k++)
      if (own->root[node->input[k]] == root) found = i;
    if (made && root >= node->first && root < node->first + node->outputs) found = i;
  }
  return found;
}

bool cohort_group_in_place(const cohort_draft *own, const cohort_group *group, cohort_value input,
                           cohort_value output) {
  const cohort_value root = own->root[input];
  const cohort_node *maker = cohort_draft_node(own, output);
  if (maker->op == COHORT_OP_SUM || cohort_draft_bytes(own, root) != cohort_draft_bytes(own, output)) return false;
  if (own->graph->value[root].type != COHORT_TYPE_REAL || own->graph->value[output].type != COHORT_TYPE_REAL)
    return false;
  return link_of(own, group, root, false) <= link_of(own, group, output, true);
}
