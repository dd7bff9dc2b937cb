/* The graph of a lane: built by a source, differentiated, planned, and bound to memory for each run.
 *
 *   source.build -> objectives, metrics -> gradients (trained spaces) -> Hessian products -> plan -> partition at
 * buckets phase 0: source.feed fills the inputs; every phase: bind parameters, inputs, the row of gradients -> executor
 *
 * A plan is the same for every lane of every rank. Bindings are written before each phase and read during it alone.
 * Building costs a few passes over the graph, once a run; binding costs a few stores a tensor and phase. */
#include "lane/graph.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/decompose.h"
#include "graph/gradient.h"
#include "graph/overlay.h"

typedef struct built_graph {
  cohort_graph *graph;
  cohort_lane_outputs outputs;
  cohort_value inverse_count;
} built_graph;

static built_graph build_graph(const cohort_lane_source *source, const cohort_lane_graph_options *options) {
  built_graph out = {.graph = cohort_graph_create()};
  cohort_graph_set_lanes(out.graph, options->lanes);
  out.outputs = options->subject ? source->build_subject(source->argument, out.graph, options->capacity,
                                                         options->subject, options->before)
                                 : source->build(source->argument, out.graph, options->capacity, options->training);
  out.inverse_count = cohort_graph_input(out.graph, "inverse_count", COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE);
  return out;
}

/* Second derivatives need small operations, where fused ones have none. */
static void decompose(built_graph *own) {
  cohort_value *map = cohort_allocate((size_t)cohort_graph_values(own->graph) * sizeof *map);
  cohort_graph *small = cohort_graph_decompose(own->graph, COHORT_DECOMPOSE_FOR_TWO, map);
  for (int i = 0; i < own->outputs.objectives; i++) own->outputs.objective[i] = map[own->outputs.objective[i]];
  for (int i = 0; i < own->outputs.metrics; i++) own->outputs.metric[i] = map[own->outputs.metric[i]];
  if (own->outputs.row != COHORT_NO_VALUE) own->outputs.row = map[own->outputs.row];
  own->inverse_count = map[own->inverse_count];
  free(map);
  cohort_graph_destroy(own->graph);
  own->graph = small;
}

cohort_status cohort_lane_source_graph(const cohort_lane_source *source, cohort_graph **out, cohort_error *error) {
  const cohort_lane_graph_options options = {.lanes = 1, .capacity = 1, .training = true};
  built_graph own = build_graph(source, &options);
  const cohort_status status = cohort_graph_status(own.graph, error);
  if (status != COHORT_DONE) {
    cohort_graph_destroy(own.graph);
    return status;
  }
  *out = own.graph;
  return COHORT_DONE;
}

static const cohort_space_tensor *find_tensor(const cohort_space *space, const char *name) {
  for (int t = 0; t < space->tensors; t++)
    if (strcmp(space->tensor[t].declared.name, name) == 0) return &space->tensor[t];
  return NULL;
}

static cohort_status list_parameters(cohort_lane_graph *own, const cohort_graph *graph, cohort_space *const *spaces,
                                     cohort_error *error) {
  own->tensors = cohort_graph_parameters(graph);
  const size_t count = (size_t)own->tensors + 1;
  own->parameter = cohort_allocate(count * sizeof *own->parameter);
  own->space = cohort_allocate(count * sizeof *own->space);
  own->offset = cohort_allocate(count * sizeof *own->offset);
  own->bucket = cohort_allocate(count * sizeof *own->bucket);
  own->frozen = cohort_allocate(count * sizeof *own->frozen);
  for (int t = 0; t < own->tensors; t++) {
    const cohort_parameter_tensor *declared = cohort_graph_parameter_at(graph, t, &own->parameter[t]);
    own->space[t] = own->bucket[t] = declared->space;
    const cohort_space_tensor *place = find_tensor(spaces[declared->space], declared->name);
    if (!place) return cohort_fail(error, COHORT_BUG, "model: the graph's tensor %s is in no space", declared->name);
    own->offset[t] = place->offset;
    own->frozen[t] = place->frozen;
  }
  return COHORT_DONE;
}

/* Frozen tensors get no gradient: nothing of it is ever in the graph. */
static bool is_trained(const cohort_lane_graph *own, int tensor) {
  return own->space[tensor] < (own->options.trained ? own->options.trained : 1);
}

