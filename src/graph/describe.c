#include <stdio.h>

#include "base/memory.h"
#include "graph/planned.h"

static void describe_step(const cohort_plan *plan, int phase, int index, FILE *text) {
  const cohort_step *step = &plan->step[index];
  const cohort_plan_step *label = &plan->label[index];
  char shape[COHORT_SHAPE_TEXT];
  fprintf(text, "%d %s %s %s ", phase, label->name, cohort_op_name(label->op),
          cohort_shape_text(step->call.output[0].shape, shape));
  if (step->output[0].kind == COHORT_PLACE_ARENA) {
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
