/* Which products of a plan read a parameter, and gives them its bf16 copy. One pass over the steps for each parameter,
 * before the plan runs. */
#include "graph/bf16.h"

#include "graph/planned.h"

static bool multiplies_with(const cohort_plan *plan, int step, cohort_value value) {
  const cohort_location *right = &plan->step[step].input[1];
  return plan->label[step].op == COHORT_OP_MATMUL && right->kind == COHORT_LOCATION_BOUND && right->value == value;
}

bool cohort_plan_multiplies_with(const cohort_plan *plan, cohort_value value) {
  for (int step = 0; step < plan->steps; step++)
    if (multiplies_with(plan, step, value)) return true;
  return false;
}

void cohort_plan_give_bf16(cohort_plan *plan, cohort_value value, const uint16_t *bf16) {
  for (int step = 0; step < plan->steps; step++)
    if (multiplies_with(plan, step, value)) plan->step[step].call.bf16 = bf16;
}
