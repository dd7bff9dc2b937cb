/* What builders refuse, and how they say it: the scoped name, the shapes and what to do. */
#include "cases.h"
#include "graph/node.h"

static cohort_value input(cohort_graph *graph, const char *name, cohort_shape shape) {
  return cohort_graph_input(graph, name, COHORT_TYPE_REAL, shape);
}

static cohort_value integers(cohort_graph *graph, const char *name, cohort_shape shape) {
  return cohort_graph_input(graph, name, COHORT_TYPE_INTEGER, shape);
}

/* The text must hold every part, in any order. */
static void expect_fault(cohort_graph *graph, cohort_value value, const char *const *parts) {
  cohort_error error = {0};
  CU_ASSERT_EQUAL(value, COHORT_NO_VALUE);
  CU_ASSERT_EQUAL(cohort_graph_status(graph, &error), COHORT_BAD_CONFIG);
  for (int i = 0; parts[i]; i++) {
    if (!strstr(error.text, parts[i])) fprintf(stderr, "\"%s\" lacks \"%s\"\n", error.text, parts[i]);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, parts[i]));
  }
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "; "));
}

static cohort_graph *scoped(void) {
  cohort_graph *graph = cohort_graph_create();
  cohort_graph_enter(graph, "layer%d", 3);
  cohort_graph_enter(graph, "query");
  return graph;
}

static void test_binary(void) {
  cohort_graph *graph = scoped();
  const cohort_value y =
      cohort_graph_add(graph, input(graph, "a", COHORT_SHAPE(3, 4)), input(graph, "b", COHORT_SHAPE(5)));
  expect_fault(graph, y, (const char *[]){"layer3/query/add: ", "[3, 4]", "[5]", NULL});
  CU_ASSERT_EQUAL(cohort_graph_constant(graph, 1), COHORT_NO_VALUE); /* sticky */
  cohort_graph_destroy(graph);
}

