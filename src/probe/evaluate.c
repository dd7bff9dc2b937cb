/* Builds, plans and runs a small graph on a probe's arrays, in its type, with one lane and one thread. */
#include <string.h>

#include "graph/decompose.h"
#include "graph/executor.h"
#include "probe/probe.h"

enum { MOST_LANE_OPERATIONS = 64 };

/* With one lane every exchange between lanes is a copy. */
static void exchange(const cohort_probe_state *probe, const cohort_executor *executor, const cohort_plan *plan,
                     int phase, const cohort_bindings *bindings) {
  cohort_lane_operation operation[MOST_LANE_OPERATIONS];
  const int count = cohort_plan_lane_operations(plan, phase, operation, MOST_LANE_OPERATIONS);
  for (int i = 0; i < count; i++) {
    const size_t size = operation[i].type == COHORT_TYPE_REAL ? cohort_probe_real_size(probe) : sizeof(int32_t);
    memcpy(cohort_executor_value(executor, plan, 0, operation[i].output, bindings),
           cohort_executor_value(executor, plan, 0, operation[i].input, bindings),
           (size_t)operation[i].output_elements * size);
  }
}

static cohort_status run(cohort_probe_state *probe, const cohort_plan *plan, const cohort_bindings *bindings,
                         int outputs, const cohort_probe_wanted *wanted, void *const *data, cohort_error *error) {
  cohort_executor *executor = NULL;
  COHORT_TRY(cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &executor, error));
  for (int phase = 0; phase < cohort_plan_phases(plan); phase++) {
    cohort_executor_run(executor, plan, phase, 0, bindings);
    exchange(probe, executor, plan, phase, bindings);
  }
  for (int i = 0; i < outputs; i++)
    memcpy(data ? data[i] : cohort_probe_output(probe, wanted[i].name, wanted[i].shape),
           cohort_executor_value(executor, plan, 0, wanted[i].value, bindings),
           (size_t)cohort_shape_elements(wanted[i].shape) * cohort_probe_real_size(probe));
  cohort_executor_destroy(executor);
  return COHORT_DONE;
}

cohort_status cohort_probe_evaluate_into(cohort_probe_state *probe, const cohort_graph *graph, int leaves,
                                         const cohort_probe_leaf *leaf, int outputs, const cohort_probe_wanted *wanted,
                                         void *const *data, cohort_error *error) {
  COHORT_TRY(cohort_graph_status(graph, error));
  cohort_plan_output *output = cohort_probe_memory(probe, (size_t)outputs * sizeof *output);
  for (int i = 0; i < outputs; i++) {
    output[i] = (cohort_plan_output){wanted[i].value, false};
    if (cohort_shape_elements(cohort_graph_shape(graph, wanted[i].value)) != cohort_shape_elements(wanted[i].shape))
      return cohort_fail(error, COHORT_BUG, "%s %s: the result %s has another size than the table says",
                         probe->family->name, probe->choice.method->key, wanted[i].name);
  }
  void **memory = cohort_probe_memory(probe, (size_t)cohort_graph_values(graph) * sizeof *memory);
  for (int i = 0; i < leaves; i++) memory[leaf[i].value] = leaf[i].data;
  cohort_plan *plan = NULL;
  COHORT_TRY(cohort_plan_create(graph, probe->kernels, outputs, output, &plan, error));
  const cohort_bindings bindings = {.memory = memory, .random_key = cohort_random_key_from_seed(0)};
  const cohort_status status = run(probe, plan, &bindings, outputs, wanted, data, error);
  cohort_plan_destroy(plan);
  return status;
}

cohort_status cohort_probe_evaluate(cohort_probe_state *probe, const cohort_graph *graph, int leaves,
                                    const cohort_probe_leaf *leaf, int outputs, const cohort_probe_wanted *wanted,
                                    cohort_error *error) {
  return cohort_probe_evaluate_into(probe, graph, leaves, leaf, outputs, wanted, NULL, error);
}
