/* Fused kernels in float32, every variant that the machine has, against the float64 graph of small operations: all
 * outputs and all gradients, at odd shapes. */
#include "base/processor.h"
#include "cases.h"
#include "graph/node.h"

typedef struct fused_case {
  fixture_case own;
  double terms; /* of the longest sum: the tolerance is 1e-5 of its root */
} fused_case;

static cohort_value case_norm_rows(rig *own, int columns) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(83, columns), -2, 3);
  const cohort_value gain = rig_real(own, COHORT_SHAPE(columns), 0.5, 1.5);
  return cohort_graph_layer_norm(own->graph, x, gain, rig_real(own, COHORT_SHAPE(columns), -1, 1), 1e-5);
}
static cohort_value case_group_norm_large(rig *own, int groups) {
  const cohort_value x = rig_real(own, COHORT_SHAPE(3, 9, 11, 24), -2, 2);
  const cohort_value gain = rig_real(own, COHORT_SHAPE(24), 0.5, 1.5);
  return cohort_graph_group_norm(own->graph, x, gain, rig_real(own, COHORT_SHAPE(24), -1, 1), groups, 1e-5);
}
static cohort_value case_cross_entropy_large(rig *own, int percent) {
  const cohort_value logits = rig_real(own, COHORT_SHAPE(67, 1003), -6, 6);
  const cohort_value target = rig_integer(own, COHORT_SHAPE(67), -1, 1002);
  return cohort_graph_softmax_cross_entropy(own->graph, logits, target, percent / 100.0);
}
static cohort_value case_cross_entropy_narrow(rig *own, int classes) {
  const cohort_value logits = rig_real(own, COHORT_SHAPE(37, classes), -6, 6);
  return cohort_graph_softmax_cross_entropy(own->graph, logits, rig_integer(own, COHORT_SHAPE(37), -1, classes - 1),
                                            0.1);
}

static const fused_case cases[] = {
    {{"gelu tanh", case_gelu, 0}, 1},
    {{"gelu erf", case_gelu, 1}, 1},
    {{"swiglu", case_swiglu, 0}, 1},
    {{"relu", case_relu, 0}, 1},
    {{"dropout 0.3", case_dropout, 30}, 1},
    {{"dropout 0.75", case_dropout, 75}, 1},
    {{"layer_norm 19", case_norm_rows, 19}, 83},
    {{"layer_norm 3", case_layer_norm, 3}, 15},
    {{"layer_norm 1023", case_norm_rows, 1023}, 1023},
    {{"rms_norm 257", case_rms_norm, 257}, 257},
    {{"group_norm 24/4", case_group_norm_large, 4}, 9 * 11 * 24},
    {{"group_norm 24/24", case_group_norm_large, 24}, 9 * 11 * 3},
    {{"rotary", case_rotary, 2000}, 1},
    {{"softmax_cross_entropy", case_cross_entropy_large, 0}, 1003},
    {{"softmax_cross_entropy smoothed", case_cross_entropy_large, 10}, 1003},
    {{"softmax_cross_entropy of 2 classes", case_cross_entropy_narrow, 2}, 2},
    {{"softmax_cross_entropy of 10 classes", case_cross_entropy_narrow, 10}, 10},
    {{"softmax_cross_entropy of 16 classes", case_cross_entropy_narrow, 16}, 16},
    {{"vocabulary_head small", case_head, 1 | 4 | 8}, 11},
    {{"vocabulary_head", case_head_long, 1 | 4 | 8}, 301},
    {{"vocabulary_head of three panels", case_head_panels, 1 | 4 | 8}, 2100},
    {{"vocabulary_head log p alone", case_head_long, 1}, 301},
    {{"attention short", case_attention, 42}, 13},
    {{"attention", case_attention_long, 33}, 201},
    {{"attention grouped", case_attention_long, 62}, 201},
};