static void test_sticky(void) {
  cohort_graph *graph = scoped();
  const cohort_value a = input(graph, "a", COHORT_SHAPE(3, 4));
  const cohort_value y = cohort_graph_matmul(graph, a, a, false, false);
  const cohort_value z = cohort_graph_add(graph, y, input(graph, "b", COHORT_SHAPE(5)));
  CU_ASSERT_EQUAL(z, COHORT_NO_VALUE);
  expect_fault(graph, y, (const char *[]){"layer3/query/matmul: ", "[3, 4]", NULL});
  cohort_value gradient = 0;
  cohort_graph_gradient(graph, z, COHORT_NO_VALUE, 1, &a, &gradient);
  CU_ASSERT_EQUAL(gradient, COHORT_NO_VALUE);
  cohort_plan *plan = NULL;
  cohort_error error;
  CU_ASSERT_EQUAL(cohort_plan_create(graph, cohort_kernels_float64(), 0, NULL, &plan, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(plan);
  cohort_graph_destroy(graph);
}

typedef cohort_value (*builder)(cohort_graph *graph);
static cohort_value bad_matmul(cohort_graph *g) {
  return cohort_graph_matmul(g, input(g, "a", COHORT_SHAPE(2, 3, 4)), input(g, "b", COHORT_SHAPE(3, 4, 5)), false,
                             false);
}
static cohort_value bad_flat(cohort_graph *g) {
  return cohort_graph_matmul(g, input(g, "a", COHORT_SHAPE(2, 4, 3)), input(g, "b", COHORT_SHAPE(4, 5)), true, false);
}
static cohort_value bad_reshape(cohort_graph *g) {
  return cohort_graph_reshape(g, input(g, "a", COHORT_SHAPE(2, 3)), COHORT_SHAPE(7));
}
static cohort_value bad_broadcast(cohort_graph *g) {
  return cohort_graph_broadcast(g, input(g, "a", COHORT_SHAPE(2, 3)), COHORT_SHAPE(2, 4));
}
static cohort_value bad_permute(cohort_graph *g) {
  return cohort_graph_permute(g, input(g, "a", COHORT_SHAPE(2, 3)), (int[]){0, 0});
}
static cohort_value bad_slice(cohort_graph *g) {
  return cohort_graph_slice(g, input(g, "a", COHORT_SHAPE(2, 3)), 1, 2, 2);
}
static cohort_value bad_axis(cohort_graph *g) { return cohort_graph_flip(g, input(g, "a", COHORT_SHAPE(2, 3)), 2); }
static cohort_value bad_concat(cohort_graph *g) {
  return cohort_graph_concat(g, 0, 2,
                             (cohort_value[]){input(g, "a", COHORT_SHAPE(2, 3)), input(g, "b", COHORT_SHAPE(2, 4))});
}
static cohort_value bad_sum(cohort_graph *g) { return cohort_graph_sum(g, input(g, "a", COHORT_SHAPE(2, 3)), 1U << 2); }
static cohort_value bad_gather(cohort_graph *g) {
  return cohort_graph_gather(g, input(g, "a", COHORT_SHAPE(2, 3)), input(g, "b", COHORT_SHAPE(4)));
}
static cohort_value bad_take(cohort_graph *g) {
  return cohort_graph_take_along(g, input(g, "a", COHORT_SHAPE(2, 3)), integers(g, "b", COHORT_SHAPE(3)));
}
static cohort_value bad_segment(cohort_graph *g) {
  return cohort_graph_segment_sum(g, input(g, "a", COHORT_SHAPE(2, 3)), integers(g, "b", COHORT_SHAPE(3)), 4);
}
static cohort_value bad_window(cohort_graph *g) {
  return cohort_graph_convolution(g, input(g, "a", COHORT_SHAPE(1, 3, 3, 2)), input(g, "b", COHORT_SHAPE(4, 5, 5, 2)),
                                  1, 0);
}
static cohort_value bad_channels(cohort_graph *g) {
  return cohort_graph_convolution(g, input(g, "a", COHORT_SHAPE(1, 8, 8, 2)), input(g, "b", COHORT_SHAPE(4, 3, 3, 1)),
                                  1, 0);
}
static cohort_value bad_pool(cohort_graph *g) {
  return cohort_graph_window_max(g, input(g, "a", COHORT_SHAPE(1, 3, 3, 2)), 4, 1);
}
static cohort_value bad_dropout(cohort_graph *g) {
  const cohort_value ids = integers(g, "ids", COHORT_SHAPE(2));
  return cohort_graph_dropout(g, input(g, "a", COHORT_SHAPE(2, 3)), ids, ids, 1.0);
}
static cohort_value bad_rows(cohort_graph *g) {
  const cohort_value ids = integers(g, "ids", COHORT_SHAPE(3));
  return cohort_graph_random_rows(g, COHORT_OP_RANDOM_UNIFORM, ids, ids, COHORT_SHAPE(2, 3));
}
static cohort_value bad_norm(cohort_graph *g) {
  const cohort_value gain = input(g, "gain", COHORT_SHAPE(4));
  return cohort_graph_layer_norm(g, input(g, "a", COHORT_SHAPE(2, 3)), gain, gain, 1e-5);
}
static cohort_value bad_groups(cohort_graph *g) {
  const cohort_value gain = input(g, "gain", COHORT_SHAPE(6));
  return cohort_graph_group_norm(g, input(g, "a", COHORT_SHAPE(2, 3, 3, 6)), gain, gain, 4, 1e-5);
}
static cohort_value bad_rotary(cohort_graph *g) {
  return cohort_graph_rotary(g, input(g, "a", COHORT_SHAPE(2, 3, 5)), integers(g, "p", COHORT_SHAPE(2)),
                             (cohort_rotary){.theta = 1e4});
}
static cohort_value bad_heads(cohort_graph *g) {
  const cohort_value key = input(g, "key", COHORT_SHAPE(5, 2, 4));
  return cohort_graph_attention(g, input(g, "a", COHORT_SHAPE(5, 3, 4)), key, key, integers(g, "s", COHORT_SHAPE(5)), 1,
                                0);
}
static cohort_value bad_target(cohort_graph *g) {
  return cohort_graph_softmax_cross_entropy(g, input(g, "a", COHORT_SHAPE(2, 3)), integers(g, "t", COHORT_SHAPE(3)), 0);
}
static cohort_value bad_head(cohort_graph *g) {
  return cohort_graph_vocabulary_head(g, input(g, "a", COHORT_SHAPE(2, 3)), input(g, "w", COHORT_SHAPE(9, 4)),
                                      integers(g, "t", COHORT_SHAPE(2)))
      .log_probability;
}
static cohort_value bad_lane(cohort_graph *g) {
  cohort_graph_set_lanes(g, 4);
  return cohort_graph_unary(g, COHORT_OP_LANE_TAKE, input(g, "a", COHORT_SHAPE(6, 2)));
}
static cohort_value bad_type(cohort_graph *g) {
  return cohort_graph_unary(g, COHORT_OP_TANH, integers(g, "a", COHORT_SHAPE(6)));
}
static cohort_value bad_input(cohort_graph *g) { return cohort_graph_unary(g, COHORT_OP_TANH, 77); }
static cohort_value bad_again(cohort_graph *g) {
  input(g, "layer3/query/again", COHORT_SHAPE(2));
  return input(g, "layer3/query/again", COHORT_SHAPE(3));
}

static void test_all_faults(void) {
  static const struct {
    builder build;
    const char *name, *part;
  } faults[] = {
      {bad_matmul, "matmul", "[2, 3, 4] and [3, 4, 5]"},
      {bad_flat, "matmul", "[4, 5]"},
      {bad_reshape, "reshape", "[7]"},
      {bad_broadcast, "broadcast", "[2, 4]"},
      {bad_permute, "permute", "[2, 3]"},
      {bad_slice, "slice", "[2, 4)"},
      {bad_axis, "flip", "no axis 2"},
      {bad_concat, "concat", "[2, 4]"},
      {bad_sum, "sum", "[2, 3]"},
      {bad_gather, "gather", "integers"},
      {bad_take, "take_along", "[3]"},
      {bad_segment, "segment_sum", "[3]"},
      {bad_window, "convolution", "[4, 5, 5, 2]"},
      {bad_channels, "convolution", "channels"},
      {bad_pool, "window_max", "[1, 3, 3, 2]"},
      {bad_dropout, "dropout", "[0, 1)"},
      {bad_rows, "random_uniform", "[3]"},
      {bad_norm, "layer_norm", "[4]"},
      {bad_groups, "group_norm", "[2, 3, 3, 6]"},
      {bad_rotary, "rotary", "[2, 3, 5]"},
      {bad_heads, "attention", "[5, 2, 4]"},
      {bad_target, "softmax_cross_entropy", "integer [3]"},
      {bad_head, "vocabulary_head", "[9, 4]"},
      {bad_lane, "lane_take", "lanes"},
      {bad_type, "tanh", "reals"},
      {bad_input, "tanh", "no value"},
      {bad_again, "again", "[3]"},
  };
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    cohort_graph *graph = scoped();
    char name[64];
    (void)snprintf(name, sizeof name, "layer3/query/%s: ", faults[i].name);
    expect_fault(graph, faults[i].build(graph), (const char *[]){name, faults[i].part, NULL});
    cohort_graph_destroy(graph);
  }
}

static void test_good_shapes(void) {
  cohort_graph *graph = cohort_graph_create();
  const cohort_value a = input(graph, "a", cohort_shape_of(3, 2, (int64_t)3, 4));
  const cohort_value b = input(graph, "b", COHORT_SHAPE(4, 5));
  char text[COHORT_SHAPE_TEXT];
  const struct {
    cohort_value value;
    const char *shape;
  } expected[] = {
      {a, "[2, 3, 4]"},
      {cohort_graph_matmul(graph, a, b, false, false), "[2, 3, 5]"},
      {cohort_graph_sum(graph, a, 1U << 1), "[2, 1, 4]"},
      {cohort_graph_sum_all(graph, a), "[]"},
      {cohort_graph_argmax(graph, a), "[2, 3]"},
      {cohort_graph_gather(graph, b, cohort_graph_argmax(graph, a)), "[2, 3, 5]"},
      {cohort_graph_concat(graph, 1, 2, (cohort_value[]){a, a}), "[2, 6, 4]"},
      {cohort_graph_add(graph, a, cohort_graph_constant(graph, 1)), "[2, 3, 4]"},
      {cohort_graph_pad(graph, a, 0, 1, 2), "[5, 3, 4]"},
      {cohort_graph_permute(graph, a, (int[]){2, 0, 1}), "[4, 2, 3]"},
      {cohort_graph_put_along(graph, cohort_graph_slice(graph, b, 0, 0, 1),
                              cohort_graph_argmax(graph, cohort_graph_reshape(graph, b, COHORT_SHAPE(1, 5, 4))), 9),
       "[1, 5, 9]"},
  };
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
    CU_ASSERT_STRING_EQUAL(cohort_shape_text(cohort_graph_shape(graph, expected[i].value), text), expected[i].shape);
  CU_ASSERT_EQUAL(cohort_graph_type(graph, cohort_graph_argmax(graph, a)), COHORT_TYPE_INTEGER);
  cohort_graph_destroy(graph);
}

/* Parameters are one for each (space, name); names are scoped with dots. */
static void test_parameters(void) {
  cohort_graph *graph = scoped();
  const cohort_value a =
      cohort_graph_parameter(graph, 0, "weight", COHORT_SHAPE(2, 3), COHORT_ROLE_MATRIX, COHORT_INITIAL_NORMAL, 0.02);
  const cohort_value other =
      cohort_graph_parameter(graph, 1, "weight", COHORT_SHAPE(2, 3), COHORT_ROLE_MATRIX, COHORT_INITIAL_NORMAL, 0.02);
  const cohort_value again =
      cohort_graph_parameter(graph, 0, "weight", COHORT_SHAPE(2, 3), COHORT_ROLE_MATRIX, COHORT_INITIAL_NORMAL, 0.02);
  CU_ASSERT_EQUAL(a, again);
  CU_ASSERT_NOT_EQUAL(a, other);
  CU_ASSERT_EQUAL(cohort_graph_parameters(graph), 2);
  cohort_value value;
  const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(graph, 1, &value);
  CU_ASSERT_STRING_EQUAL(tensor->name, "layer3.query.weight");
  CU_ASSERT_EQUAL(tensor->space, 1);
  CU_ASSERT_EQUAL(value, other);
  const cohort_value changed =
      cohort_graph_parameter(graph, 0, "weight", COHORT_SHAPE(3, 2), COHORT_ROLE_MATRIX, COHORT_INITIAL_ZERO, 0);
  expect_fault(graph, changed, (const char *[]){"layer3.query.weight: ", "[2, 3]", "[3, 2]", NULL});
  cohort_graph_destroy(graph);
}

static void build_draws(cohort_graph *graph, cohort_value *draws) {
  const cohort_value ids = integers(graph, "ids", COHORT_SHAPE(4));
  const cohort_value x = input(graph, "x", COHORT_SHAPE(4, 8));
  for (int i = 0; i < 4; i++) {
    cohort_graph_enter(graph, "layer%d", i / 2);
    draws[i] = cohort_graph_dropout(graph, x, ids, ids, 0.5);
    cohort_graph_leave(graph);
  }
}

static int64_t key_of(const cohort_graph *graph, cohort_value value) {
  return graph->node[graph->value[value].node].attributes.integers[0];
}

/* Keys follow names: apart within a graph, equal between graphs, whatever else is built. */
static void test_random_keys(void) {
  cohort_graph *a = cohort_graph_create(), *b = cohort_graph_create();
  cohort_value first[4], second[4];
  build_draws(a, first);
  for (int i = 0; i < 5; i++) cohort_graph_unary(b, COHORT_OP_TANH, input(b, "x", COHORT_SHAPE(4, 8)));
  build_draws(b, second);
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL(key_of(a, first[i]), key_of(b, second[i]));
    CU_ASSERT(key_of(a, first[i]) > 0);
    for (int j = 0; j < i; j++) CU_ASSERT_NOT_EQUAL(key_of(a, first[i]), key_of(a, first[j]));
  }
  CU_ASSERT_STRING_EQUAL(a->node[a->value[first[1]].node].name, "layer0/dropout#2");
  cohort_graph_destroy(a);
  cohort_graph_destroy(b);
}

