#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planned.h"

/* Memory that values share: a value that is no view, and all views of it. Indexed by that value, its root. */
typedef struct storage {
  cohort_place place;
  int first, last;       /* when in use */
  int32_t interval;      /* -1: none */
  cohort_value external; /* the output whose bound memory it is written into, or COHORT_NO_VALUE */
} storage;

/* What is known while a plan is made. Times: each needed node has one, and each end of a phase (its exchange) one. */
typedef struct draft {
  const cohort_graph *graph;
  const cohort_kernel_set *kernels;
  int outputs;
  const cohort_plan_output *output;
  bool *needed;       /* [nodes] */
  int *phase;         /* [nodes]: in which it runs; a lane operation: that it ends */
  int *value_phase;   /* [values]: in which it is first there */
  int *time;          /* [nodes] */
  int *exchange_time; /* [phases] */
  int32_t *order;     /* needed nodes that are no leaves, by phase */
  int ordered, phases, end_time;
  cohort_value *root; /* [values] */
  storage *storage;   /* [values], by root */
  cohort_plan *plan;
} draft;

static size_t element_bytes(const draft *own, cohort_type type) {
  return type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : own->kernels->real_size;
}

static size_t value_bytes(const draft *own, cohort_value value) {
  const cohort_value_entry *entry = &own->graph->value[value];
  return (size_t)cohort_shape_elements(entry->shape) * element_bytes(own, entry->type);
}

static const cohort_node *node_of(const draft *own, cohort_value value) {
  return &own->graph->node[own->graph->value[value].node];
}

static void mark_needed(draft *own) {
  const cohort_graph *graph = own->graph;
  for (int i = 0; i < own->outputs; i++) own->needed[graph->value[own->output[i].value].node] = true;
  for (int32_t n = graph->nodes - 1; n >= 0; n--)
    for (int i = 0; own->needed[n] && i < graph->node[n].inputs; i++)
      own->needed[graph->value[graph->node[n].input[i]].node] = true;
}

