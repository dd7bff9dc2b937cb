/* Ragged rows: a run that uses some of the planned rows gives the bits of one whose other rows are padding, and looks
 * at nothing behind them; a graph that moves rows is run whole. */
#include <string.h>

#include "graph/gradient.h"
#include "graph/planned.h"
#include "rig.h"
#include "tests/check.h"

enum { ROWS = 1500, USED = 1111, WIDTH = 24, HEADS = 3, WORDS = 20, SEGMENTS = 60, GRADIENTS = 7 };

/* A small transformer over rows, with a loss of each segment. WIDTH, WORDS and so on are none of ROWS' divisors. */
typedef struct network {
  rig at;
  cohort_value input[4]; /* tokens, targets, positions, segments */
  cohort_value sums, loss, gradient[GRADIENTS];
  int gradients;
} network;

static cohort_value block(network *own, cohort_value x, bool moves) {
  rig *at = &own->at;
  cohort_graph *graph = at->graph;
  const cohort_shape heads = COHORT_SHAPE(ROWS, HEADS, WIDTH / HEADS);
  const cohort_value gain = rig_real(at, COHORT_SHAPE(WIDTH), 0.5, 1.5),
                     bias = rig_real(at, COHORT_SHAPE(WIDTH), -1, 1);
  cohort_value y = cohort_graph_layer_norm(graph, x, gain, bias, 1e-5);
  const cohort_value weight = rig_real(at, COHORT_SHAPE(WIDTH, WIDTH), -0.3, 0.3);
  y = cohort_graph_add(graph, cohort_graph_matmul(graph, y, weight, false, true), bias);
  if (moves) y = cohort_graph_flip(graph, cohort_graph_flip(graph, y, 0), 0);
  const cohort_value turned =
      cohort_graph_rotary(graph, cohort_graph_reshape(graph, y, heads), own->input[2], (cohort_rotary){.theta = 1e4});
  y = cohort_graph_attention(graph, turned, turned, cohort_graph_reshape(graph, y, heads), own->input[3], 0.4, 0);
  y = cohort_graph_gelu(graph, cohort_graph_reshape(graph, y, COHORT_SHAPE(ROWS, WIDTH)), false);
  y = cohort_graph_dropout(graph, y, own->input[3], own->input[2], 0.2);
  return cohort_graph_rms_norm(graph, cohort_graph_add(graph, x, y), gain, 1e-5);
}

static network make(bool moves) {
  network own = {.at = rig_create(7)};
  rig *at = &own.at;
  const int most[4] = {WORDS - 1, WORDS - 1, ROWS - 1, 0};
  for (int i = 0; i < 3; i++) own.input[i] = rig_integer(at, COHORT_SHAPE(ROWS), 0, most[i]);
  own.input[3] = rig_segments(at, ROWS, 25, ROWS - USED);
  for (int64_t r = USED; r < ROWS; r++) ((int32_t *)at->input_data[1])[r] = -1;
  const int extent = cohort_graph_add_extent(at->graph, ROWS, USED);
  for (int i = 0; i < 4; i++) cohort_graph_ragged(at->graph, own.input[i], extent);
  const cohort_value words = rig_real(at, COHORT_SHAPE(WORDS, WIDTH), -1, 1);
  const cohort_value x = block(&own, cohort_graph_gather(at->graph, words, own.input[0]), moves);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(at->graph, x, words, own.input[1]);
  own.sums = cohort_graph_segment_sum(at->graph, head.log_probability, own.input[3], SEGMENTS);
  own.loss = cohort_graph_sum_all(at->graph, cohort_graph_log_sigmoid(at->graph, own.sums));
  own.gradients = cohort_graph_parameters(at->graph);
  cohort_value wrt[GRADIENTS];
  for (int i = 0; i < own.gradients; i++) cohort_graph_parameter_at(at->graph, i, &wrt[i]);
  cohort_graph_gradient(at->graph, own.loss, cohort_graph_constant(at->graph, 1), own.gradients, wrt, own.gradient);
  return own;
}

