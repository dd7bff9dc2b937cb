/* Values overlaid in memory of gradients that are written late: two lanes at once have the bits of plans by themselves,
 * and nothing that must be left alone is touched. */
#include <limits.h>

#include "graph/overlay.h"
#include "graph/partition.h"
#include "rig.h"

enum { LAYERS = 6, ROWS = 32, WIDTH = 32, LANES = 2, ODD = 9 };

typedef struct network {
  rig at;
  cohort_value loss, gradient[RIG_LEAVES];
  int *group;                       /* [values] of gradients: one a parameter; -1: none */
  int *none;                        /* [values]: -1 */
  size_t offset[RIG_LEAVES], bytes; /* of gradients in the row */
} network;

static network network_create(void) {
  network own = {.at = rig_create(8)};
  rig *at = &own.at;
  cohort_graph *graph = at->graph;
  cohort_value x = rig_given(at, COHORT_SHAPE(ROWS, WIDTH), -1, 1);
  const cohort_value target = rig_integer(at, COHORT_SHAPE(ROWS), 0, ODD - 1);
  for (int layer = 0; layer < LAYERS; layer++) {
    const int64_t out = layer + 1 < LAYERS ? WIDTH : ODD;
    const cohort_value weight = rig_real(at, COHORT_SHAPE(out, WIDTH), -0.4, 0.4);
    x = cohort_graph_add(graph, cohort_graph_matmul(graph, x, weight, false, true),
                         rig_real(at, COHORT_SHAPE(out), -0.1, 0.1));
    if (layer + 1 < LAYERS) x = cohort_graph_unary(graph, COHORT_OP_TANH, x);
  }
  own.loss = cohort_graph_sum_all(graph, cohort_graph_softmax_cross_entropy(graph, x, target, 0));
  cohort_graph_gradient(graph, own.loss, COHORT_NO_VALUE, at->reals, at->real, own.gradient);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  const int32_t values = cohort_graph_values(graph);
  own.group = cohort_allocate((size_t)values * sizeof *own.group);
  own.none = cohort_allocate((size_t)values * sizeof *own.none);
  for (int32_t v = 0; v < values; v++) own.group[v] = own.none[v] = -1;
  for (int i = 0; i < at->reals; i++) {
    own.group[own.gradient[i]] = i;
    own.offset[i] = own.bytes;
    own.bytes += cohort_round_up(rig_elements(at, at->real[i]) * sizeof(double), COHORT_ALIGNMENT);
  }
  return own;
}

static void network_release(network *own) {
  free(own->group);
  free(own->none);
  rig_destroy(&own->at);
}

static cohort_plan *plan_of(const network *of, bool cut) {
  cohort_plan_output output[RIG_LEAVES + 1] = {{of->loss, false}};
  for (int i = 0; i < of->at.reals; i++) output[i + 1] = (cohort_plan_output){of->gradient[i], true};
  cohort_plan *plan = NULL;
  CU_ASSERT_EQUAL_FATAL(
      cohort_plan_create(of->at.graph, cohort_kernels_float64(), of->at.reals + 1, output, &plan, NULL), COHORT_DONE);
  const cohort_plan_bound_groups groups = {of->at.reals, of->none, of->group};
  if (cut) CU_ASSERT_EQUAL_FATAL(cohort_plan_partition(plan, &groups, NULL), COHORT_DONE);
  return plan;
}

/* Paddings stay as they are, and gradient `kept` too, until the end. */
static void overlay(const network *of, cohort_plan *plan, int kept) {
  cohort_interval taken[2 * RIG_LEAVES];
  int count = 0;
  for (int phase = 0; phase < cohort_plan_phases(plan); phase++) {
    const cohort_plan_event *event = NULL;
    const int events = cohort_plan_events(plan, phase, &event);
    for (int e = 0; e < events; e++) {
      if (event[e].kind != COHORT_PLAN_OPEN) continue;
      const int i = event[e].group;
      const size_t bytes = rig_elements(&of->at, of->at.real[i]) * sizeof(double);
      const size_t end = i + 1 < of->at.reals ? of->offset[i + 1] : of->bytes;
      taken[count++] = (cohort_interval){bytes, of->offset[i], i == kept ? 0 : phase, INT_MAX};
      taken[count++] = (cohort_interval){end - of->offset[i] - bytes, of->offset[i] + bytes, 0, INT_MAX};
    }
  }
  const cohort_overlay overlay = {of->bytes, LANES, count, taken};
  cohort_plan_overlay(plan, &overlay);
}

typedef struct lane {
  cohort_executor *executor;
  void **memory;
  double *row;
  double *input;
} lane;

/* Lane 1 has other samples. */
static lane lane_create(const network *of, const cohort_plan *plan, int number) {
  const rig *at = &of->at;
  lane own = {.memory = cohort_allocate((size_t)(cohort_graph_values(at->graph) + cohort_plan_overlaid(plan) + 1) *
                                        sizeof *own.memory)};
  void *row = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_memory_create(of->bytes, "row", &row, NULL), COHORT_DONE);
  own.row = row;
  memset(row, 0xff, of->bytes);
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &own.executor, NULL), COHORT_DONE);
  own.input = cohort_allocate((size_t)ROWS * WIDTH * sizeof(double));
  for (int i = 0; i < ROWS * WIDTH; i++) own.input[i] = ((const double *)at->input_data[0])[i] * (1 - 0.5 * number);
  for (int i = 0; i < at->inputs; i++) own.memory[cohort_graph_input_at(at->graph, i, NULL)] = at->input_data[i];
  own.memory[cohort_graph_input_at(at->graph, 0, NULL)] = own.input;
  for (int i = 0; i < at->reals; i++) {
    own.memory[at->real[i]] = at->real_data[i];
    own.memory[of->gradient[i]] = (char *)row + of->offset[i];
  }
  return own;
}

