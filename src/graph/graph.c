/* Building: nodes, scoped names, parameters, inputs, and the first fault. Values are numbered in order of creation, so
 * every input of a node has a smaller number than its outputs. Adding a node takes constant time: names and shapes are
 * looked up in tables that double. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/decompose.h"
#include "graph/node.h"

cohort_graph *cohort_graph_create(void) {
  cohort_graph *graph = cohort_allocate(sizeof *graph);
  graph->lanes = 1;
  return graph;
}

void cohort_graph_destroy(cohort_graph *graph) {
  if (!graph) return;
  for (int32_t n = 0; n < graph->nodes; n++) free(graph->node[n].name);
  for (int p = 0; p < graph->parameters; p++) free(graph->parameter[p]);
  for (int i = 0; i < graph->inputs; i++) free(graph->input[i].name);
  for (size_t i = 0; i < graph->name_slots; i++) free(graph->name[i].name);
  free(graph->node);
  free(graph->value);
  free(graph->parameter);
  for (int i = 0; i < graph->states; i++) free(graph->state[i]);
  free(graph->state);
  free(graph->input);
  free(graph->constant);
  free(graph->name);
  free(graph);
}

cohort_status cohort_graph_status(const cohort_graph *graph, cohort_error *error) {
  if (graph->error.status != COHORT_DONE && error) *error = graph->error;
  return graph->error.status;
}

bool cohort_graph_failed(const cohort_graph *graph) { return graph->error.status != COHORT_DONE; }

void cohort_graph_fault(cohort_graph *graph, const char *name, const char *format, ...) {
  if (cohort_graph_failed(graph)) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  cohort_fail(&graph->error, COHORT_BAD_CONFIG, "%s: %s", name, text);
}

cohort_shape cohort_shape_of(int axes, ...) {
  cohort_shape shape = {.axes = axes < COHORT_MAX_AXES ? axes : COHORT_MAX_AXES};
  va_list arguments;
  va_start(arguments, axes);
  /* An int fills the lower half of an int64_t's place, the upper half is undefined; no axis needs more than 32 bits. */
  for (int axis = 0; axis < shape.axes; axis++) shape.size[axis] = (int32_t)va_arg(arguments, int64_t);
  va_end(arguments);
  return shape;
}

void cohort_graph_set_lanes(cohort_graph *graph, int lanes) { graph->lanes = lanes; }

const char *cohort_role_name(cohort_role role) {
  static const char *const names[] = {"matrix", "kernel", "vector", "gain", "embedding", "head", "scalar"};
  return (unsigned)role <= COHORT_ROLE_SCALAR ? names[role] : "unknown";
}

/* Scopes and names. */

void cohort_graph_enter(cohort_graph *graph, const char *format, ...) {
  char part[256];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(part, sizeof part, format, arguments);
  va_end(arguments);
  if (graph->depth == COHORT_MAX_DEPTH) {
    cohort_graph_fault(graph, graph->scope, "more than %d scopes; leave a scope for each that is entered",
                       COHORT_MAX_DEPTH);
    return;
  }
  const size_t length = strlen(graph->scope);
  graph->scope_length[graph->depth++] = length;
  (void)snprintf(graph->scope + length, sizeof graph->scope - length, "%s%s", length ? "/" : "", part);
}

void cohort_graph_enter_space(cohort_graph *graph, const char *name) {
  if (graph->space_depth)
    cohort_graph_fault(graph, graph->scope, "the scope of a space inside another; leave the first");
  cohort_graph_enter(graph, "%s", name);
  graph->space_depth = graph->depth;
  graph->space_length = strlen(graph->scope) + 1;
}

void cohort_graph_leave(cohort_graph *graph) {
  if (graph->depth == 0) {
    cohort_graph_fault(graph, "graph", "left a scope that was not entered; enter it first");
    return;
  }
  if (graph->depth == graph->space_depth) {
    graph->space_depth = 0;
    graph->space_length = 0;
  }
  graph->scope[graph->scope_length[--graph->depth]] = 0;
}

void cohort_graph_set_scope(cohort_graph *graph, cohort_graph_scope *saved, const char *prefix, const char *name) {
  memcpy(saved->text, graph->scope, sizeof saved->text);
  saved->depth = graph->depth;
  (void)snprintf(graph->scope, sizeof graph->scope, "%s%s%s", prefix, prefix[0] ? "/" : "", name);
}