static runner make_runner(const network *own, const cohort_kernel_set *set) {
  cohort_value values[GRADIENTS + 2] = {own->loss, own->sums};
  memcpy(values + 2, own->gradient, (size_t)own->gradients * sizeof *values);
  return runner_create(&own->at, own->at.graph, set, own->gradients + 2, values, 2);
}

static void keep(const network *own, const runner *from, double *kept) {
  for (int i = -2; i < own->gradients; i++) {
    const cohort_value value = i < 0 ? i == -2 ? own->loss : own->sums : own->gradient[i];
    const int64_t elements = (int64_t)rig_elements(&own->at, value);
    for (int64_t e = 0; e < elements; e++) *kept++ = runner_read(from, value, e);
  }
}

static void compare(const cohort_kernel_set *set) {
  enum { KEPT = 1 + SEGMENTS + GRADIENTS * WIDTH * WORDS };
  static double whole[KEPT], shortened[KEPT];
  memset(whole, 0, sizeof whole);
  memset(shortened, 0, sizeof shortened);
  network own = make(false);
  runner at = make_runner(&own, set);
  CU_ASSERT_EQUAL(cohort_plan_extents(at.plan), 1);
  runner_run(&at);
  keep(&own, &at, whole);
  for (int i = 0; i < 4; i++) /* what lies behind must not be read */
    for (int64_t r = USED; r < ROWS; r++) ((int32_t *)own.at.input_data[i])[r] = INT32_MAX;
  void *piece = NULL;
  const size_t bytes = cohort_plan_arena_bytes(at.plan) / 64 * 64;
  CU_ASSERT_EQUAL(cohort_executor_borrow(at.executor, bytes, 1, &piece), 1);
  memset(piece, 0xff, bytes);
  const int64_t extent[COHORT_MAX_EXTENTS] = {USED};
  at.bindings.extent = extent;
  runner_run(&at);
  keep(&own, &at, shortened);
  CU_ASSERT(whole[0] != 0 && memcmp(whole, shortened, sizeof whole) == 0);
  runner_destroy(&at);
  rig_destroy(&own.at);
}

static void fewer_rows_have_the_same_bits(void) {
  compare(cohort_kernels_float32(COHORT_ISA_AVX2));
  compare(cohort_kernels_float64());
}

/* A plan says so, and a run of it computes all. */
static void moved_rows_are_run_whole(void) {
  network own = make(true);
  runner at = make_runner(&own, cohort_kernels_float64());
  CU_ASSERT_EQUAL(cohort_plan_extents(at.plan), 0);
  runner_run(&at);
  const double loss = runner_read(&at, own.loss, 0);
  const int64_t extent[COHORT_MAX_EXTENTS] = {USED};
  at.bindings.extent = extent;
  runner_run(&at);
  CU_ASSERT(loss != 0 && loss == runner_read(&at, own.loss, 0));
  runner_destroy(&at);
  rig_destroy(&own.at);
}

/* Products and attention count what is used. */
static void flops_are_of_rows_in_use(void) {
  network own = make(false);
  runner at = make_runner(&own, cohort_kernels_float64());
  double flops = 0;
  for (int s = 0; s < at.plan->steps; s++)
    if (at.plan->step[s].extent) flops += cohort_op_flops(at.plan->label[s].op, &at.plan->step[s].call);
  CU_ASSERT_DOUBLE_EQUAL(cohort_plan_flops(at.plan), flops * USED / ROWS, 1e-9 * flops);
  runner_destroy(&at);
  rig_destroy(&own.at);
}

static const check checks[] = {{"same bits", fewer_rows_have_the_same_bits},
                               {"moved rows", moved_rows_are_run_whole},
                               {"flops", flops_are_of_rows_in_use}};

int main(void) { return check_run("ragged", checks, sizeof checks / sizeof *checks); }