/* Fused operations refuse what their backward cannot do, and say what helps. */
static void test_gradient_faults(void) {
  rig at = rig_create(1);
  const cohort_value loss = cohort_graph_sum_all(at.graph, case_gelu(&at, 0));
  cohort_value gradient, product;
  const cohort_value direction = rig_given(&at, cohort_graph_shape(at.graph, at.real[0]), -1, 1);
  cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, 1, at.real, &gradient);
  cohort_graph_hessian_product(at.graph, 1, &gradient, at.real, &direction, &product);
  expect_fault(at.graph, product, (const char *[]){"gelu_backward", "decompose", NULL});
  rig_destroy(&at);
  rig other = rig_create(1);
  const cohort_value x = rig_real(&other, COHORT_SHAPE(4, 3), -1, 1),
                     weight = rig_real(&other, COHORT_SHAPE(5, 3), -1, 1);
  cohort_graph_enter(other.graph, "output");
  const cohort_head_outputs head =
      cohort_graph_vocabulary_head(other.graph, x, weight, rig_integer(&other, COHORT_SHAPE(4), 0, 4));
  cohort_graph_gradient(other.graph, head.logsumexp, COHORT_NO_VALUE, 1, &x, &gradient);
  expect_fault(other.graph, gradient, (const char *[]){"output/vocabulary_head: ", "logsumexp", "decompose", NULL});
  rig_destroy(&other);
  rig third = rig_create(1);
  const cohort_value y = rig_real(&third, COHORT_SHAPE(4, 3), -1, 1);
  const cohort_value seed = rig_given(&third, COHORT_SHAPE(3), -1, 1);
  cohort_graph_gradient(third.graph, cohort_graph_unary(third.graph, COHORT_OP_TANH, y), seed, 1, &y, &gradient);
  expect_fault(third.graph, gradient, (const char *[]){"tanh: ", "[3]", "[4, 3]", NULL});
  rig_destroy(&third);
}

int main(void) {
  static const check checks[] = {
      {"two shapes that do not fit", test_binary},
      {"the first fault stays", test_sticky},
      {"every kind of fault names the node", test_all_faults},
      {"shapes of outputs", test_good_shapes},
      {"parameters", test_parameters},
      {"keys of random nodes", test_random_keys},
      {"what has no derivative", test_gradient_faults},
  };
  return check_run("shapes", checks, sizeof checks / sizeof checks[0]);
}
