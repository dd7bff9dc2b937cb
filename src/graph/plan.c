/* How a plan is made: which nodes are needed, in which phase and order they run, how long their values live, and the
 * steps, copies and exchanges that come of it. Steps stand in the order in which the graph was built, by phase; every
 * value is made before it is read and kept until it was read last. plan_places.c says where it lies.
 *
 * A pass over nodes and values for each of these, once a plan. */
#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planner.h"

static void mark_needed(cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  for (int i = 0; i < own->outputs; i++) own->needed[graph->value[own->output[i].value].node] = true;
  for (int32_t n = graph->nodes - 1; n >= 0; n--)
    for (int i = 0; own->needed[n] && i < graph->node[n].inputs; i++)
      own->needed[graph->value[graph->node[n].input[i]].node] = true;
}

static void find_phases(cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  int last = 0;
  for (int32_t n = 0; n < graph->nodes; n++) {
    const cohort_node *node = &graph->node[n];
    int phase = 0;
    for (int i = 0; i < node->inputs; i++)
      if (own->value_phase[node->input[i]] > phase) phase = own->value_phase[node->input[i]];
    own->phase[n] = phase;
    for (int i = 0; i < node->outputs; i++) own->value_phase[node->first + i] = phase + cohort_op_is_lane(node->op);
    if (own->needed[n] && phase + cohort_op_is_lane(node->op) > last) last = phase + cohort_op_is_lane(node->op);
  }
  own->phases = last + 1;
}

/* By phase, and inside a phase as the graph was built; lane operations stand at the exchange. */
static void find_order(cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  int time = 0;
  for (int phase = 0; phase < own->phases; phase++) {
    for (int32_t n = 0; n < graph->nodes; n++) {
      const cohort_op op = graph->node[n].op;
      if (!own->needed[n] || own->phase[n] != phase || cohort_op_is_leaf(op) || cohort_op_is_lane(op)) continue;
      own->time[n] = time;
      if (cohort_op_is_view(op)) continue;
      own->time[n] = ++time;
      own->order[own->ordered++] = n;
    }
    own->exchange_time[phase] = ++time;
    for (int32_t n = 0; n < graph->nodes; n++)
      if (own->needed[n] && own->phase[n] == phase && cohort_op_is_lane(graph->node[n].op)) own->time[n] = time;
  }
  own->end_time = time + 1;
}

static void find_roots(cohort_planner *own) {
  for (cohort_value v = 0; v < own->graph->values; v++) {
    const cohort_node *node = cohort_planner_node(own, v);
    own->root[v] = cohort_op_is_view(node->op) ? own->root[node->input[0]] : v;
  }
  for (int i = 0; i < own->outputs; i++) own->storage[own->root[own->output[i].value]].asked = true;
}

/* The largest first time and last time of each storage. */
static void use(cohort_planner *own, cohort_value value, int time) {
  cohort_storage *place = &own->storage[own->root[value]];
  if (time > place->last) place->last = time;
}

static void find_lifetimes(cohort_planner *own) {
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++) {
    cohort_storage *place = &own->storage[v];
    place->first = place->last = own->time[graph->value[v].node];
    place->interval = -1;
    place->external = COHORT_NO_VALUE;
  }
  for (int32_t n = 0; n < graph->nodes; n++) {
    const cohort_node *node = &graph->node[n];
    if (!own->needed[n] || cohort_op_is_view(node->op)) continue;
    for (int i = 0; i < node->inputs; i++) use(own, node->input[i], own->time[n]);
    for (int i = 0; cohort_op_is_lane(node->op) && i < node->inputs; i++) {
      use(own, node->input[i], own->end_time); /* both stay readable after the run */
      use(own, node->first, own->end_time);
    }
  }
  for (int i = 0; i < own->outputs; i++) use(own, own->output[i].value, own->end_time);
}

/* An external output is written in place when it is made in the last phase: in earlier ones it need not be bound
 * yet, unless the plan is cut, which moves borders of phases alone. */