/* What the graph keeps, and where. */
static cohort_status list_states(cohort_lane_graph *own, const cohort_graph *graph, cohort_error *error) {
  const cohort_space *space = own->options.state;
  own->states = cohort_graph_states(graph);
  const size_t count = (size_t)own->states + 1;
  own->state = cohort_allocate(count * sizeof *own->state);
  own->next = cohort_allocate(count * sizeof *own->next);
  own->kept = cohort_allocate(count * sizeof *own->kept);
  for (int i = 0; i < own->states; i++) {
    const cohort_parameter_tensor *declared = cohort_graph_state_at(graph, i, &own->state[i], &own->next[i]);
    if (!space)
      return cohort_fail(error, COHORT_BAD_CONFIG,
                         "%s: a model or loss that keeps numbers from step to step sees whole batches, not samples or "
                         "clients alone; take another",
                         declared->name);
    for (int t = 0; t < space->tensors; t++)
      if (strcmp(space->tensor[t].declared.name, declared->name) == 0) own->kept[i] = &space->tensor[t];
    if (!own->kept[i]) return cohort_fail(error, COHORT_BUG, "state: the graph's %s is in no space", declared->name);
  }
  return COHORT_DONE;
}

/* The trained tensors, packed, but those that a group freezes; at[i] is the tensor's number. */
static int trained(const cohort_lane_graph *own, cohort_value *wrt, int *at) {
  int count = 0;
  for (int t = 0; t < own->tensors; t++)
    if (is_trained(own, t) && !own->frozen[t]) {
      wrt[count] = own->parameter[t];
      at[count++] = t;
    }
  return count;
}

/* The objectives as one: weighted, or plainly summed. One of weight 0 is not differentiated at all. */
static cohort_value sum_objectives(const cohort_lane_graph *own, const built_graph *from) {
  cohort_value sum = COHORT_NO_VALUE;
  for (int i = 0; i < own->objectives; i++) {
    const double weight = own->options.summed ? own->options.weight[i] : 1;
    const cohort_value objective = from->outputs.objective[i];
    if (weight == 0) continue;
    const cohort_value term = weight == 1 ? objective : cohort_graph_scale(from->graph, objective, weight);
    sum = sum == COHORT_NO_VALUE ? term : cohort_graph_add(from->graph, sum, term);
  }
  return sum == COHORT_NO_VALUE ? cohort_graph_constant(from->graph, 0) : sum;
}

/* What a tensor that a group freezes has for a gradient: nothing is computed for it, but its place in the row is
 * filled, as that may hold another bucket's numbers. */
static void add_zeros(const cohort_lane_graph *own, const built_graph *from, cohort_value *gradient) {
  for (int t = 0; t < own->tensors; t++)
    if (is_trained(own, t) && own->frozen[t])
      gradient[t] = cohort_graph_broadcast(from->graph, cohort_graph_constant(from->graph, 0),
                                           cohort_graph_shape(from->graph, own->parameter[t]));
}

static void add_gradients(cohort_lane_graph *own, const built_graph *from) {
  const size_t count = (size_t)own->tensors + 1;
  cohort_value *wrt = cohort_allocate(count * sizeof *wrt), *gradients = cohort_allocate(count * sizeof *gradients);
  int *at = cohort_allocate(count * sizeof *at);
  const int tensors = trained(own, wrt, at);
  own->gradient = cohort_allocate(count * COHORT_MAX_OBJECTIVES * sizeof *own->gradient);
  for (int i = 0; i < own->vectors; i++) {
    const cohort_value objective = own->options.summed ? sum_objectives(own, from) : from->outputs.objective[i];
    cohort_graph_gradient(from->graph, objective, from->inverse_count, tensors, wrt, gradients);
    for (int t = 0; t < own->tensors; t++) own->gradient[i * own->tensors + t] = COHORT_NO_VALUE;
    for (int t = 0; t < tensors; t++) own->gradient[i * own->tensors + at[t]] = gradients[t];
    add_zeros(own, from, own->gradient + i * own->tensors);
  }
  free(at);
  free(gradients);
  free(wrt);
}