/* The node under test, and what is compared: its outputs, then the gradients. */
static int list_values(rig *at, const fixture_case *own, cohort_value *values) {
  const cohort_value y = own->build(at, own->variant);
  const cohort_value cotangent = rig_given(at, cohort_graph_shape(at->graph, y), -1, 1);
  int count = 0;
  for (int32_t n = 0; n < at->graph->nodes; n++) {
    const cohort_node *node = &at->graph->node[n];
    if (node->op < COHORT_OP_GELU && node->op != COHORT_OP_DROPOUT) continue;
    for (int i = 0; i < node->outputs; i++) values[count++] = node->first + i;
  }
  values[count++] = y;
  values[count++] = cotangent;
  return count;
}

static void check_status(const rig *at, const cohort_graph *graph, const char *name) {
  cohort_error error;
  if (cohort_graph_status(graph, &error) != COHORT_DONE) {
    fprintf(stderr, "%s: %s\n", name, error.text);
    CU_FAIL_FATAL("the graph has a fault");
  }
  (void)at;
}

static void compare_value(const fused_case *own, const runner *fused, const runner *small, cohort_value a,
                          cohort_value b, int index) {
  const int64_t elements = cohort_shape_elements(cohort_graph_shape(fused->graph, a));
  CU_ASSERT_EQUAL_FATAL(elements, cohort_shape_elements(cohort_graph_shape(small->graph, b)));
  const double bound = (fused->set->real_size == sizeof(float) ? 1e-5 : 1e-12) * sqrt(own->terms);
  int wrong = 0;
  for (int64_t i = 0; i < elements; i++) {
    const double got = runner_read(fused, a, i), wanted = runner_read(small, b, i);
    if (fabs(got - wanted) <= bound * fmax(1, fabs(wanted))) continue;
    if (!wrong++)
      fprintf(stderr, "%s in %s: value %d element %lld is %.9g, decomposed %.9g\n", own->own.name, fused->set->name,
              index, (long long)i, got, wanted);
  }
  CU_ASSERT_EQUAL(wrong, 0);
}

static void check_case(const fused_case *own, const cohort_kernel_set *set) {
  enum { MOST = RIG_LEAVES + 8 };
  rig at = rig_create(21);
  cohort_value a[MOST], b[MOST];
  int count = list_values(&at, &own->own, a);
  check_status(&at, at.graph, own->own.name);
  cohort_value *map = cohort_allocate((size_t)cohort_graph_values(at.graph) * sizeof *map);
  cohort_graph *graph = cohort_graph_decompose(at.graph, COHORT_DECOMPOSE_ALL, map);
  for (int i = 0; i < count; i++) b[i] = map[a[i]];
  cohort_value wrt[RIG_LEAVES];
  for (int i = 0; i < at.reals; i++) wrt[i] = map[at.real[i]];
  cohort_graph_gradient(at.graph, a[count - 2], a[count - 1], at.reals, at.real, a + count);
  cohort_graph_gradient(graph, b[count - 2], b[count - 1], at.reals, wrt, b + count);
  check_status(&at, at.graph, own->own.name);
  check_status(&at, graph, own->own.name);
  count += at.reals;
  runner fused = runner_create(&at, at.graph, set, count, a, 2);
  runner small = runner_create(&at, graph, cohort_kernels_float64(), count, b, 1);
  runner_run(&fused);
  runner_run(&small);
  for (int i = 0; i < count; i++) compare_value(own, &fused, &small, a[i], b[i], i);
  runner_destroy(&fused);
  runner_destroy(&small);
  cohort_graph_destroy(graph);
  free(map);
  rig_destroy(&at);
}

static void test_float32(void) {
  for (int isa = 0; isa <= (int)cohort_processor_isa(); isa++)
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
      check_case(&cases[i], cohort_kernels_float32((cohort_isa)isa));
}
static void test_float64(void) {
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i], cohort_kernels_float64());
}