void cohort_graph_restore_scope(cohort_graph *graph, const cohort_graph_scope *saved) {
  memcpy(graph->scope, saved->text, sizeof graph->scope);
  graph->depth = saved->depth;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_text(const char *text) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
  return hash;
}

static cohort_name_count *find_name(cohort_name_count *table, size_t slots, const char *name) {
  size_t slot = (size_t)hash_text(name) & (slots - 1);
  while (table[slot].name && strcmp(table[slot].name, name) != 0) slot = (slot + 1) & (slots - 1);
  return &table[slot];
}

static void grow_names(cohort_graph *graph) {
  if (2 * graph->names < graph->name_slots) return;
  const size_t slots = graph->name_slots ? 2 * graph->name_slots : 64;
  cohort_name_count *table = cohort_allocate(slots * sizeof *table);
  for (size_t i = 0; i < graph->name_slots; i++)
    if (graph->name[i].name) *find_name(table, slots, graph->name[i].name) = graph->name[i];
  free(graph->name);
  graph->name = table;
  graph->name_slots = slots;
}

/* Counts one more use of the name; returns how many there are. */
static int count_name(cohort_graph *graph, const char *name) {
  grow_names(graph);
  cohort_name_count *found = find_name(graph->name, graph->name_slots, name);
  if (!found->name) {
    found->name = cohort_copy_text(name);
    graph->names++;
  }
  return ++found->count;
}

/* The name itself, or with #2, #3, ... when it was used before. Owned by the caller. */
static char *unique_name(cohort_graph *graph, const char *name) {
  int count = count_name(graph, name);
  if (count == 1) return cohort_copy_text(name);
  for (;; count = count_name(graph, name)) {
    char *candidate = cohort_format_text("%s#%d", name, count);
    if (count_name(graph, candidate) == 1) return candidate;
    free(candidate);
  }
}

/* Nodes. */

static void *grown(void *memory, int count, int *room, size_t size) {
  if (count < *room) return memory;
  *room = *room ? 2 * *room : 64;
  return cohort_reallocate(memory, (size_t)*room * size);
}

cohort_value cohort_graph_append(cohort_graph *graph, const char *name, cohort_op op, int inputs,
                                 const cohort_value *input, const cohort_attributes *attributes, int outputs,
                                 const cohort_shape *shape, const cohort_type *type) {
  char full[COHORT_MAX_SCOPE + 64];
  (void)snprintf(full, sizeof full, "%s%s%s", graph->scope, graph->scope[0] ? "/" : "", cohort_op_name(op));
  graph->node = grown(graph->node, graph->nodes, &graph->node_room, sizeof *graph->node);
  cohort_node *node = &graph->node[graph->nodes];
  memset(node, 0, sizeof *node);
  node->op = op;
  node->inputs = inputs;
  node->outputs = outputs;
  node->first = graph->values;
  if (attributes) node->attributes = *attributes;
  node->name = unique_name(graph, name ? name : full);
  for (int i = 0; i < inputs; i++) node->input[i] = input[i];
  for (int i = 0; i < outputs; i++) {
    graph->value = grown(graph->value, graph->values, &graph->value_room, sizeof *graph->value);
    graph->value[graph->values++] = (cohort_value_entry){graph->nodes, i, shape[i], type[i], 0};
  }
  graph->nodes++;
  return node->first;
}

static bool is_random(cohort_op op) {
  return op == COHORT_OP_RANDOM_UNIFORM || op == COHORT_OP_RANDOM_NORMAL || op == COHORT_OP_DROPOUT;
}

/* The name a fault of the next node is told under; repeated names are not counted up. */
static void fault_of_next(cohort_graph *graph, cohort_op op, const char *fault) {
  char full[COHORT_MAX_SCOPE + 64];
  (void)snprintf(full, sizeof full, "%s%s%s", graph->scope, graph->scope[0] ? "/" : "", cohort_op_name(op));
  cohort_graph_fault(graph, full, "%s", fault);
}

