/* Names and work of a plan's steps, for profiles, and the plan as text for people and tests. Read after planning alone;
 * nothing here changes what runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/planner.h"

static size_t tensor_bytes(const cohort_planner *own, const cohort_tensor *tensor) {
  return (size_t)cohort_shape_elements(tensor->shape) *
         (tensor->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : own->kernels->real_size);
}

/* The gradient transform puts all its nodes into a scope of its own (gradient.c). */
static bool is_backward(const cohort_node *node) { return strncmp(node->name, "gradient/", 9) == 0; }

/* What a call moves: rows that are added to a table touch as much of it as they hold. */
static double step_bytes(const cohort_planner *own, const cohort_call *call, cohort_op op) {
  double bytes = 0;
  if (op == COHORT_OP_SCATTER_ADD && call->inputs == 3)
    return 3 * (double)tensor_bytes(own, &call->input[0]) + (double)tensor_bytes(own, &call->input[1]);
  for (int i = 0; i < call->inputs; i++) bytes += (double)tensor_bytes(own, &call->input[i]);
  for (int i = 0; i < call->outputs; i++) bytes += (double)tensor_bytes(own, &call->output[i]);
  return bytes;
}

/* "layer0/feed_forward/up/add+gelu": the first member's name and the others' operations. */
static char *step_name(const cohort_planner *own, const cohort_node_set *group, const cohort_node *node) {
  if (!group) return cohort_copy_text(node->name);
  char *text = cohort_copy_text(own->graph->node[group->member[0]].name);
  for (int i = 1; i < group->members; i++) {
    char *longer = cohort_format_text("%s+%s", text, cohort_op_name(own->graph->node[group->member[i]].op));
    free(text);
    text = longer;
  }
  return text;
}

void cohort_planner_label(cohort_planner *own, const cohort_step *step, const cohort_node_set *group, cohort_op op) {
  const cohort_node *node = &own->graph->node[step->node];
  cohort_plan_step *label = &own->plan->label[own->plan->steps - 1];
  *label = (cohort_plan_step){.name = step_name(own, group, node),
                              .op = op,
                              .backward = is_backward(node),
                              .flops = cohort_op_flops(op, &step->call)};
  label->bytes = step_bytes(own, &step->call, op);
  if (step->extent) {
    const cohort_extent *extent = &own->graph->extent[step->extent - 1];
    label->flops *= extent->mean / (double)extent->most;
    label->bytes *= extent->mean / (double)extent->most;
  }
  own->plan->flops += label->flops;
}

static void describe_step(const cohort_plan *plan, int phase, int index, FILE *text) {
  const cohort_step *step = &plan->step[index];
  const cohort_plan_step *label = &plan->label[index];
  char shape[COHORT_SHAPE_TEXT];
  fprintf(text, "%d %s %s %s ", phase, label->name, cohort_op_name(label->op),
          cohort_shape_text(step->call.output[0].shape, shape));
  if (step->output[0].kind == COHORT_LOCATION_ARENA) {
    fprintf(text, "%zu\n", step->output[0].offset);
  } else {
    fprintf(text, "external\n");
  }
}

static void describe_events(const cohort_plan *plan, int phase, bool after, FILE *text) {
  static const char *const name[] = {"need", "open", "free", "complete"};
  const cohort_plan_event *event = NULL;
  const int events = plan->event ? cohort_plan_events(plan, phase, &event) : 0;
  for (int i = 0; i < events; i++)
    if ((event[i].kind >= COHORT_PLAN_FREE) == after)
      fprintf(text, "%d %s group %d\n", phase, name[event[i].kind], event[i].group);
}

static void describe_phase(const cohort_plan *plan, int phase, FILE *text) {
  const cohort_phase *own = &plan->phase[phase];
  describe_events(plan, phase, false, text);
  for (int i = own->first_step; i < own->last_step; i++) describe_step(plan, phase, i, text);
  describe_events(plan, phase, true, text);
  for (int i = own->first_lane; i < own->last_lane; i++) {
    char shape[COHORT_SHAPE_TEXT];
    fprintf(text, "%d %s %s %s lanes\n", phase, plan->lane_label[i].name, cohort_op_name(plan->lane[i].op),
            cohort_shape_text(plan->lane_label[i].shape, shape));
  }
}

char *cohort_plan_describe(const cohort_plan *plan) {
  char *out = NULL;
  size_t length = 0;
  FILE *text = open_memstream(&out, &length);
  if (!text) return cohort_copy_text("");
  for (int p = 0; p < plan->phases; p++) describe_phase(plan, p, text);
  (void)fclose(text);
  return out;
}
