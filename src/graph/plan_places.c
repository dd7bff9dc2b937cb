/* Where the values of a plan lie: in the arena, in memory that is bound later, or among the constants. Two values share
 * bytes only when the last reader of one makes the other, element by element; else what lives at the same time never
 * overlaps (allocation.h). Costs a pass over the values and the allocation of their intervals, once a plan. */
#include <string.h>

#include "base/memory.h"
#include "graph/planner.h"

/* Of a node that adds to what is there: the root that its output may lie over, as the node is its last reader. */
cohort_value cohort_planner_base(const cohort_planner *own, const cohort_node *node) {
  if (node->op != COHORT_OP_SCATTER_ADD || node->inputs < 3) return COHORT_NO_VALUE;
  const cohort_value base = own->root[node->input[2]];
  const cohort_op maker = cohort_planner_node(own, base)->op;
  if (cohort_op_is_leaf(maker) || cohort_op_is_lane(maker)) return COHORT_NO_VALUE;
  const bool last = own->storage[base].last == own->storage[node->first].first && own->root[node->input[0]] != base;
  return last ? base : COHORT_NO_VALUE;
}

int cohort_planner_add_interval(cohort_planner *own, size_t bytes, int first, int last) {
  cohort_plan *plan = own->plan;
  plan->interval[plan->intervals] =
      (cohort_interval){.bytes = cohort_round_up(bytes ? bytes : 1, COHORT_ALIGNMENT), .first = first, .last = last};
  return plan->intervals++;
}

static size_t fixed_bytes(const cohort_planner *own) {
  size_t bytes = 0;
  for (int32_t n = 0; n < own->graph->nodes; n++) {
    const cohort_node *node = &own->graph->node[n];
    if (own->needed[n] && (node->op == COHORT_OP_CONSTANT || node->op == COHORT_OP_IOTA))
      bytes += cohort_round_up(cohort_planner_bytes(own, node->first), COHORT_ALIGNMENT);
  }
  return bytes;
}

static void fill_fixed(const cohort_planner *own, const cohort_node *node, void *memory) {
  if (node->op == COHORT_OP_IOTA) {
    for (int64_t i = 0; i < node->attributes.integers[0]; i++) ((int32_t *)memory)[i] = (int32_t)i;
  } else if (own->graph->value[node->first].type == COHORT_TYPE_INTEGER) {
    *(int32_t *)memory = (int32_t)node->attributes.reals[0];
  } else if (own->kernels->real_size == sizeof(float)) {
    *(float *)memory = (float)node->attributes.reals[0];
  } else {
    *(double *)memory = node->attributes.reals[0];
  }
}

cohort_status cohort_planner_place_leaves(cohort_planner *own, cohort_error *error) {
  COHORT_TRY(cohort_memory_create(fixed_bytes(own), "constants of a plan", &own->plan->fixed, error));
  size_t offset = 0;
  for (int32_t n = 0; n < own->graph->nodes; n++) {
    const cohort_node *node = &own->graph->node[n];
    if (!own->needed[n] || !cohort_op_is_leaf(node->op)) continue;
    cohort_storage *place = &own->storage[node->first];
    if (node->op == COHORT_OP_CONSTANT || node->op == COHORT_OP_IOTA) {
      place->place = (cohort_location){.kind = COHORT_LOCATION_FIXED, .value = node->first, .offset = offset};
      fill_fixed(own, node, (char *)own->plan->fixed + offset);
      offset += cohort_round_up(cohort_planner_bytes(own, node->first), COHORT_ALIGNMENT);
    } else {
      place->place = (cohort_location){.kind = COHORT_LOCATION_BOUND, .value = node->first};
    }
  }
  return COHORT_DONE;
}

/* An input of the value's step that is read there for the last time and that the value may lie over, or NO_VALUE. */
static cohort_value find_under(const cohort_planner *own, cohort_value value) {
  const cohort_node_set *set = own->set[own->graph->value[value].node];
  if (!set) {
    const cohort_value base = cohort_planner_base(own, cohort_planner_node(own, value));
    const bool free = base != COHORT_NO_VALUE && own->storage[base].interval >= 0 && !own->storage[base].covered;
    return free ? base : COHORT_NO_VALUE;
  }
  const cohort_node *node = cohort_planner_node(own, value);
  const int inputs = set->fused ? set->inputs : node->inputs;
  const cohort_value *input = set->fused ? set->input : node->input;
  for (int i = 0; i < inputs; i++) {
    const cohort_storage *under = &own->storage[own->root[input[i]]];
    if (under->interval < 0 || under->covered || under->last != own->storage[value].first) continue;
    if (under->rolling != own->storage[value].rolling) continue;
    if (cohort_node_set_in_place(own, set, input[i], value)) return own->root[input[i]];
  }
  return COHORT_NO_VALUE;
}