static void add_products(cohort_lane_graph *own, const built_graph *from) {
  const size_t count = (size_t)own->tensors + 1;
  cohort_value *wrt = cohort_allocate(count * sizeof *wrt), *directions = cohort_allocate(count * sizeof *directions);
  cohort_value *products = cohort_allocate(count * sizeof *products);
  cohort_value *gradients = cohort_allocate(count * sizeof *gradients);
  int *at = cohort_allocate(count * sizeof *at);
  own->direction = cohort_allocate(count * sizeof *own->direction);
  own->product = cohort_allocate(count * sizeof *own->product);
  const int tensors = trained(own, wrt, at);
  for (int t = 0; t < own->tensors; t++) own->direction[t] = own->product[t] = COHORT_NO_VALUE;
  for (int t = 0; t < tensors; t++) {
    char name[32];
    (void)snprintf(name, sizeof name, "direction%d", t);
    directions[t] = cohort_graph_input(from->graph, name, COHORT_TYPE_REAL, cohort_graph_shape(from->graph, wrt[t]));
  }
  /* The gradients that are there already, where there is one vector of them: of all objectives. */
  for (int t = 0; t < tensors; t++) gradients[t] = own->options.gradients ? own->gradient[at[t]] : COHORT_NO_VALUE;
  if (!own->options.gradients || own->vectors > 1)
    cohort_graph_gradient(from->graph, sum_objectives(own, from), from->inverse_count, tensors, wrt, gradients);
  cohort_graph_hessian_product(from->graph, tensors, gradients, wrt, directions, products);
  for (int t = 0; t < tensors; t++) {
    own->direction[at[t]] = directions[t];
    own->product[at[t]] = products[t];
  }
  add_zeros(own, from, own->product);
  free(at);
  free(gradients);
  free(products);
  free(directions);
  free(wrt);
}

static cohort_status make_plan(cohort_lane_graph *own, const built_graph *from, const cohort_kernel_set *kernels,
                               cohort_error *error) {
  const int vectors = own->options.gradients ? own->vectors + own->options.hessian_product : 0;
  cohort_plan_output *output =
      cohort_allocate((size_t)(own->tensors * vectors + own->scalars + own->states + 2) * sizeof *output);
  int outputs = 0;
  for (int i = 0; i < own->scalars; i++) output[outputs++] = (cohort_plan_output){own->scalar[i], false};
  if (own->row != COHORT_NO_VALUE) output[outputs++] = (cohort_plan_output){own->row, false};
  for (int i = 0; i < own->states; i++)
    if (own->next[i] != COHORT_NO_VALUE) output[outputs++] = (cohort_plan_output){own->next[i], false};
  for (int i = 0; own->options.gradients && i < own->vectors * own->tensors; i++)
    if (own->gradient[i] != COHORT_NO_VALUE) output[outputs++] = (cohort_plan_output){own->gradient[i], true};
  for (int t = 0; own->options.hessian_product && t < own->tensors; t++)
    if (own->product[t] != COHORT_NO_VALUE) output[outputs++] = (cohort_plan_output){own->product[t], true};
  cohort_status status = cohort_graph_status(from->graph, error);
  if (status == COHORT_DONE) status = cohort_plan_create(from->graph, kernels, outputs, output, &own->plan, error);
  free(output);
  return status;
}

static void list_inputs(cohort_lane_graph *own, const cohort_graph *graph, size_t real_size) {
  for (int i = 0; i < cohort_graph_inputs(graph); i++) {
    const char *name = NULL;
    const cohort_value value = cohort_graph_input_at(graph, i, &name);
    if (strcmp(name, "inverse_count") == 0 || strncmp(name, "direction", 9) == 0) continue;
    const bool real = cohort_graph_type(graph, value) == COHORT_TYPE_REAL;
    own->input[own->inputs] = value;
    own->input_bytes[own->inputs++] =
        (size_t)cohort_shape_elements(cohort_graph_shape(graph, value)) * (real ? real_size : sizeof(int32_t));
  }
}

static void list_scalars(cohort_lane_graph *own, const built_graph *from) {
  const cohort_lane_outputs *outputs = &from->outputs;
  for (int i = 0; i < outputs->objectives; i++)
    own->scalar[own->scalars++] =
        own->options.exact ? cohort_graph_summed(from->graph, outputs->objective[i]) : outputs->objective[i];
  for (int i = 0; i < outputs->metrics; i++) own->scalar[own->scalars++] = outputs->metric[i];
  for (int i = 0; i < own->scalars; i++)
    own->terms[i] = cohort_shape_elements(cohort_graph_shape(from->graph, own->scalar[i]));
}