static void find_externals(cohort_planner *own) {
  for (int i = 0; i < own->outputs; i++) {
    if (!own->output[i].external) continue;
    const cohort_value root = own->root[own->output[i].value];
    const cohort_node *node = cohort_planner_node(own, root);
    if (cohort_op_is_leaf(node->op) || cohort_op_is_lane(node->op)) continue;
    if (own->value_phase[root] == own->phases - 1 && own->storage[root].external == COHORT_NO_VALUE)
      own->storage[root].external = own->output[i].value;
  }
}

/* What an external output is added to lies in its memory too: later nodes first. */
static void find_external_bases(cohort_planner *own) {
  for (int32_t n = own->graph->nodes - 1; n >= 0; n--) {
    if (!own->needed[n]) continue;
    const cohort_value base = cohort_planner_base(own, &own->graph->node[n]);
    const cohort_value external = own->storage[own->graph->node[n].first].external;
    if (base != COHORT_NO_VALUE && external != COHORT_NO_VALUE && own->value_phase[base] == own->phases - 1)
      own->storage[base].external = external;
  }
}

static cohort_tensor tensor_of(const cohort_planner *own, cohort_value value) {
  const cohort_value_entry *entry = &own->graph->value[value];
  return (cohort_tensor){NULL, entry->shape, entry->type};
}

static void make_step(cohort_planner *own, int32_t n) {
  cohort_plan *plan = own->plan;
  const cohort_node *node = &own->graph->node[n];
  const cohort_node_set *set = cohort_planner_fused(own, n);
  const cohort_op op = set ? COHORT_OP_FUSION : node->op;
  cohort_step *step = &plan->step[plan->steps++];
  step->run = own->kernels->run[op];
  step->node = n;
  step->time = own->time[n];
  step->call.inputs = set ? set->inputs : node->inputs;
  step->call.outputs = set ? set->outputs : node->outputs;
  if (set) {
    plan->fusion[plan->fusions] = set->fusion;
    step->call.fusion = &plan->fusion[plan->fusions];
  } else {
    step->call.attributes = node->attributes;
  }
  for (int i = 0; i < step->call.inputs; i++)
    step->call.input[i] = tensor_of(own, set ? set->input[i] : node->input[i]);
  for (int i = 0; i < step->call.outputs; i++)
    step->call.output[i] = tensor_of(own, set ? set->output[i] : node->first + i);
  cohort_planner_shorten(own, n, step);
  cohort_planner_label(own, step, set, op);
  int first = own->time[n], last = own->time[n];
  if (cohort_planner_divide(own, n, step)) cohort_planner_widen(own, &first, &last);
  if (set) plan->fusion[plan->fusions++].elements /= step->parts;
  const size_t workspace = own->kernels->workspace[op] ? own->kernels->workspace[op](&step->call) : 0;
  step->has_workspace = workspace > 0;
  if (workspace) step->workspace_interval = cohort_planner_add_interval(own, workspace, first, last);
}

static cohort_status make_steps(cohort_planner *own, cohort_error *error) {
  for (int i = 0; i < own->ordered; i++) {
    const cohort_node *node = &own->graph->node[own->order[i]];
    if (!own->kernels->run[node->op])
      return cohort_fail(error, COHORT_BUG, "%s: %s has no kernel in %s; add it to the kernel set", node->name,
                         cohort_op_name(node->op), own->kernels->name);
    make_step(own, own->order[i]);
  }
  return COHORT_DONE;
}

static void add_copy(cohort_planner *own, cohort_location from, cohort_location to, size_t bytes) {
  own->plan->copy[own->plan->copies++] = (cohort_copy){from, to, bytes};
}

/* A lane operation reads and writes the lane's own memory: what is bound or constant is copied there. */
static void make_exchange(cohort_planner *own, int phase) {
  cohort_plan *plan = own->plan;
  const cohort_graph *graph = own->graph;
  for (int32_t n = 0; n < graph->nodes; n++) {
    const cohort_node *node = &graph->node[n];
    if (!own->needed[n] || !cohort_op_is_lane(node->op) || own->phase[n] != phase) continue;
    const cohort_value input = node->input[0];
    plan->lane_label[plan->lanes] = (cohort_lane_label){cohort_copy_text(node->name), graph->value[node->first].shape};
    plan->lane[plan->lanes++] =
        (cohort_lane_operation){.op = node->op,
                                .input = input,
                                .output = node->first,
                                .input_elements = cohort_shape_elements(graph->value[input].shape),
                                .output_elements = cohort_shape_elements(graph->value[node->first].shape),
                                .type = graph->value[input].type};
    if (plan->place[input].kind == COHORT_LOCATION_ARENA) continue;
    const cohort_location staged = {.kind = COHORT_LOCATION_ARENA,
                                    .value = input,
                                    .interval = cohort_planner_add_interval(own, cohort_planner_bytes(own, input),
                                                                            own->exchange_time[phase], own->end_time)};
    add_copy(own, plan->place[input], staged, cohort_planner_bytes(own, input));
    plan->place[input] = staged; /* for later reads from outside; steps have their own places */
  }
}