cohort_value cohort_graph_add_node(cohort_graph *graph, cohort_op op, int inputs, const cohort_value *input,
                                   const cohort_attributes *attributes) {
  static const cohort_attributes none = {{0}, {0}};
  if (cohort_graph_failed(graph)) return COHORT_NO_VALUE;
  if (inputs < 0 || inputs > COHORT_MAX_INPUTS) {
    fault_of_next(graph, op, "takes at most 8 inputs; give it fewer");
    return COHORT_NO_VALUE;
  }
  cohort_inference inference = {
      .op = op, .inputs = inputs, .lanes = graph->lanes, .attributes = attributes ? attributes : &none};
  for (int i = 0; i < inputs; i++) {
    if (input[i] < 0 || input[i] >= graph->values) {
      (void)snprintf(inference.fault, sizeof inference.fault, "input %d is no value of this graph; give it one", i);
      fault_of_next(graph, op, inference.fault);
      return COHORT_NO_VALUE;
    }
    inference.in[i] = graph->value[input[i]].shape;
    inference.in_type[i] = graph->value[input[i]].type;
  }
  if (!cohort_infer(&inference)) {
    fault_of_next(graph, op, inference.fault);
    return COHORT_NO_VALUE;
  }
  const cohort_value first = cohort_graph_append(graph, NULL, op, inputs, input, inference.attributes,
                                                 inference.outputs, inference.out, inference.out_type);
  cohort_node *node = &graph->node[graph->nodes - 1];
  /* A random node draws by its name; one that repeats another's draws is given that one's key. */
  if (is_random(op) && node->attributes.integers[0] == 0)
    node->attributes.integers[0] = (int64_t)(hash_text(node->name) & INT64_MAX);
  return first;
}

/* What a value is. */

static bool is_value(const cohort_graph *graph, cohort_value value) { return value >= 0 && value < graph->values; }

cohort_shape cohort_graph_shape(const cohort_graph *graph, cohort_value value) {
  return is_value(graph, value) ? graph->value[value].shape : COHORT_SCALAR_SHAPE;
}

cohort_type cohort_graph_type(const cohort_graph *graph, cohort_value value) {
  return is_value(graph, value) ? graph->value[value].type : COHORT_TYPE_REAL;
}

int32_t cohort_graph_values(const cohort_graph *graph) { return graph->values; }

/* Leaves. */

static cohort_value append_leaf(cohort_graph *graph, const char *name, cohort_op op,
                                const cohort_attributes *attributes, cohort_shape shape, cohort_type type) {
  return cohort_graph_append(graph, name, op, 0, NULL, attributes, 1, &shape, &type);
}

static bool sizes_fit(cohort_graph *graph, const char *name, cohort_shape shape) {
  bool fits = shape.axes >= 0 && shape.axes <= COHORT_MAX_AXES;
  for (int axis = 0; fits && axis < shape.axes; axis++) fits = shape.size[axis] >= 0 && shape.size[axis] <= INT32_MAX;
  if (!fits)
    cohort_graph_fault(graph, name, "a shape has at most %d axes of 0 to %d; make it smaller", COHORT_MAX_AXES,
                       INT32_MAX);
  return fits;
}

/* The leaf declared before must be the same. */
static cohort_value agree(cohort_graph *graph, const char *name, cohort_value before, cohort_shape shape,
                          cohort_type type) {
  const cohort_value_entry *entry = &graph->value[before];
  if (cohort_shape_equal(entry->shape, shape) && entry->type == type) return before;
  char old[COHORT_SHAPE_TEXT], now[COHORT_SHAPE_TEXT];
  cohort_graph_fault(graph, name, "declared as %s and again as %s; declare both alike or name them apart",
                     cohort_shape_text(entry->shape, old), cohort_shape_text(shape, now));
  return COHORT_NO_VALUE;
}

cohort_value cohort_graph_add_parameter(cohort_graph *graph, const cohort_parameter_tensor *tensor) {
  if (cohort_graph_failed(graph) || !sizes_fit(graph, tensor->name, tensor->shape)) return COHORT_NO_VALUE;
  for (int p = 0; p < graph->parameters; p++) {
    const cohort_graph_parameter_entry *entry = graph->parameter[p];
    if (entry->tensor.space == tensor->space && strcmp(entry->tensor.name, tensor->name) == 0)
      return agree(graph, tensor->name, entry->value, tensor->shape, COHORT_TYPE_REAL);
  }
  graph->parameter = grown(graph->parameter, graph->parameters, &graph->parameter_room, sizeof *graph->parameter);
  cohort_graph_parameter_entry *entry = cohort_allocate(sizeof *entry);
  entry->tensor = *tensor;
  entry->value = append_leaf(graph, tensor->name, COHORT_OP_PARAMETER, NULL, tensor->shape, COHORT_TYPE_REAL);
  graph->parameter[graph->parameters++] = entry;
  return entry->value;
}