/* Rows of no segment: exact zeros, forward and backward, in both forms. */
static void test_no_segment(void) {
  for (int decomposed = 0; decomposed < 2; decomposed++) {
    rig at = rig_create(4);
    cohort_value y = case_attention(&at, 42), value[4];
    cohort_graph *graph = at.graph;
    cohort_value *map = cohort_allocate((size_t)cohort_graph_values(graph) * sizeof *map);
    if (decomposed) {
      graph = cohort_graph_decompose(at.graph, COHORT_DECOMPOSE_ALL, map);
      y = map[y];
    }
    cohort_value wrt[3];
    for (int i = 0; i < 3; i++) cohort_graph_parameter_at(graph, i, &wrt[i]);
    cohort_graph_gradient(graph, y, COHORT_NO_VALUE, 3, wrt, value);
    value[3] = y;
    runner run = runner_create(&at, graph, cohort_kernels_float32(cohort_processor_isa()), 4, value, 1);
    runner_run(&run);
    for (int v = 0; v < 4; v++) {
      const int64_t elements = cohort_shape_elements(cohort_graph_shape(graph, value[v])), row = elements / 13;
      double inside = 0;
      for (int64_t i = 0; i < elements; i++) {
        if (i >= 11 * row) CU_ASSERT_EQUAL(runner_read(&run, value[v], i), 0);
        inside += fabs(runner_read(&run, value[v], i));
      }
      CU_ASSERT(inside > 0.1);
    }
    runner_destroy(&run);
    if (decomposed) cohort_graph_destroy(graph);
    free(map);
    rig_destroy(&at);
  }
}

/* Parameters, inputs and lanes stay; nothing fused is left, of a graph with gradients either. */
static void test_structure(void) {
  rig at = rig_create(4);
  cohort_graph_set_lanes(at.graph, 3);
  cohort_graph_enter(at.graph, "block");
  const cohort_value y = case_head(&at, 1), loss = cohort_graph_sum_all(at.graph, y);
  cohort_graph_leave(at.graph);
  cohort_graph *small = cohort_graph_decompose(at.graph, COHORT_DECOMPOSE_ALL, NULL);
  CU_ASSERT_EQUAL(cohort_graph_parameters(small), cohort_graph_parameters(at.graph));
  CU_ASSERT_EQUAL(cohort_graph_inputs(small), cohort_graph_inputs(at.graph));
  CU_ASSERT_EQUAL(small->lanes, 3);
  CU_ASSERT_STRING_EQUAL(cohort_graph_parameter_at(small, 1, NULL)->name, "block.x1");
  for (int32_t n = 0; n < small->nodes; n++) CU_ASSERT(small->node[n].op < COHORT_OP_GELU);
  cohort_graph_destroy(small);
  cohort_value gradient[2];
  cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, 2, at.real, gradient);
  small = cohort_graph_decompose(at.graph, COHORT_DECOMPOSE_ALL, NULL);
  CU_ASSERT_EQUAL(cohort_graph_status(small, NULL), COHORT_DONE);
  for (int32_t n = 0; n < small->nodes; n++) CU_ASSERT(small->node[n].op < COHORT_OP_GELU);
  cohort_graph_destroy(small);
  rig_destroy(&at);
}

/* Leaves are told apart by what they are, also when their names are alike. */
static void test_names(void) {
  cohort_graph *graph = cohort_graph_create();
  const cohort_shape shape = COHORT_SHAPE(3);
  cohort_value parameter[2], map[4];
  for (int space = 0; space < 2; space++)
    parameter[space] = cohort_graph_parameter(graph, space, "x", shape, COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
  const cohort_value input = cohort_graph_input(graph, "x", COHORT_TYPE_REAL, shape);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_values(graph), 3);
  cohort_graph *small = cohort_graph_decompose(graph, COHORT_DECOMPOSE_ALL, map);
  CU_ASSERT_EQUAL(cohort_graph_find_input(small, "x"), map[input]);
  for (int space = 0; space < 2; space++) {
    cohort_value value;
    CU_ASSERT_EQUAL(cohort_graph_parameter_at(small, space, &value)->space, space);
    CU_ASSERT_EQUAL(value, map[parameter[space]]);
  }
  cohort_graph_destroy(small);
  cohort_graph_destroy(graph);
}

int main(void) {
  static const check checks[] = {
      {"structure", test_structure},
      {"leaves of one name", test_names},
      {"float64 fused against decomposed", test_float64},
      {"float32 fused against decomposed float64", test_float32},
      {"rows of no segment are exact zeros", test_no_segment},
  };
  return check_run("decompose", checks, sizeof checks / sizeof checks[0]);
}