static int add_value_interval(cohort_planner *own, cohort_value value) {
  const cohort_storage *place = &own->storage[value];
  const size_t bytes = cohort_planner_bytes(own, value);
  int first = place->first, last = place->last;
  if (place->rolling)
    return cohort_planner_add_interval(own, bytes / (size_t)cohort_planner_tiling_at(own, first)->parts, first, last);
  cohort_planner_widen(own, &first, &last);
  return cohort_planner_add_interval(own, bytes, first, last);
}

/* Values of a step are placed after those that it reads: their numbers are higher. */
void cohort_planner_place_computed(cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++) {
    const cohort_node *node = cohort_planner_node(own, v);
    cohort_storage *place = &own->storage[v];
    if (!own->needed[graph->value[v].node] || cohort_op_is_leaf(node->op) || cohort_op_is_view(node->op)) continue;
    if (place->inside) continue;
    if (place->external != COHORT_NO_VALUE) {
      place->place = (cohort_location){.kind = COHORT_LOCATION_BOUND, .value = place->external};
      continue;
    }
    const cohort_value under = find_under(own, v);
    if (under != COHORT_NO_VALUE) {
      own->storage[under].covered = true;
      place->interval = own->storage[under].interval;
      int first = place->first, last = place->last;
      if (!place->rolling) cohort_planner_widen(own, &first, &last);
      own->plan->interval[place->interval].last = last;
    } else {
      place->interval = add_value_interval(own, v);
    }
    place->place = (cohort_location){.kind = COHORT_LOCATION_ARENA, .value = v};
  }
}

static void resolve(const cohort_plan *plan, const int *moved, cohort_location *place) {
  if (place->kind != COHORT_LOCATION_ARENA) return;
  if (moved && moved[place->interval] >= 0)
    *place = (cohort_location){.kind = COHORT_LOCATION_BOUND, .value = plan->given + moved[place->interval]};
  else
    place->offset = plan->interval[place->interval].offset;
}

void cohort_plan_resolve(cohort_plan *plan, const int *moved) {
  for (int i = 0; i < plan->steps; i++) {
    cohort_step *step = &plan->step[i];
    for (int k = 0; k < step->call.inputs; k++) resolve(plan, moved, &step->input[k]);
    for (int k = 0; k < step->call.outputs; k++) resolve(plan, moved, &step->output[k]);
    if (step->has_workspace) step->workspace = plan->interval[step->workspace_interval].offset;
  }
  for (int i = 0; i < plan->copies; i++) {
    resolve(plan, moved, &plan->copy[i].from);
    resolve(plan, moved, &plan->copy[i].to);
  }
  for (cohort_value v = 0; v < plan->values; v++) resolve(plan, moved, &plan->place[v]);
}

void cohort_planner_allocate(cohort_plan *plan) {
  plan->arena_bytes = plan->whole_bytes = cohort_allocate_intervals(plan->intervals, plan->interval);
  cohort_plan_resolve(plan, NULL);
}

void cohort_planner_fill_places(cohort_planner *own) {
  cohort_plan *plan = own->plan;
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++) {
    if (!own->needed[graph->value[v].node]) continue;
    cohort_storage *place = &own->storage[own->root[v]];
    if (place->place.kind == COHORT_LOCATION_ARENA) place->place.interval = place->interval;
    plan->place[v] = place->place;
  }
  for (int i = 0; i < plan->steps; i++) {
    cohort_step *step = &plan->step[i];
    const cohort_node *node = &graph->node[step->node];
    const cohort_node_set *set = cohort_planner_fused(own, step->node);
    for (int k = 0; k < step->call.inputs; k++) step->input[k] = plan->place[set ? set->input[k] : node->input[k]];
    for (int k = 0; k < step->call.outputs; k++) step->output[k] = plan->place[set ? set->output[k] : node->first + k];
  }
}