static void find_phases(draft *own) {
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
static void find_order(draft *own) {
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

/* The largest first time and last time of each storage. */
static void use(draft *own, cohort_value value, int time) {
  storage *place = &own->storage[own->root[value]];
  if (time > place->last) place->last = time;
}

static void find_lifetimes(draft *own) {
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++) {
    const cohort_node *node = node_of(own, v);
    own->root[v] = cohort_op_is_view(node->op) ? own->root[node->input[0]] : v;
    const int time = own->time[graph->value[v].node];
    own->storage[v] = (storage){.first = time, .last = time, .interval = -1, .external = COHORT_NO_VALUE};
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

/* An external output is written in place when its memory is made in the last phase: earlier ones need not be bound yet.
 */
static void find_externals(draft *own) {
  for (int i = 0; i < own->outputs; i++) {
    if (!own->output[i].external) continue;
    const cohort_value root = own->root[own->output[i].value];
    const cohort_node *node = node_of(own, root);
    if (cohort_op_is_leaf(node->op) || cohort_op_is_lane(node->op)) continue;
    if (own->value_phase[root] == own->phases - 1 && own->storage[root].external == COHORT_NO_VALUE)
      own->storage[root].external = own->output[i].value;
  }
}

static int add_interval(draft *own, size_t bytes, int first, int last) {
  cohort_plan *plan = own->plan;
  plan->interval[plan->intervals] =
      (cohort_interval){.bytes = cohort_round_up(bytes ? bytes : 1, COHORT_ALIGNMENT), .first = first, .last = last};
  return plan->intervals++;
}

static size_t fixed_bytes(const draft *own) {
  size_t bytes = 0;
  for (int32_t n = 0; n < own->graph->nodes; n++) {
    const cohort_node *node = &own->graph->node[n];
    if (own->needed[n] && (node->op == COHORT_OP_CONSTANT || node->op == COHORT_OP_IOTA))
      bytes += cohort_round_up(value_bytes(own, node->first), COHORT_ALIGNMENT);
  }
  return bytes;
}

static void fill_fixed(const draft *own, const cohort_node *node, void *memory) {
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

static cohort_status place_leaves(draft *own, cohort_error *error) {
  COHORT_TRY(cohort_memory_create(fixed_bytes(own), "constants of a plan", &own->plan->fixed, error));
  size_t offset = 0;
  for (int32_t n = 0; n < own->graph->nodes; n++) {
    const cohort_node *node = &own->graph->node[n];
    if (!own->needed[n] || !cohort_op_is_leaf(node->op)) continue;
    storage *place = &own->storage[node->first];
    if (node->op == COHORT_OP_CONSTANT || node->op == COHORT_OP_IOTA) {
      place->place = (cohort_place){COHORT_PLACE_FIXED, node->first, offset};
      fill_fixed(own, node, (char *)own->plan->fixed + offset);
      offset += cohort_round_up(value_bytes(own, node->first), COHORT_ALIGNMENT);
    } else {
      place->place = (cohort_place){.kind = COHORT_PLACE_BOUND, .value = node->first};
    }
  }
  return COHORT_DONE;
}

static void place_computed(draft *own) {
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++) {
    const cohort_node *node = node_of(own, v);
    storage *place = &own->storage[v];
    if (!own->needed[graph->value[v].node] || cohort_op_is_leaf(node->op) || cohort_op_is_view(node->op)) continue;
    if (place->external != COHORT_NO_VALUE) {
      place->place = (cohort_place){.kind = COHORT_PLACE_BOUND, .value = place->external};
    } else {
      place->interval = add_interval(own, value_bytes(own, v), place->first, place->last);
      place->place = (cohort_place){.kind = COHORT_PLACE_ARENA, .value = v};
    }
  }
}

/* The gradient transform puts all its nodes into a scope of its own (gradient.c). */
static bool is_backward(const cohort_node *node) { return strncmp(node->name, "gradient/", 9) == 0; }

static void label_step(draft *own, const cohort_node *node, const cohort_call *call) {
  cohort_plan_step *label = &own->plan->label[own->plan->steps - 1];
  *label = (cohort_plan_step){.name = cohort_copy_text(node->name),
                              .op = node->op,
                              .backward = is_backward(node),
                              .flops = cohort_op_flops(node->op, call)};
  for (int i = 0; i < node->inputs; i++) label->bytes += (double)value_bytes(own, node->input[i]);
  for (int i = 0; i < node->outputs; i++) label->bytes += (double)value_bytes(own, node->first + i);
  own->plan->flops += label->flops;
}

static void make_step(draft *own, int32_t n) {
  const cohort_graph *graph = own->graph;
  const cohort_node *node = &graph->node[n];
  cohort_step *step = &own->plan->step[own->plan->steps++];
  step->run = own->kernels->run[node->op];
  step->node = n;
  step->call.inputs = node->inputs;
  step->call.outputs = node->outputs;
  step->call.attributes = node->attributes;
  for (int i = 0; i < node->inputs; i++) {
    const cohort_value_entry *entry = &graph->value[node->input[i]];
    step->call.input[i] = (cohort_tensor){NULL, entry->shape, entry->type};
  }
  for (int i = 0; i < node->outputs; i++) {
    const cohort_value_entry *entry = &graph->value[node->first + i];
    step->call.output[i] = (cohort_tensor){NULL, entry->shape, entry->type};
  }
  label_step(own, node, &step->call);
  const size_t workspace = own->kernels->workspace[node->op] ? own->kernels->workspace[node->op](&step->call) : 0;
  step->has_workspace = workspace > 0;
  if (workspace) step->workspace = (size_t)add_interval(own, workspace, own->time[n], own->time[n]);
}

static cohort_status make_steps(draft *own, cohort_error *error) {
  for (int i = 0; i < own->ordered; i++) {
    const cohort_node *node = &own->graph->node[own->order[i]];
    if (!own->kernels->run[node->op])
      return cohort_fail(error, COHORT_BUG, "%s: %s has no kernel in %s; add it to the kernel set", node->name,
                         cohort_op_name(node->op), own->kernels->name);
    make_step(own, own->order[i]);
  }
  return COHORT_DONE;
}

static void add_copy(draft *own, cohort_place from, cohort_place to, size_t bytes) {
  own->plan->copy[own->plan->copies++] = (cohort_copy){from, to, bytes};
}

/* A lane operation reads and writes the lane's own memory: what is bound or constant is copied there. */
static void make_exchange(draft *own, int phase) {
  cohort_plan *plan = own->plan;
  const cohort_graph *graph = own->graph;
  for (int32_t n = 0; n < graph->nodes; n++) {
    const cohort_node *node = &graph->node[n];
    if (!own->needed[n] || !cohort_op_is_lane(node->op) || own->phase[n] != phase) continue;
    const cohort_value input = node->input[0];
    plan->lane[plan->lanes++] =
        (cohort_lane_operation){.op = node->op,
                                .input = input,
                                .output = node->first,
                                .input_elements = cohort_shape_elements(graph->value[input].shape),
                                .output_elements = cohort_shape_elements(graph->value[node->first].shape),
                                .type = graph->value[input].type};
    if (plan->place[input].kind == COHORT_PLACE_ARENA) continue;
    const cohort_place staged = {
        .kind = COHORT_PLACE_ARENA,
        .value = input,
        .offset = (size_t)add_interval(own, value_bytes(own, input), own->exchange_time[phase], own->end_time)};
    add_copy(own, plan->place[input], staged, value_bytes(own, input));
    plan->place[input] = staged; /* for later reads from outside; steps have their own places */
  }
}

/* External outputs that their node could not write. */
static void copy_externals(draft *own) {
  for (int i = 0; i < own->outputs; i++) {
    const cohort_value value = own->output[i].value;
    if (!own->output[i].external || own->storage[own->root[value]].external == value) continue;
    if (cohort_op_is_leaf(node_of(own, value)->op)) continue; /* it is where it is bound */
    const cohort_place target = {.kind = COHORT_PLACE_BOUND, .value = value};
    add_copy(own, own->storage[own->root[value]].place, target, value_bytes(own, value));
  }
}

/* Offsets of places were the number of their interval so far. */
static void settle(const draft *own, cohort_place *place) {
  if (place->kind == COHORT_PLACE_ARENA) place->offset = own->plan->interval[place->offset].offset;
}

static void settle_places(draft *own) {
  cohort_plan *plan = own->plan;
  plan->arena_bytes = cohort_allocate_intervals(plan->intervals, plan->interval);
  for (int i = 0; i < plan->steps; i++) {
    cohort_step *step = &plan->step[i];
    for (int k = 0; k < step->call.inputs; k++) settle(own, &step->input[k]);
    for (int k = 0; k < step->call.outputs; k++) settle(own, &step->output[k]);
    if (step->has_workspace) step->workspace = plan->interval[step->workspace].offset;
  }
  for (int i = 0; i < plan->copies; i++) {
    settle(own, &plan->copy[i].from);
    settle(own, &plan->copy[i].to);
  }
  for (cohort_value v = 0; v < plan->values; v++) settle(own, &plan->place[v]);
}

static void fill_places(draft *own) {
  cohort_plan *plan = own->plan;
  const cohort_graph *graph = own->graph;
  for (cohort_value v = 0; v < graph->values; v++) {
    if (!own->needed[graph->value[v].node]) continue;
    storage *place = &own->storage[own->root[v]];
    if (place->place.kind == COHORT_PLACE_ARENA) place->place.offset = (size_t)place->interval;
    plan->place[v] = place->place;
  }
  for (int i = 0; i < plan->steps; i++) {
    cohort_step *step = &plan->step[i];
    const cohort_node *node = &graph->node[step->node];
    for (int k = 0; k < node->inputs; k++) step->input[k] = plan->place[node->input[k]];
    for (int k = 0; k < node->outputs; k++) step->output[k] = plan->place[node->first + k];
  }
}

/* Steps lie by phase already; copies and exchanges are added phase by phase. */
static void cut_phases(draft *own) {
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

static void describe(draft *own) {
  cohort_plan *plan = own->plan;
  size_t length = 0;
  FILE *text = open_memstream(&plan->description, &length);
  if (!text) return;
  for (int p = 0; p < plan->phases; p++) {
    const cohort_phase *phase = &plan->phase[p];
    for (int i = phase->first_step; i < phase->last_step; i++) {
      const cohort_step *step = &plan->step[i];
      const cohort_node *node = &own->graph->node[step->node];
      char shape[COHORT_SHAPE_TEXT];
      fprintf(text, "%d %s %s %s ", p, node->name, cohort_op_name(node->op),
              cohort_shape_text(step->call.output[0].shape, shape));
      if (step->output[0].kind == COHORT_PLACE_ARENA) {
        fprintf(text, "%zu\n", step->output[0].offset);
      } else {
        fprintf(text, "external\n");
      }
    }
    for (int i = phase->first_lane; i < phase->last_lane; i++) {
      const cohort_value output = plan->lane[i].output;
      char shape[COHORT_SHAPE_TEXT];
      fprintf(text, "%d %s %s %s lanes\n", p, node_of(own, output)->name, cohort_op_name(plan->lane[i].op),
              cohort_shape_text(own->graph->value[output].shape, shape));
    }
  }
  (void)fclose(text);
}

static void make_room(draft *own) {
  const size_t nodes = (size_t)own->graph->nodes + 1, values = (size_t)own->graph->values + 1;
  own->needed = cohort_allocate(nodes * sizeof *own->needed);
  own->phase = cohort_allocate(nodes * sizeof *own->phase);
  own->time = cohort_allocate(nodes * sizeof *own->time);
  own->order = cohort_allocate(nodes * sizeof *own->order);
  own->exchange_time = cohort_allocate(nodes * sizeof *own->exchange_time);
  own->value_phase = cohort_allocate(values * sizeof *own->value_phase);
  own->root = cohort_allocate(values * sizeof *own->root);
  own->storage = cohort_allocate(values * sizeof *own->storage);
}

static void make_plan_room(draft *own) {
  cohort_plan *plan = own->plan;
  const size_t values = (size_t)own->graph->values, nodes = (size_t)own->graph->nodes;
  plan->values = own->graph->values;
  plan->step = cohort_allocate(((size_t)own->ordered + 1) * sizeof *plan->step);
  plan->label = cohort_allocate(((size_t)own->ordered + 1) * sizeof *plan->label);
  plan->place = cohort_allocate((values + 1) * sizeof *plan->place);
  plan->interval = cohort_allocate((values + 2 * nodes + 1) * sizeof *plan->interval);
  plan->lane = cohort_allocate((nodes + 1) * sizeof *plan->lane);
  plan->copy = cohort_allocate((nodes + (size_t)own->outputs + 1) * sizeof *plan->copy);
  plan->phase = cohort_allocate((size_t)own->phases * sizeof *plan->phase);
}

static void release_draft(draft *own) {
  free(own->needed);
  free(own->phase);
  free(own->time);
  free(own->order);
  free(own->exchange_time);
  free(own->value_phase);
  free(own->root);
  free(own->storage);
}

static cohort_status build(draft *own, cohort_error *error) {
  mark_needed(own);
  find_phases(own);
  find_order(own);
  find_lifetimes(own);
  find_externals(own);
  make_plan_room(own);
  COHORT_TRY(place_leaves(own, error));
  place_computed(own);
  COHORT_TRY(make_steps(own, error));
  fill_places(own);
  cut_phases(own);
  settle_places(own);
  describe(own);
  return COHORT_DONE;
}

cohort_status cohort_plan_create(const cohort_graph *graph, const cohort_kernel_set *kernels, int outputs,
                                 const cohort_plan_output *output, cohort_plan **out, cohort_error *error) {
  COHORT_TRY(cohort_graph_status(graph, error));
  for (int i = 0; i < outputs; i++)
    if (output[i].value < 0 || output[i].value >= graph->values)
      return cohort_fail(error, COHORT_BUG, "plan: output %d is no value of the graph; give it one", i);
  draft own = {.graph = graph, .kernels = kernels, .outputs = outputs, .output = output};
  own.plan = cohort_allocate(sizeof *own.plan);
  make_room(&own);
  const cohort_status status = build(&own, error);
  release_draft(&own);
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
  free(plan->label);
  free(plan->step);
  free(plan->copy);
  free(plan->lane);
  free(plan->phase);
  free(plan->place);
  free(plan->interval);
  free(plan->description);
  cohort_memory_release(plan->fixed);
  free(plan);
}

size_t cohort_plan_arena_bytes(const cohort_plan *plan) { return plan->arena_bytes; }
int cohort_plan_phases(const cohort_plan *plan) { return plan->phases; }
int cohort_plan_nodes(const cohort_plan *plan) { return plan->steps; }
double cohort_plan_flops(const cohort_plan *plan) { return plan->flops; }
cohort_plan_step cohort_plan_step_at(const cohort_plan *plan, int step) { return plan->label[step]; }
char *cohort_plan_describe(const cohort_plan *plan) {
  return cohort_copy_text(plan->description ? plan->description : "");
}

int cohort_plan_lane_operations(const cohort_plan *plan, int phase, cohort_lane_operation *out, int capacity) {
  const cohort_phase *own = &plan->phase[phase];
  const int count = own->last_lane - own->first_lane;
  for (int i = 0; i < count && i < capacity; i++) out[i] = plan->lane[own->first_lane + i];
  return count;
}
