/* Values that are made again rather than kept: the same bits in a smaller arena, and what is kept all the same. */
#include "graph/planned.h"
#include "rig.h"

enum { LAYERS = 6, ROWS = 512, WIDTH = 8, HIDDEN = 2048, MOST = RIG_LEAVES + LAYERS + 1 };

typedef enum way { PLAIN, VIEWED, SMALL } way;

/* Residual blocks with much inside: norm, up, GELU or SwiGLU, down. */
typedef struct network {
  rig at;
  cohort_value loss, before[LAYERS], inside[LAYERS], gradient[RIG_LEAVES];
} network;

static cohort_value inner(rig *at, cohort_value x, int layer, int64_t hidden, way how, cohort_value *before) {
  cohort_graph *graph = at->graph;
  const cohort_value up =
      cohort_graph_matmul(graph, x, rig_real(at, COHORT_SHAPE(hidden, WIDTH), -0.3, 0.3), false, true);
  const cohort_value a = cohort_graph_add(graph, up, rig_real(at, COHORT_SHAPE(hidden), -0.1, 0.1));
  *before = a;
  const cohort_value y = layer % 2 ? cohort_graph_gelu(graph, a, false) : cohort_graph_relu(graph, a);
  return how == VIEWED ? cohort_graph_reshape(graph, cohort_graph_reshape(graph, y, COHORT_SHAPE(hidden, ROWS)),
                                              COHORT_SHAPE(ROWS, hidden))
                       : y;
}

static network network_create(way how) {
  network own = {.at = rig_create(77)};
  rig *at = &own.at;
  cohort_graph *graph = at->graph;
  const int64_t hidden = how == SMALL ? 16 : HIDDEN;
  cohort_value x = rig_given(at, COHORT_SHAPE(ROWS, WIDTH), -1, 1);
  const cohort_value target = rig_integer(at, COHORT_SHAPE(ROWS), 0, WIDTH - 1);
  for (int layer = 0; layer < LAYERS; layer++) {
    const cohort_value gain = rig_real(at, COHORT_SHAPE(WIDTH), 0.5, 1.5);
    const cohort_value y = cohort_graph_layer_norm(graph, x, gain, rig_real(at, COHORT_SHAPE(WIDTH), -0.1, 0.1), 1e-5);
    own.inside[layer] = inner(at, y, layer, hidden, how, &own.before[layer]);
    const cohort_value down = rig_real(at, COHORT_SHAPE(WIDTH, hidden), -0.1, 0.1);
    x = cohort_graph_add(graph, x, cohort_graph_matmul(graph, own.inside[layer], down, false, true));
  }
  own.loss = cohort_graph_sum_all(graph, cohort_graph_softmax_cross_entropy(graph, x, target, 0));
  cohort_graph_gradient(graph, own.loss, COHORT_NO_VALUE, at->reals, at->real, own.gradient);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  return own;
}

/* `keep`: what is inside is asked for, hence kept. */
static runner runner_of(const network *of, bool keep) {
  cohort_value wanted[MOST];
  int count = 0;
  wanted[count++] = of->loss;
  for (int i = 0; i < of->at.reals; i++) wanted[count++] = of->gradient[i];
  for (int i = 0; keep && i < LAYERS; i++) wanted[count++] = of->inside[i];
  return runner_create(&of->at, of->at.graph, cohort_kernels_float64(), count, wanted, 2);
}

static int count_steps(const runner *own, cohort_op op, bool fused) {
  int found = 0;
  for (int i = 0; i < own->plan->steps; i++) {
    const cohort_call *call = &own->plan->step[i].call;
    found += own->plan->label[i].op == op;
    for (int k = 0; fused && call->fusion && k < call->fusion->operations; k++)
      found += call->fusion->operation[k].op == op;
  }
  return found;
}

