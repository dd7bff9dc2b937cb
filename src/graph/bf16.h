/* Parameters that a plan's products read as bf16: half the memory to read where a product of few rows waits for it. */
#ifndef COHORT_GRAPH_BF16_H
#define COHORT_GRAPH_BF16_H

#include "graph/plan.h"

/* Whether a product reads parameter `value` as its right side. */
bool cohort_plan_multiplies_with(const cohort_plan *plan, cohort_value value);
/* `bf16` is the parameter, rounded to bf16, and stays for as long as the plan is run. It is bound as before too: what
 * has no kernel for bf16 reads that. */
void cohort_plan_give_bf16(cohort_plan *plan, cohort_value value, const uint16_t *bf16);

#endif