bool cohort_graph_name_tensor(cohort_graph *graph, const char *name, cohort_parameter_tensor *tensor) {
  char full[COHORT_MAX_SCOPE + 128];
  const size_t whole = strlen(graph->scope);
  const char *const scope = graph->scope + (graph->space_length < whole ? graph->space_length : whole);
  const int length = snprintf(full, sizeof full, "%s%s%s", scope, scope[0] ? "/" : "", name);
  if (length < 0 || (size_t)length >= sizeof tensor->name) {
    cohort_graph_fault(graph, full, "a parameter's name has at most %zu characters; use shorter scopes",
                       sizeof tensor->name - 1);
    return false;
  }
  for (int i = 0; i <= length; i++) tensor->name[i] = full[i] == '/' ? '.' : full[i];
  return true;
}

cohort_value cohort_graph_parameter(cohort_graph *graph, int space, const char *name, cohort_shape shape,
                                    cohort_role role, cohort_initial initial, double scale) {
  if (cohort_graph_failed(graph)) return COHORT_NO_VALUE;
  cohort_parameter_tensor tensor = {.space = space, .shape = shape, .role = role, .initial = initial, .scale = scale};
  if (!cohort_graph_name_tensor(graph, name, &tensor)) return COHORT_NO_VALUE;
  return cohort_graph_add_parameter(graph, &tensor);
}

void cohort_graph_bound(cohort_graph *graph, cohort_value parameter, double minimum) {
  for (int p = 0; p < graph->parameters; p++)
    if (graph->parameter[p]->value == parameter) {
      graph->parameter[p]->tensor.bounded = true;
      graph->parameter[p]->tensor.minimum = minimum;
    }
}

cohort_value cohort_graph_add_state(cohort_graph *graph, const cohort_parameter_tensor *tensor) {
  if (cohort_graph_failed(graph) || !sizes_fit(graph, tensor->name, tensor->shape)) return COHORT_NO_VALUE;
  for (int i = 0; i < graph->states; i++)
    if (strcmp(graph->state[i]->tensor.name, tensor->name) == 0)
      return agree(graph, tensor->name, graph->state[i]->value, tensor->shape, COHORT_TYPE_REAL);
  graph->state = grown(graph->state, graph->states, &graph->state_room, sizeof *graph->state);
  cohort_graph_state_entry *entry = cohort_allocate(sizeof *entry);
  entry->tensor = *tensor;
  entry->value = append_leaf(graph, tensor->name, COHORT_OP_INPUT, NULL, tensor->shape, COHORT_TYPE_REAL);
  entry->next = COHORT_NO_VALUE;
  graph->state[graph->states++] = entry;
  return entry->value;
}

cohort_value cohort_graph_state(cohort_graph *graph, const char *name, cohort_shape shape, double initial) {
  if (cohort_graph_failed(graph)) return COHORT_NO_VALUE;
  cohort_parameter_tensor tensor = {
      .shape = shape, .role = COHORT_ROLE_VECTOR, .initial = COHORT_INITIAL_NUMBER, .scale = initial};
  if (!cohort_graph_name_tensor(graph, name, &tensor)) return COHORT_NO_VALUE;
  return cohort_graph_add_state(graph, &tensor);
}

void cohort_graph_set_next(cohort_graph *graph, cohort_value state, cohort_value next) {
  for (int i = 0; i < graph->states && !cohort_graph_failed(graph); i++) {
    cohort_graph_state_entry *entry = graph->state[i];
    if (entry->value != state || entry->next != COHORT_NO_VALUE) continue;
    if (agree(graph, entry->tensor.name, next, entry->tensor.shape, COHORT_TYPE_REAL) == next) entry->next = next;
  }
}

cohort_value cohort_graph_input(cohort_graph *graph, const char *name, cohort_type type, cohort_shape shape) {
  if (cohort_graph_failed(graph) || !sizes_fit(graph, name, shape)) return COHORT_NO_VALUE;
  const cohort_value before = cohort_graph_find_input(graph, name);
  if (before != COHORT_NO_VALUE) return agree(graph, name, before, shape, type);
  graph->input = grown(graph->input, graph->inputs, &graph->input_room, sizeof *graph->input);
  const cohort_value value = append_leaf(graph, name, COHORT_OP_INPUT, NULL, shape, type);
  graph->input[graph->inputs++] = (cohort_graph_input_entry){cohort_copy_text(name), value};
  return value;
}