/* Activations are made a second time, but for those of the last layers, which are read again soon. */
static void test_same_bits(void) {
  network own = network_create(PLAIN);
  runner kept = runner_of(&own, true), again = runner_of(&own, false);
  const size_t activation = (size_t)ROWS * HIDDEN * sizeof(double);
  CU_ASSERT(cohort_plan_arena_bytes(again.plan) + (LAYERS - 2) * activation <= cohort_plan_arena_bytes(kept.plan));
  CU_ASSERT(count_steps(&kept, COHORT_OP_GELU, true) == LAYERS / 2 &&
            count_steps(&kept, COHORT_OP_RELU, true) == LAYERS / 2);
  CU_ASSERT(count_steps(&again, COHORT_OP_GELU, true) + count_steps(&again, COHORT_OP_RELU, true) >= 2 * LAYERS - 2);
  CU_ASSERT_EQUAL(cohort_plan_flops(kept.plan), cohort_plan_flops(again.plan));
  runner_run(&kept);
  runner_run(&again);
  CU_ASSERT(isfinite(runner_read(&kept, own.loss, 0)) && runner_read(&kept, own.loss, 0) != 0);
  CU_ASSERT_EQUAL(runner_read(&kept, own.loss, 0), runner_read(&again, own.loss, 0));
  for (int i = 0; i < own.at.reals; i++) {
    const void *a = cohort_executor_value(kept.executor, kept.plan, 0, own.gradient[i], &kept.bindings);
    const void *b = cohort_executor_value(again.executor, again.plan, 0, own.gradient[i], &again.bindings);
    CU_ASSERT_EQUAL(memcmp(a, b, runner_bytes(&kept, own.gradient[i])), 0);
  }
  runner_destroy(&kept);
  runner_destroy(&again);
  rig_destroy(&own.at);
}

/* Small arenas stay as they are, and so does what late readers read through a view. */
static void test_kept(void) {
  for (way how = VIEWED; how <= SMALL; how++) {
    network own = network_create(how);
    runner run = runner_of(&own, false);
    CU_ASSERT_EQUAL(count_steps(&run, COHORT_OP_GELU, true), LAYERS / 2);
    CU_ASSERT_EQUAL(count_steps(&run, COHORT_OP_RELU, true), LAYERS / 2);
    CU_ASSERT_EQUAL(count_steps(&run, COHORT_OP_LAYER_NORM, false), LAYERS);
    runner_destroy(&run);
    rig_destroy(&own.at);
  }
}

/* A value between lane operations: its late reader runs in another phase, so making it again would keep it as long. */
static void test_phases(void) {
  network own = network_create(PLAIN);
  cohort_graph *graph = own.at.graph;
  const cohort_value sum = cohort_graph_lane_sum(graph, own.loss);
  cohort_value late = sum;
  for (int i = 0; i < 2 * LAYERS; i++) {
    const cohort_value value = i < LAYERS ? own.inside[i] : own.before[i - LAYERS];
    late = cohort_graph_add(graph, late, cohort_graph_sum_all(graph, cohort_graph_multiply(graph, value, sum)));
  }
  runner run = runner_create(&own.at, graph, cohort_kernels_float64(), 1, &late, 1);
  CU_ASSERT_EQUAL(cohort_plan_phases(run.plan), 2);
  CU_ASSERT_EQUAL(count_steps(&run, COHORT_OP_GELU, true), LAYERS / 2);
  runner_run(&run);
  double expected = 1;
  for (int i = 0; i < 2 * LAYERS; i++) {
    const cohort_value value = i < LAYERS ? own.inside[i] : own.before[i - LAYERS];
    runner alone = runner_create(&own.at, graph, cohort_kernels_float64(), 1, &value, 1);
    runner_run(&alone);
    for (int64_t e = 0; e < ROWS * HIDDEN; e++) expected += runner_read(&alone, value, e);
    runner_destroy(&alone);
  }
  expected *= runner_read(&run, sum, 0);
  CU_ASSERT_DOUBLE_EQUAL(runner_read(&run, late, 0), expected, 1e-9 * fabs(expected));
  runner_destroy(&run);
  rig_destroy(&own.at);
}

static const check checks[] = {{"same bits", test_same_bits}, {"kept", test_kept}, {"phases", test_phases}};

int main(void) { return check_run("rematerialise", checks, sizeof checks / sizeof *checks); }