cohort_status cohort_lane_graph_create(const cohort_lane_source *source, const cohort_lane_graph_options *options,
                                       cohort_space *const *spaces, const cohort_kernel_set *kernels,
                                       cohort_lane_graph **out, cohort_error *error) {
  cohort_lane_graph *own = cohort_allocate(sizeof *own);
  own->options = *options;
  built_graph from = build_graph(source, options);
  cohort_status status = cohort_graph_status(from.graph, error);
  if (status == COHORT_DONE && options->hessian_product) {
    decompose(&from);
    status = cohort_graph_status(from.graph, error);
  }
  if (status == COHORT_DONE) {
    own->objectives = from.outputs.objectives;
    own->vectors = options->summed ? 1 : own->objectives;
    list_scalars(own, &from);
    own->inverse_count = from.inverse_count;
    own->row = from.outputs.row;
    if (own->row != COHORT_NO_VALUE)
      own->row_elements = cohort_shape_elements(cohort_graph_shape(from.graph, own->row));
    list_inputs(own, from.graph, kernels->real_size);
    status = list_parameters(own, from.graph, spaces, error);
    if (status == COHORT_DONE) status = list_states(own, from.graph, error);
  }
  if (status == COHORT_DONE) {
    if (options->gradients) add_gradients(own, &from);
    if (options->hessian_product) add_products(own, &from);
    own->values = cohort_graph_values(from.graph);
    status = make_plan(own, &from, kernels, error);
  }
  cohort_graph_destroy(from.graph);
  if (status != COHORT_DONE) {
    cohort_lane_graph_destroy(own);
    return status;
  }
  *out = own;
  return COHORT_DONE;
}

void cohort_lane_graph_destroy(cohort_lane_graph *graph) {
  if (!graph) return;
  cohort_plan_destroy(graph->plan);
  free(graph->parameter);
  free(graph->space);
  free(graph->offset);
  free(graph->bucket);
  free(graph->frozen);
  free(graph->gradient);
  free(graph->direction);
  free(graph->product);
  free(graph->state);
  free(graph->next);
  free(graph->kept);
  free(graph);
}

