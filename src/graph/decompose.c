/* Copies a graph, with fused nodes replaced by its small operations (decompose_fused.c, decompose_softmax.c). A
 * copied node keeps its name, so random nodes draw the same numbers. One pass over the nodes. */
#include "graph/decompose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/decompose/decompose_fused.h"

/* Leaves and small operations, under their old names. */
static cohort_value copy_node(cohort_graph *to, const cohort_graph *from, const cohort_node *node,
                              const cohort_value *input) {
  cohort_shape shape[COHORT_MAX_OUTPUTS];
  cohort_type type[COHORT_MAX_OUTPUTS];
  for (int i = 0; i < node->outputs; i++) {
    shape[i] = from->value[node->first + i].shape;
    type[i] = from->value[node->first + i].type;
  }
  return cohort_graph_append(to, node->name, node->op, node->inputs, input, &node->attributes, node->outputs, shape,
                             type);
}

static cohort_value copy_parameter(cohort_graph *to, const cohort_graph *from, cohort_value value) {
  for (int p = 0; p < from->parameters; p++)
    if (from->parameter[p]->value == value) return cohort_graph_add_parameter(to, &from->parameter[p]->tensor);
  return COHORT_NO_VALUE;
}

static cohort_value copy_input(cohort_graph *to, const cohort_graph *from, cohort_value value) {
  const cohort_value_entry *entry = &from->value[value];
  for (int i = 0; i < from->inputs; i++)
    if (from->input[i].value == value) {
      const cohort_value copy = cohort_graph_input(to, from->input[i].name, entry->type, entry->shape);
      if (copy != COHORT_NO_VALUE) to->value[copy].extent = entry->extent;
      return copy;
    }
  for (int i = 0; i < from->states; i++)
    if (from->state[i]->value == value) return cohort_graph_add_state(to, &from->state[i]->tensor);
  return COHORT_NO_VALUE;
}

static cohort_value copy_constant(cohort_graph *to, const cohort_node *node) {
  const double number = node->attributes.reals[0];
  return node->attributes.integers[0] ? cohort_graph_integer(to, (int32_t)number) : cohort_graph_constant(to, number);
}

static void replace_node(cohort_graph *to, const cohort_graph *from, const cohort_node *node,
                         cohort_decompose_which which, cohort_value *map) {
  cohort_value output[COHORT_MAX_OUTPUTS] = {COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE};
  cohort_value input[COHORT_MAX_INPUTS];
  for (int i = 0; i < node->inputs; i++) input[i] = map[node->input[i]];
  if (node->op == COHORT_OP_PARAMETER) {
    output[0] = copy_parameter(to, from, node->first);
  } else if (node->op == COHORT_OP_INPUT) {
    output[0] = copy_input(to, from, node->first);
  } else if (node->op == COHORT_OP_CONSTANT) {
    output[0] = copy_constant(to, node);
  } else {
    cohort_graph_scope saved;
    cohort_graph_set_scope(to, &saved, "", node->name);
    const bool stays = which == COHORT_DECOMPOSE_FOR_TWO && node->op == COHORT_OP_ATTENTION;
    if (stays || !cohort_decompose_node(to, node, input, output)) {
      const cohort_value first = copy_node(to, from, node, input);
      for (int i = 0; i < node->outputs; i++) output[i] = first + i;
    }
    cohort_graph_restore_scope(to, &saved);
  }
  for (int i = 0; i < node->outputs; i++) map[node->first + i] = output[i];
}

cohort_graph *cohort_graph_decompose(const cohort_graph *graph, cohort_decompose_which which, cohort_value *map) {
  cohort_graph *to = cohort_graph_create();
  to->lanes = graph->lanes;
  to->extents = graph->extents;
  memcpy(to->extent, graph->extent, sizeof to->extent);
  to->error = graph->error;
  cohort_value *own = cohort_allocate((size_t)(graph->values + 1) * sizeof *own);
  for (int32_t v = 0; v < graph->values; v++) own[v] = COHORT_NO_VALUE;
  for (int32_t n = 0; n < graph->nodes && !cohort_graph_failed(to); n++)
    replace_node(to, graph, &graph->node[n], which, own);
  for (int i = 0; i < graph->states && !cohort_graph_failed(to); i++)
    if (graph->state[i]->next != COHORT_NO_VALUE)
      cohort_graph_set_next(to, own[graph->state[i]->value], own[graph->state[i]->next]);
  for (int32_t v = 0; map && v < graph->values; v++) map[v] = own[v];
  free(own);
  return to;
}
