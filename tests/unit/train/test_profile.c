/* The profile: calls and seconds of all ranks and executors add up, parts of a step sum to it, and what is written
 * reads back: CSV of equal columns, a trace that a JSON reader takes. Runs alone: it measures time. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "check.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "graph/gradient.h"
#include "train/profile/report.h"

enum { RANKS = 2, EXECUTORS = 2, STEPS = 7, ROWS = 8, WIDTH = 16 };

/* x w summed; with its gradient, and without. The name of a node has what JSON must escape. */
typedef struct sample {
  cohort_value x, weight, loss, gradient;
  int values;
  cohort_plan *train, *evaluate;
  cohort_profile_totals totals; /* of rank 0 */
  _Atomic int rows_elsewhere;
} sample;

static cohort_plan *plan_of(const cohort_graph *graph, int outputs, const cohort_value *value) {
  const cohort_plan_output output[2] = {{value[0], false}, {value[outputs - 1], false}};
  cohort_plan *plan = NULL;
  CU_ASSERT_EQUAL_FATAL(
      cohort_plan_create(graph, cohort_kernels_float32(COHORT_ISA_SSE2), outputs, output, &plan, NULL), COHORT_DONE);
  return plan;
}

static sample sample_create(void) {
  sample own = {0};
  cohort_graph *graph = cohort_graph_create();
  own.x = cohort_graph_input(graph, "x", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS, WIDTH));
  own.weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(WIDTH, WIDTH));
  cohort_graph_enter(graph, "a\"b\\c");
  const cohort_value y = cohort_graph_matmul(graph, own.x, own.weight, false, false);
  own.loss = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, y, y));
  cohort_graph_leave(graph);
  own.evaluate = plan_of(graph, 1, &own.loss);
  cohort_graph_gradient(graph, own.loss, COHORT_NO_VALUE, 1, &own.weight, &own.gradient);
  const cohort_value outputs[2] = {own.loss, own.gradient};
  own.train = plan_of(graph, 2, outputs);
  own.values = cohort_graph_values(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  cohort_graph_destroy(graph);
  return own;
}

static void sample_release(sample *own) {
  cohort_plan_destroy(own->train);
  cohort_plan_destroy(own->evaluate);
}

static void wait_until(double end) {
  while (cohort_clock_seconds() < end) continue;
}

static void run_plan(const sample *own, const cohort_plan *plan, cohort_recorder *recorder) {
  static const float zeros[WIDTH * WIDTH];
  const size_t bytes = cohort_plan_arena_bytes(own->train) + cohort_plan_arena_bytes(own->evaluate);
  cohort_executor *executor = NULL;
  if (cohort_executor_create(bytes, 1, 1, &executor, NULL) != COHORT_DONE) return;
  void **memory = cohort_allocate((size_t)own->values * sizeof *memory);
  memory[own->x] = memory[own->weight] = (void *)(uintptr_t)zeros;
  cohort_executor_record(executor, recorder);
  cohort_executor_run(executor, plan, 0, 0, &(cohort_bindings){memory, {{0, 0}}, NULL});
  free(memory);
  cohort_executor_destroy(executor);
}

/* A session of one rank: every step runs the graph on each executor and updates for a millisecond. */
static double run_session(const sample *own, cohort_profile *profile) {
  cohort_recorder *const *recorder = cohort_profile_recorders(profile);
  const double start = cohort_clock_seconds();
  for (int step = 0; step < STEPS; step++) {
    cohort_profile_step_begins(profile);
    const double lanes = cohort_recorder_start(recorder[0]);
    for (int e = 0; e < EXECUTORS; e++) {
      const double busy = cohort_recorder_start(recorder[e]);
      run_plan(own, own->train, recorder[e]);
      cohort_recorder_stop(recorder[e], COHORT_ACTIVITY_BUSY, busy, 0);
    }
    cohort_recorder_stop(recorder[0], COHORT_ACTIVITY_LANES, lanes, 0);
    const double update = cohort_recorder_start(recorder[0]);
    wait_until(update + 0.001);
    cohort_recorder_stop(recorder[0], COHORT_ACTIVITY_UPDATE, update, 1e6);
    cohort_profile_step_ends(profile);
  }
  run_plan(own, own->evaluate, recorder[0]);
  return cohort_clock_seconds() - start;
}