static void lane_release(lane *own) {
  cohort_executor_destroy(own->executor);
  cohort_memory_release(own->row);
  free(own->memory);
  free(own->input);
}

/* Lanes by turns, phase by phase: each leaves the other's values alone, in whatever order. */
static void run_lanes(const network *of, const cohort_plan *plan, double rows[LANES][4 * LAYERS * WIDTH * WIDTH]) {
  lane lanes[LANES];
  for (int l = 0; l < LANES; l++) lanes[l] = lane_create(of, plan, l);
  for (int l = 0; l < LANES; l++) cohort_plan_bind_overlaid(plan, l, lanes[0].row, lanes[l].memory);
  for (int phase = 0; phase < cohort_plan_phases(plan); phase++)
    for (int i = 0; i < LANES; i++) {
      const int l = phase % 2 ? i : LANES - 1 - i;
      const cohort_bindings bindings = {lanes[l].memory, {{1, 2}}, NULL};
      cohort_executor_run(lanes[l].executor, plan, phase, 0, &bindings);
    }
  for (int l = 0; l < LANES; l++) {
    memcpy(rows[l], lanes[l].row, of->bytes);
    lane_release(&lanes[l]);
  }
}

static double alone[LANES][4 * LAYERS * WIDTH * WIDTH], overlaid[LANES][4 * LAYERS * WIDTH * WIDTH];

static void test_same_bits(void) {
  network own = network_create();
  CU_ASSERT_FATAL(own.bytes <= sizeof alone[0]);
  cohort_plan *plain = plan_of(&own, true), *other = plan_of(&own, true);
  overlay(&own, other, -1);
  CU_ASSERT(cohort_plan_overlaid(other) >= LAYERS - 3);
  CU_ASSERT(cohort_plan_arena_bytes(other) < cohort_plan_arena_bytes(plain));
  CU_ASSERT_EQUAL(cohort_plan_whole_bytes(other), cohort_plan_arena_bytes(plain));
  CU_ASSERT_EQUAL(cohort_plan_whole_bytes(plain), cohort_plan_arena_bytes(plain));
  run_lanes(&own, plain, alone);
  run_lanes(&own, other, overlaid);
  for (int l = 0; l < LANES; l++) CU_ASSERT_EQUAL(memcmp(alone[l], overlaid[l], own.bytes), 0); /* paddings included */
  CU_ASSERT_NOT_EQUAL(memcmp(alone[0], alone[1], own.bytes), 0);
  cohort_plan_destroy(plain);
  cohort_plan_destroy(other);
  network_release(&own);
}

/* Rooms of the lanes, and of what is used at a time, do not overlap; what is kept for ever has none. */
static void test_rooms(void) {
  network own = network_create();
  cohort_plan *plan = plan_of(&own, true);
  const int kept = 0;
  overlay(&own, plan, kept);
  void **memory[LANES];
  const size_t room = (size_t)(cohort_graph_values(own.at.graph) + cohort_plan_overlaid(plan) + 1) * sizeof(void *);
  for (int l = 0; l < LANES; l++) {
    memory[l] = cohort_allocate(room);
    cohort_plan_bind_overlaid(plan, l, alone, memory[l]);
  }
  const size_t end = own.offset[kept + 1];
  CU_ASSERT(cohort_plan_overlaid(plan) > 0);
  for (int i = 0; i < cohort_plan_overlaid(plan); i++) {
    const char *at[LANES];
    for (int l = 0; l < LANES; l++) {
      at[l] = memory[l][cohort_graph_values(own.at.graph) + i];
      CU_ASSERT(at[l] >= (const char *)alone + end && at[l] < (const char *)alone + own.bytes);
    }
    CU_ASSERT(at[0] + ROWS * WIDTH * sizeof(double) <= at[1] || at[1] + ROWS * WIDTH * sizeof(double) <= at[0]);
  }
  for (int l = 0; l < LANES; l++) free(memory[l]);
  cohort_plan_destroy(plan);
  network_release(&own);
}

/* A plan of one phase keeps nothing from one phase to another. */
static void test_uncut(void) {
  network own = network_create();
  cohort_plan *plan = plan_of(&own, false);
  const size_t bytes = cohort_plan_arena_bytes(plan);
  const cohort_overlay overlay = {own.bytes, LANES, 0, NULL};
  cohort_plan_overlay(plan, &overlay);
  CU_ASSERT_EQUAL(cohort_plan_overlaid(plan), 0);
  CU_ASSERT_EQUAL(cohort_plan_arena_bytes(plan), bytes);
  cohort_plan_destroy(plan);
  network_release(&own);
}

int main(void) {
  static const check checks[] = {{"same bits", test_same_bits}, {"rooms", test_rooms}, {"uncut", test_uncut}};
  return check_run("lodge", checks, sizeof checks / sizeof *checks);
}
