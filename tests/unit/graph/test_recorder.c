/* The recorder of an executor: calls and seconds of every step, what belongs to backward, events in order and bounded.
 */
#include <string.h>

#include "rig.h"

enum { RUNS = 3 };

/* A layer and its loss; backward as well. */
typedef struct sample {
  rig at;
  cohort_value loss, gradient[4];
  cohort_plan *forward, *both;
} sample;

static cohort_plan *plan_of(const cohort_graph *graph, int outputs, const cohort_value *value) {
  cohort_plan_output output[8];
  cohort_plan *plan = NULL;
  cohort_error error = {0};
  for (int i = 0; i < outputs; i++) output[i] = (cohort_plan_output){value[i], false};
  CU_ASSERT_EQUAL_FATAL(cohort_plan_create(graph, cohort_kernels_float64(), outputs, output, &plan, &error),
                        COHORT_DONE);
  return plan;
}

static sample sample_create(void) {
  sample own = {.at = rig_create(5)};
  cohort_graph *graph = own.at.graph;
  const cohort_value x = rig_given(&own.at, COHORT_SHAPE(6, 10), -1, 1);
  const cohort_value target = rig_integer(&own.at, COHORT_SHAPE(6), 0, 3);
  cohort_value h = cohort_graph_matmul(graph, x, rig_real(&own.at, COHORT_SHAPE(8, 10), -1, 1), false, true);
  h = cohort_graph_gelu(graph, h, false);
  const cohort_value logits = cohort_graph_matmul(graph, h, rig_real(&own.at, COHORT_SHAPE(4, 8), -1, 1), false, true);
  own.loss = cohort_graph_sum_all(graph, cohort_graph_softmax_cross_entropy(graph, logits, target, 0));
  own.forward = plan_of(graph, 1, &own.loss);
  cohort_graph_gradient(graph, own.loss, COHORT_NO_VALUE, own.at.reals, own.at.real, own.gradient);
  const cohort_value outputs[3] = {own.loss, own.gradient[0], own.gradient[1]};
  own.both = plan_of(graph, 3, outputs);
  return own;
}

static void sample_run(const sample *own, cohort_recorder *recorder, int runs) {
  cohort_executor *executor = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(own->both), 1, 1, &executor, &error),
                        COHORT_DONE);
  cohort_executor_record(executor, recorder);
  void **memory = cohort_allocate((size_t)cohort_graph_values(own->at.graph) * sizeof *memory);
  for (int i = 0; i < own->at.reals; i++) memory[own->at.real[i]] = own->at.real_data[i];
  for (int i = 0; i < own->at.inputs; i++)
    memory[cohort_graph_input_at(own->at.graph, i, NULL)] = own->at.input_data[i];
  const cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  for (int i = 0; i < runs; i++) cohort_executor_run(executor, own->both, 0, 0, &bindings);
  free(memory);
  cohort_executor_destroy(executor);
}

static void sample_release(sample *own) {
  cohort_plan_destroy(own->forward);
  cohort_plan_destroy(own->both);
  rig_destroy(&own->at);
}

static void test_backward(void) {
  sample own = sample_create();
  int forward = 0;
  double flops = 0;
  for (int i = 0; i < cohort_plan_nodes(own.forward); i++)
    CU_ASSERT_FALSE(cohort_plan_step_at(own.forward, i).backward);
  for (int i = 0; i < cohort_plan_nodes(own.both); i++) {
    const cohort_plan_step step = cohort_plan_step_at(own.both, i);
    forward += !step.backward;
    flops += step.flops;
    CU_ASSERT_TRUE(step.bytes > 0);
    if (strcmp(step.name, "matmul") == 0) {
      CU_ASSERT_EQUAL(step.op, COHORT_OP_MATMUL);
      CU_ASSERT_EQUAL(step.flops, 2.0 * 6 * 8 * 10);
      CU_ASSERT_EQUAL(step.bytes, 8.0 * (6 * 10 + 8 * 10 + 6 * 8));
    }
  }
  CU_ASSERT_EQUAL(forward, cohort_plan_nodes(own.forward));
  CU_ASSERT_TRUE(forward < cohort_plan_nodes(own.both));
  CU_ASSERT_EQUAL(flops, cohort_plan_flops(own.both));
  sample_release(&own);
}

static void test_sums(void) {
  sample own = sample_create();
  const cohort_plan *const plans[3] = {own.forward, NULL, own.both};
  cohort_recorder *recorder = cohort_recorder_create(3, plans, 0);
  CU_ASSERT_EQUAL_FATAL(recorder->plans, 2);
  const double start = cohort_clock_seconds();
  sample_run(&own, recorder, RUNS);
  const double wall = cohort_clock_seconds() - start;
  double seconds = 0;
  for (int i = 0; i < cohort_plan_nodes(own.forward); i++) CU_ASSERT_EQUAL(recorder->table[0][i].calls, 0);
  for (int i = 0; i < cohort_plan_nodes(own.both); i++) {
    CU_ASSERT_EQUAL(recorder->table[1][i].calls, RUNS);
    CU_ASSERT_TRUE(recorder->table[1][i].seconds >= 0);
    seconds += recorder->table[1][i].seconds;
  }
  CU_ASSERT_TRUE(seconds > 0 && seconds <= wall);
  CU_ASSERT_EQUAL(recorder->events, 0);
  cohort_recorder_destroy(recorder);
  sample_release(&own);
}

static void test_events(void) {
  sample own = sample_create();
  const cohort_plan *const plans[1] = {own.both};
  const int nodes = cohort_plan_nodes(own.both), room = nodes + 2;
  cohort_recorder *recorder = cohort_recorder_create(1, plans, room);
  sample_run(&own, recorder, 1);
  CU_ASSERT_EQUAL(recorder->events, 0);
  recorder->tracing = true;
  sample_run(&own, recorder, 2);
  CU_ASSERT_EQUAL(recorder->events, room);
  for (int i = 0; i < recorder->events; i++) {
    const cohort_event *event = &recorder->event[i];
    CU_ASSERT_EQUAL(event->table, 0);
    CU_ASSERT_EQUAL(event->index, i % nodes);
    CU_ASSERT_TRUE(event->seconds >= 0);
    if (i) CU_ASSERT_TRUE(event->start >= event[-1].start);
  }
  cohort_recorder_destroy(recorder);
  sample_release(&own);
}

static void test_activities(void) {
  cohort_recorder *recorder = cohort_recorder_create(0, NULL, 4);
  cohort_recorder_stop(recorder, 2, cohort_recorder_start(recorder), 8);
  cohort_recorder_stop(NULL, 2, cohort_recorder_start(NULL), 8);
  CU_ASSERT_EQUAL(recorder->activity[2].calls, 0);
  recorder->active = recorder->tracing = true;
  for (int i = 0; i < 5; i++) cohort_recorder_stop(recorder, 2, cohort_recorder_start(recorder), 8);
  CU_ASSERT_EQUAL(recorder->activity[2].calls, 5);
  CU_ASSERT_EQUAL(recorder->activity[2].bytes, 40);
  CU_ASSERT_EQUAL(recorder->events, 4);
  CU_ASSERT_TRUE(recorder->event[0].table == -1 && recorder->event[0].index == 2);
  cohort_recorder_destroy(recorder);
}

int main(void) {
  static const check checks[] = {{"backward is told apart", test_backward},
                                 {"sums of steps", test_sums},
                                 {"events in order and bounded", test_events},
                                 {"activities", test_activities}};
  return check_run("recorder", checks, sizeof checks / sizeof *checks);
}