static const cohort_profile_row *find(const cohort_profile_rows *rows, const char *phase, const char *operation) {
  for (int i = 0; i < rows->count; i++)
    if (strcmp(rows->row[i].phase, phase) == 0 && (!operation || strcmp(rows->row[i].operation, operation) == 0))
      return &rows->row[i];
  return NULL;
}

static void check_sums(const cohort_profile_totals *totals) {
  const cohort_profile_row *forward = find(&totals->operations, "forward", "matmul");
  CU_ASSERT_PTR_NOT_NULL_FATAL(forward);
  CU_ASSERT_EQUAL(forward->calls, RANKS * EXECUTORS * STEPS);
  CU_ASSERT_EQUAL(forward->flops, forward->calls * 2.0 * ROWS * WIDTH * WIDTH);
  CU_ASSERT_EQUAL(forward->bytes, forward->calls * 4.0 * (2 * ROWS * WIDTH + WIDTH * WIDTH));
  const cohort_profile_row *backward = find(&totals->operations, "backward", "matmul");
  const cohort_profile_row *evaluation = find(&totals->operations, "evaluation", "matmul");
  CU_ASSERT_PTR_NOT_NULL_FATAL(backward);
  CU_ASSERT_PTR_NOT_NULL_FATAL(evaluation);
  CU_ASSERT_EQUAL(backward->calls, RANKS * EXECUTORS * STEPS);
  CU_ASSERT_EQUAL(evaluation->calls, RANKS);
  const cohort_profile_row *update = find(&totals->phases, "update", NULL);
  CU_ASSERT_EQUAL(update->bytes, RANKS * STEPS * 1e6);
  CU_ASSERT_TRUE(update->seconds >= STEPS * 0.001);
  CU_ASSERT_EQUAL(find(&totals->phases, "checkpoint", NULL)->bytes, RANKS * 3e6);
  double phases = 0, nodes = 0, operations = 0;
  for (int i = 0; i < totals->phases.count; i++) phases += totals->phases.row[i].seconds;
  for (int i = 0; i < totals->nodes.count; i++) nodes += totals->nodes.row[i].seconds;
  for (int i = 0; i < totals->operations.count; i++) operations += totals->operations.row[i].seconds;
  CU_ASSERT_DOUBLE_EQUAL(phases, totals->seconds, 0.02 * totals->seconds);
  CU_ASSERT_DOUBLE_EQUAL(nodes, operations, 1e-9);
  for (int i = 1; i < totals->nodes.count; i++)
    CU_ASSERT_TRUE(totals->nodes.row[i].seconds <= totals->nodes.row[i - 1].seconds);
}

static int commas_of(const char *line, size_t length) {
  int commas = 0;
  for (size_t i = 0; i < length; i++) commas += line[i] == ',';
  return commas;
}

static void check_csv(const cohort_profile_rows *rows, double seconds, int columns) {
  char *text = cohort_profile_csv(rows, seconds);
  int lines = 0;
  for (const char *line = text; *line; lines++) {
    const size_t length = strcspn(line, "\n");
    CU_ASSERT_EQUAL(commas_of(line, length), columns - 1);
    line += length + 1;
  }
  CU_ASSERT_EQUAL(lines, rows->count + 1);
  free(text);
}