/* Which tensor of the space begins at an offset. */
static int tensor_at(const cohort_space *space, int64_t offset) {
  int low = 0, high = space->tensors - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (space->tensor[middle].offset <= offset)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

cohort_status cohort_lane_graph_partition(cohort_lane_graph *graph, const cohort_space_layout *layout, int spaces,
                                          cohort_error *error) {
  int *read = cohort_allocate(2 * (size_t)(graph->values + 1) * sizeof *read), *written = read + graph->values + 1;
  for (int v = 0; v < graph->values; v++) read[v] = written[v] = -1;
  for (int t = 0; t < graph->tensors; t++) {
    const int64_t offset = layout->first[graph->space[t]] + graph->offset[t];
    const int bucket = graph->bucket[t] = layout->shards->bucket_of[tensor_at(layout->all, offset)];
    graph->offset[t] = offset - layout->shards->bucket[bucket].offset;
    if (graph->space[t] < spaces) read[graph->parameter[t]] = bucket;
    if (!is_trained(graph, t)) continue;
    for (int i = 0; graph->options.gradients && i < graph->vectors; i++)
      written[graph->gradient[i * graph->tensors + t]] = bucket;
    if (graph->options.hessian_product) written[graph->product[t]] = bucket;
  }
  const cohort_plan_bound_groups groups = {layout->first_bucket[spaces], read, written};
  const cohort_status status = cohort_plan_partition(graph->plan, &groups, error);
  free(read);
  return status;
}

/* From when on memory of a tensor's gradient is needed; for ever, where none is written, as what lies there stays. */
static int opened_at(const cohort_lane_graph *graph, int tensor, const int *opens) {
  return graph->gradient[tensor] == COHORT_NO_VALUE ? 0 : opens[graph->bucket[tensor]];
}

static void find_opens(const cohort_plan *plan, int *opens) {
  const cohort_plan_event *event;
  for (int phase = 0; phase < cohort_plan_phases(plan); phase++) {
    const int events = cohort_plan_events(plan, phase, &event);
    for (int i = 0; i < events; i++)
      if (event[i].kind == COHORT_PLAN_OPEN) opens[event[i].group] = phase;
  }
}

/* What lies between tensors stays as it is, too. */
void cohort_lane_graph_overlay(cohort_lane_graph *graph, const cohort_space_layout *layout, int executors) {
  const cohort_shards *shards = layout->shards;
  int *opens = cohort_allocate((size_t)(shards->buckets + 1) * sizeof *opens);
  cohort_interval *taken = cohort_allocate(2 * (size_t)(graph->tensors + 1) * sizeof *taken);
  int count = 0;
  find_opens(graph->plan, opens);
  for (int t = 0; t < graph->tensors; t++) {
    if (!is_trained(graph, t)) continue;
    const int64_t offset = shards->bucket[graph->bucket[t]].offset + graph->offset[t];
    const cohort_space_tensor *tensor = &shards->space->tensor[tensor_at(layout->all, offset)];
    const size_t begin = (size_t)offset * sizeof(float), bytes = (size_t)tensor->elements * sizeof(float);
    const size_t padding = cohort_round_up(bytes, COHORT_ALIGNMENT) - bytes;
    taken[count++] = (cohort_interval){bytes, begin, opened_at(graph, t, opens), INT_MAX};
    if (padding) taken[count++] = (cohort_interval){padding, begin + bytes, 0, INT_MAX};
  }
  const cohort_overlay overlay = {(size_t)cohort_space_layout_row(layout) * sizeof(float), executors, count, taken};
  cohort_plan_overlay(graph->plan, &overlay);
  free(taken);
  free(opens);
}

bool cohort_lane_graph_lockstep(const cohort_lane_graph *graph) { return cohort_plan_has_lane_operations(graph->plan); }

cohort_status cohort_lane_context_create(int graphs, cohort_lane_graph *const *graph, int slots, int threads,
                                         cohort_lane_context *out, cohort_error *error) {
  size_t arena = 0, input_bytes[COHORT_MAX_TASK_INPUTS] = {0};
  int32_t values = 0;
  int64_t capacity = 0;
  memset(out, 0, sizeof *out);
  out->slots = slots;
  out->team = (cohort_team){threads};
  for (int g = 0; g < graphs; g++) {
    if (cohort_plan_arena_bytes(graph[g]->plan) > arena) arena = cohort_plan_arena_bytes(graph[g]->plan);
    const int32_t bound = graph[g]->values + cohort_plan_overlaid(graph[g]->plan);
    if (bound > values) values = bound;
    if (graph[g]->options.capacity > capacity) capacity = graph[g]->options.capacity;
    for (int i = 0; i < graph[g]->inputs; i++)
      if (graph[g]->input_bytes[i] > input_bytes[i]) input_bytes[i] = graph[g]->input_bytes[i];
  }
  COHORT_TRY(cohort_executor_create(arena, out->slots, threads, &out->executor, error));
  out->memory = cohort_allocate((size_t)(values + 1) * sizeof *out->memory);
  out->position = cohort_allocate((size_t)(capacity + 1) * sizeof *out->position);
  out->extent = cohort_allocate((size_t)out->slots * sizeof *out->extent);
  out->input = cohort_allocate((size_t)out->slots * COHORT_MAX_TASK_INPUTS * sizeof *out->input);
  for (int s = 0; s < out->slots; s++)
    for (int i = 0; i < COHORT_MAX_TASK_INPUTS; i++)
      if (input_bytes[i])
        COHORT_TRY(cohort_memory_create(input_bytes[i], "inputs", &out->input[s * COHORT_MAX_TASK_INPUTS + i], error));
  return COHORT_DONE;
}

void cohort_lane_context_release(cohort_lane_context *context) {
  cohort_executor_destroy(context->executor);
  for (int i = 0; context->input && i < context->slots * COHORT_MAX_TASK_INPUTS; i++)
    cohort_memory_release(context->input[i]);
  free(context->input);
  free(context->memory);
  free(context->position);
  free(context->extent);
  memset(context, 0, sizeof *context);
}

void cohort_lane_context_record(cohort_lane_context *context, cohort_recorder *recorder) {
  context->recorder = recorder;
  cohort_executor_record(context->executor, recorder);
}

/* Where each leaf and external output lies. Bindings are only read during the run. */
static void bind(const cohort_lane_graph *graph, cohort_lane_context *context, int slot, const cohort_lane_pass *run) {
  void **memory = context->memory;
  for (int i = 0; i < graph->inputs; i++) memory[graph->input[i]] = context->input[slot * COHORT_MAX_TASK_INPUTS + i];
  context->inverse_count = (float)run->inverse_count;
  memory[graph->inverse_count] = &context->inverse_count;
  for (int i = 0; i < graph->states; i++)
    memory[graph->state[i]] = (void *)(uintptr_t)(run->state + graph->kept[i]->offset);
  cohort_plan_bind_overlaid(graph->plan, run->executor, run->leftmost, memory);
  for (int t = 0; t < graph->tensors; t++) {
    const int64_t offset = graph->offset[t];
    const int bucket = graph->bucket[t];
    memory[graph->parameter[t]] = (void *)(uintptr_t)(run->point[bucket] ? run->point[bucket] + offset : NULL);
    if (!is_trained(graph, t) || !graph->options.gradients || !run->row || !run->row->base) continue;
    float *row = run->row->base + run->row->place[bucket] + offset;
    for (int i = 0; i < graph->vectors; i++, row += run->row->vector)
      memory[graph->gradient[i * graph->tensors + t]] = row;
    if (!graph->options.hessian_product) continue;
    if (graph->direction[t] != COHORT_NO_VALUE)
      memory[graph->direction[t]] = (void *)(uintptr_t)(run->direction[bucket] + offset);
    memory[graph->product[t]] = row;
  }
}

static void feed(const cohort_lane_source *source, const cohort_lane_graph *graph, cohort_lane_context *context,
                 int slot, const cohort_lane_pass *run) {
  cohort_feed own = {.split = run->split,
                     .direct = run->direct,
                     .plain = run->plain,
                     .capacity = graph->options.capacity,
                     .count = run->count,
                     .position = context->position,
                     .first = run->first,
                     .samples = run->samples,
                     .lane = run->lane,
                     .relabel = run->relabel,
                     .team = &context->team};
  double bytes = 0;
  for (int i = 0; i < graph->inputs; i++) {
    own.input[i] = context->input[slot * COHORT_MAX_TASK_INPUTS + i];
    bytes += (double)graph->input_bytes[i];
  }
  const double start = cohort_recorder_start(context->recorder);
  source->feed(source->argument, &own);
  memcpy(context->extent[slot], own.extent, sizeof own.extent);
  cohort_recorder_stop(context->recorder, COHORT_ACTIVITY_INPUT, start, bytes);
}

static void blank_operations(const cohort_lane_graph *graph, const cohort_lane_context *context, int phase, int slot,
                             const cohort_bindings *bindings) {
  cohort_lane_operation operation[COHORT_MAX_LANE_OPERATIONS];
  const int count = cohort_plan_lane_operations(graph->plan, phase, operation, COHORT_MAX_LANE_OPERATIONS);
  for (int i = 0; i < count; i++)
    memset(cohort_executor_value(context->executor, graph->plan, slot, operation[i].input, bindings), 0,
           (size_t)operation[i].input_elements * sizeof(float));
}

bool cohort_lane_graph_run(const cohort_lane_source *source, const cohort_lane_graph *graph,
                           cohort_lane_context *context, int phase, int slot, const cohort_lane_pass *run) {
  if (phase == 0 && !cohort_executor_stopped(context->executor)) feed(source, graph, context, slot, run);
  bind(graph, context, slot, run);
  const cohort_bindings bindings = {context->memory, run->random_key, context->extent[slot]};
  const bool whole = cohort_executor_run(context->executor, graph->plan, phase, slot, &bindings);
  const bool last = phase == cohort_plan_phases(graph->plan) - 1;
  if (!whole && !last) blank_operations(graph, context, phase, slot, &bindings);
  if (!last) return whole;
  if (run->kept && graph->row != COHORT_NO_VALUE)
    memcpy(run->kept, cohort_executor_value(context->executor, graph->plan, slot, graph->row, &bindings),
           (size_t)graph->row_elements * sizeof(float));
  for (int i = 0; run->next && i < graph->states; i++)
    if (graph->next[i] != COHORT_NO_VALUE)
      memcpy(run->next + graph->kept[i]->offset,
             cohort_executor_value(context->executor, graph->plan, slot, graph->next[i], &bindings),
             (size_t)graph->kept[i]->elements * sizeof(float));
  for (int i = 0; i < graph->scalars; i++) {
    const float *term = cohort_executor_value(context->executor, graph->plan, slot, graph->scalar[i], &bindings);
    const int64_t terms = cohort_plan_elements(graph->plan, graph->scalar[i], graph->terms[i], context->extent[slot]);
    run->scalars[i] = 0;
    for (int64_t t = 0; t < terms; t++) run->scalars[i] += (double)term[t];
  }
  return whole;
}