bool cohort_graph_drops_out(const cohort_graph *graph) {
  for (int32_t n = 0; n < graph->nodes; n++)
    if (graph->node[n].op == COHORT_OP_DROPOUT) return true;
  return false;
}

int cohort_graph_add_extent(cohort_graph *graph, int64_t most, double mean) {
  if (graph->extents == COHORT_MAX_EXTENTS) {
    cohort_graph_fault(graph, "extent", "a graph has at most %d", COHORT_MAX_EXTENTS);
    return 0;
  }
  graph->extent[graph->extents] = (cohort_extent){most, mean};
  return graph->extents++;
}

void cohort_graph_ragged(cohort_graph *graph, cohort_value input, int extent) {
  if (cohort_graph_failed(graph)) return;
  cohort_value_entry *entry = &graph->value[input];
  if (graph->node[entry->node].op != COHORT_OP_INPUT || !entry->shape.axes ||
      entry->shape.size[0] != graph->extent[extent].most)
    cohort_graph_fault(graph, graph->node[entry->node].name, "it is no input of the extent's %lld rows",
                       (long long)graph->extent[extent].most);
  entry->extent = (int8_t)(extent + 1);
}

/* i0 = 1: an integer. */
static cohort_value constant_of(cohort_graph *graph, double number, cohort_type type) {
  if (cohort_graph_failed(graph)) return COHORT_NO_VALUE;
  for (int i = 0; i < graph->constants; i++) {
    const cohort_value_entry *entry = &graph->value[graph->constant[i]];
    const double *constant = &graph->node[entry->node].attributes.reals[0];
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): the same bits, so that 0 and -0 are two */
    if (entry->type == type && memcmp(constant, &number, sizeof number) == 0) return graph->constant[i];
  }
  const cohort_attributes attributes = {.integers = {type == COHORT_TYPE_INTEGER}, .reals = {number}};
  graph->constant = grown(graph->constant, graph->constants, &graph->constant_room, sizeof *graph->constant);
  const cohort_value value = append_leaf(graph, "constant", COHORT_OP_CONSTANT, &attributes, COHORT_SCALAR_SHAPE, type);
  graph->constant[graph->constants++] = value;
  return value;
}

cohort_value cohort_graph_constant(cohort_graph *graph, double number) {
  return constant_of(graph, number, COHORT_TYPE_REAL);
}

cohort_value cohort_graph_integer(cohort_graph *graph, int32_t number) {
  return constant_of(graph, (double)number, COHORT_TYPE_INTEGER);
}

cohort_value cohort_graph_iota(cohort_graph *graph, int64_t count) {
  const cohort_attributes attributes = {.integers = {count}};
  const cohort_shape shape = {.axes = 1, .size = {count}};
  if (cohort_graph_failed(graph) || !sizes_fit(graph, "iota", shape)) return COHORT_NO_VALUE;
  return append_leaf(graph, NULL, COHORT_OP_IOTA, &attributes, shape, COHORT_TYPE_INTEGER);
}

int cohort_graph_parameters(const cohort_graph *graph) { return graph->parameters; }

const cohort_parameter_tensor *cohort_graph_parameter_at(const cohort_graph *graph, int index, cohort_value *value) {
  if (value) *value = graph->parameter[index]->value;
  return &graph->parameter[index]->tensor;
}

cohort_value cohort_graph_find_input(const cohort_graph *graph, const char *name) {
  for (int i = 0; i < graph->inputs; i++)
    if (strcmp(graph->input[i].name, name) == 0) return graph->input[i].value;
  return COHORT_NO_VALUE;
}

int cohort_graph_inputs(const cohort_graph *graph) { return graph->inputs; }

cohort_value cohort_graph_input_at(const cohort_graph *graph, int index, const char **name) {
  if (name) *name = graph->input[index].name;
  return graph->input[index].value;
}

int cohort_graph_states(const cohort_graph *graph) { return graph->states; }

const cohort_parameter_tensor *cohort_graph_state_at(const cohort_graph *graph, int index, cohort_value *value,
                                                     cohort_value *next) {
  if (value) *value = graph->state[index]->value;
  if (next) *next = graph->state[index]->next;
  return &graph->state[index]->tensor;
}