/* External outputs that their node could not write. */
static void copy_externals(cohort_planner *own) {
  for (int i = 0; i < own->outputs; i++) {
    const cohort_value value = own->output[i].value;
    if (!own->output[i].external || own->storage[own->root[value]].external == value) continue;
    if (cohort_op_is_leaf(cohort_planner_node(own, value)->op)) continue; /* it is where it is bound */
    const cohort_location target = {.kind = COHORT_LOCATION_BOUND, .value = value};
    add_copy(own, own->storage[own->root[value]].place, target, cohort_planner_bytes(own, value));
  }
}

/* Steps lie by phase already; copies and exchanges are added phase by phase. */
static void partition_phases(cohort_planner *own) {
  cohort_plan *plan = own->plan;
  int step = 0;
  for (int p = 0; p < own->phases; p++) {
    cohort_phase *phase = &plan->phase[p];
    phase->first_step = step;
    while (step < plan->steps && own->phase[plan->step[step].node] == p) step++;
    phase->last_step = step;
    phase->first_copy = plan->copies;
    phase->first_lane = plan->lanes;
    make_exchange(own, p);
    if (p == own->phases - 1) copy_externals(own);
    phase->last_copy = plan->copies;
    phase->last_lane = plan->lanes;
  }
  plan->phases = own->phases;
}

static void make_room(cohort_planner *own) {
  const size_t nodes = (size_t)own->graph->nodes + 1, values = (size_t)own->graph->values + 1;
  own->needed = cohort_allocate(nodes * sizeof *own->needed);
  own->phase = cohort_allocate(nodes * sizeof *own->phase);
  own->time = cohort_allocate(nodes * sizeof *own->time);
  own->order = cohort_allocate(nodes * sizeof *own->order);
  own->exchange_time = cohort_allocate(nodes * sizeof *own->exchange_time);
  own->value_phase = cohort_allocate(values * sizeof *own->value_phase);
  own->root = cohort_allocate(values * sizeof *own->root);
  own->storage = cohort_allocate(values * sizeof *own->storage);
  own->set = cohort_allocate(nodes * sizeof *own->set);
  own->tiling = cohort_allocate(nodes * sizeof *own->tiling);
}

static void make_plan_room(cohort_planner *own) {
  cohort_plan *plan = own->plan;
  const size_t values = (size_t)own->graph->values, nodes = (size_t)own->graph->nodes;
  plan->values = own->graph->values;
  plan->step = cohort_allocate(((size_t)own->ordered + 1) * sizeof *plan->step);
  plan->label = cohort_allocate(((size_t)own->ordered + 1) * sizeof *plan->label);
  size_t fusions = 0;
  for (int i = 0; i < own->ordered; i++) fusions += cohort_planner_fused(own, own->order[i]) != NULL;
  plan->fusion = cohort_allocate((fusions + 1) * sizeof *plan->fusion);
  plan->place = cohort_allocate((values + 1) * sizeof *plan->place);
  plan->interval = cohort_allocate((values + 2 * nodes + 1) * sizeof *plan->interval);
  plan->lane = cohort_allocate((nodes + 1) * sizeof *plan->lane);
  plan->lane_label = cohort_allocate((nodes + 1) * sizeof *plan->lane_label);
  plan->copy = cohort_allocate((nodes + (size_t)own->outputs + 1) * sizeof *plan->copy);
  plan->phase = cohort_allocate((size_t)own->phases * sizeof *plan->phase);
}