/* One process a rank, one thread an executor; events of the steps traced, all of them, inside of their steps. */
static void check_trace(const cohort_profile_totals *totals, int nodes) {
  char *text = cohort_profile_trace(totals);
  json_error_t error;
  json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
  free(text);
  CU_ASSERT_PTR_NOT_NULL_FATAL(root);
  const json_t *events = json_object_get(root, "traceEvents");
  int count[RANKS][EXECUTORS] = {{0}}, names = 0, escaped = 0, steps = 0;
  size_t i;
  json_t *event;
  json_array_foreach(events, i, event) {
    const int rank = (int)json_integer_value(json_object_get(event, "pid"));
    const int executor = (int)json_integer_value(json_object_get(event, "tid"));
    CU_ASSERT_FATAL(rank >= 0 && rank < RANKS && executor >= 0 && executor < EXECUTORS);
    if (strcmp(json_string_value(json_object_get(event, "ph")), "M") == 0) {
      names++;
      continue;
    }
    CU_ASSERT_TRUE(json_number_value(json_object_get(event, "ts")) > 0);
    CU_ASSERT_TRUE(json_number_value(json_object_get(event, "dur")) >= 0);
    const char *category = json_string_value(json_object_get(event, "cat"));
    count[rank][executor] += strcmp(category, "activity") != 0;
    steps += strcmp(json_string_value(json_object_get(event, "name")), "step") == 0;
    const char *node = json_string_value(json_object_get(json_object_get(event, "args"), "node"));
    escaped += node && strncmp(node, "a\"b\\c/", 6) == 0;
  }
  const int traced = COHORT_TRACE_LAST - COHORT_TRACE_FIRST + 1;
  CU_ASSERT_EQUAL(names, RANKS + RANKS * EXECUTORS);
  CU_ASSERT_EQUAL(steps, RANKS * traced);
  CU_ASSERT_TRUE(escaped > 0);
  for (int r = 0; r < RANKS; r++)
    for (int e = 0; e < EXECUTORS; e++) CU_ASSERT_EQUAL(count[r][e], traced * nodes);
  json_decref(root);
}

/* The checks are the main thread's: CUnit counts in one. */
static cohort_status one_rank(cohort_comm *comm, void *argument) {
  sample *own = argument;
  const cohort_profile_options plan = {comm, EXECUTORS, 1, own->train, own->evaluate};
  cohort_profile *profile = cohort_profile_create(&plan);
  const cohort_profile_session session = {.seconds = run_session(own, profile), .checkpoint_bytes = 3e6};
  cohort_profile_totals totals;
  cohort_profile_gather(profile, &session, &totals);
  if (comm->rank == 0) {
    own->totals = totals;
  } else {
    own->rows_elsewhere += totals.nodes.count;
    cohort_profile_totals_release(&totals);
  }
  cohort_profile_destroy(profile);
  return COHORT_DONE;
}

static void test_ranks(void) {
  sample own = sample_create();
  const cohort_profile_totals *totals = &own.totals;
  CU_ASSERT_EQUAL_FATAL(cohort_comm_run_threads(RANKS, one_rank, &own), COHORT_DONE);
  CU_ASSERT_EQUAL(totals->steps, STEPS);
  CU_ASSERT_EQUAL(own.rows_elsewhere, 0);
  CU_ASSERT_FALSE(totals->cut);
  check_sums(totals);
  check_csv(&totals->phases, totals->seconds, 6);
  check_csv(&totals->operations, totals->seconds, 7);
  check_csv(&totals->nodes, totals->seconds, 9);
  check_trace(totals, cohort_plan_nodes(own.train));
  cohort_profile_totals_release(&own.totals);
  sample_release(&own);
}

/* A step that runs its graph more often than said fills the room for events, and no more. */
static void test_bounded(void) {
  sample own = sample_create();
  cohort_comm comm = cohort_comm_alone();
  const cohort_profile_options plan = {&comm, 1, 1, own.train, own.evaluate};
  cohort_profile *profile = cohort_profile_create(&plan);
  cohort_recorder *recorder = cohort_profile_recorders(profile)[0];
  for (int step = 0; step < COHORT_TRACE_LAST; step++) {
    cohort_profile_step_begins(profile);
    for (int i = 0; i < 50; i++) run_plan(&own, own.train, recorder);
    cohort_profile_step_ends(profile);
  }
  CU_ASSERT_TRUE(recorder->room > 0 && recorder->room <= COHORT_TRACE_EVENTS);
  CU_ASSERT_EQUAL(recorder->events, recorder->room);
  cohort_profile_totals totals;
  cohort_profile_gather(profile, &(cohort_profile_session){.seconds = 1}, &totals);
  CU_ASSERT_TRUE(totals.cut);
  cohort_profile_totals_release(&totals);
  cohort_profile_destroy(profile);
  sample_release(&own);
}

int main(void) {
  static const check checks[] = {{"two ranks of two executors", test_ranks}, {"events are bounded", test_bounded}};
  return check_run("profile", checks, sizeof checks / sizeof *checks);
}