static void release_planner(cohort_planner *own) {
  cohort_planner_release_sets(own);
  free(own->set);
  free(own->tiling);
  free(own->needed);
  free(own->phase);
  free(own->time);
  free(own->order);
  free(own->exchange_time);
  free(own->value_phase);
  free(own->root);
  free(own->storage);
}

static void survey(cohort_planner *own) {
  make_room(own);
  mark_needed(own);
  find_phases(own);
  find_order(own);
  find_roots(own);
}

static cohort_status build(cohort_planner *own, cohort_error *error) {
  cohort_planner_fuse(own);
  cohort_planner_find_extents(own);
  find_lifetimes(own);
  find_externals(own);
  find_external_bases(own);
  cohort_planner_tile(own);
  make_plan_room(own);
  COHORT_TRY(cohort_planner_place_leaves(own, error));
  cohort_planner_place_computed(own);
  COHORT_TRY(make_steps(own, error));
  cohort_planner_fill_places(own);
  partition_phases(own);
  cohort_planner_allocate(own->plan);
  return COHORT_DONE;
}

cohort_status cohort_plan_create(const cohort_graph *graph, const cohort_kernel_set *kernels, int outputs,
                                 const cohort_plan_output *output, cohort_plan **out, cohort_error *error) {
  COHORT_TRY(cohort_graph_status(graph, error));
  for (int i = 0; i < outputs; i++)
    if (output[i].value < 0 || output[i].value >= graph->values)
      return cohort_fail(error, COHORT_BUG, "plan: output %d is no value of the graph; give it one", i);
  const cohort_planner empty = {.graph = graph, .kernels = kernels, .outputs = outputs, .output = output};
  cohort_planner own = empty;
  survey(&own);
  find_lifetimes(&own);
  cohort_graph *longer = cohort_planner_rematerialise(&own);
  if (longer) {
    release_planner(&own);
    own = empty;
    own.graph = longer;
    survey(&own);
  }
  own.plan = cohort_allocate(sizeof *own.plan);
  own.plan->given = graph->values;
  const cohort_status status = build(&own, error);
  release_planner(&own);
  cohort_planner_release_graph(longer);
  if (status != COHORT_DONE) {
    cohort_plan_destroy(own.plan);
    return status;
  }
  *out = own.plan;
  return COHORT_DONE;
}

void cohort_plan_destroy(cohort_plan *plan) {
  if (!plan) return;
  for (int i = 0; i < plan->steps; i++) free((char *)(uintptr_t)plan->label[i].name);
  for (int i = 0; i < plan->lanes; i++) free(plan->lane_label[i].name);
  free(plan->label);
  free(plan->lane_label);
  free(plan->event);
  free(plan->overlaid_offset);
  free(plan->step);
  free(plan->fusion);
  free(plan->copy);
  free(plan->lane);
  free(plan->phase);
  free(plan->place);
  free(plan->interval);
  free(plan->extent);
  cohort_memory_release(plan->fixed);
  free(plan);
}

size_t cohort_plan_arena_bytes(const cohort_plan *plan) { return plan->arena_bytes; }
int cohort_plan_phases(const cohort_plan *plan) { return plan->phases; }
int cohort_plan_extents(const cohort_plan *plan) { return plan->extents; }

int64_t cohort_plan_elements(const cohort_plan *plan, cohort_value value, int64_t elements, const int64_t *extent) {
  const int own = plan->extent ? plan->extent[value] : 0;
  if (!own || !extent || !extent[own - 1]) return elements;
  return elements / plan->most[own - 1] * extent[own - 1];
}

int cohort_plan_nodes(const cohort_plan *plan) { return plan->steps; }
double cohort_plan_flops(const cohort_plan *plan) { return plan->flops; }
cohort_plan_step cohort_plan_step_at(const cohort_plan *plan, int step) { return plan->label[step]; }
int cohort_plan_lane_operations(const cohort_plan *plan, int phase, cohort_lane_operation *out, int capacity) {
  const cohort_phase *own = &plan->phase[phase];
  const int count = own->last_lane - own->first_lane;
  for (int i = 0; i < count && i < capacity; i++) out[i] = plan->lane[own->first_lane + i];
  return count;
}
