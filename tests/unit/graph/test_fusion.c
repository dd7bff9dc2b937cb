/* Fusions: a plan's results are the bits of the nodes run one by one, on random graphs; what is fused and what is not.
 */
#include "graph/planner.h"
#include "rig.h"

enum { MAX_VALUES = 400 };

/* The reference: every node's kernel alone, each value in memory of its own. */
typedef struct reference {
  const cohort_kernel_set *set;
  const cohort_graph *graph;
  void *memory[MAX_VALUES];
} reference;

static size_t bytes_of(const reference *own, cohort_value v) {
  const cohort_value_entry *entry = &own->graph->value[v];
  return (size_t)cohort_shape_elements(entry->shape) *
         (entry->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : own->set->real_size);
}

static void run_node(reference *own, const cohort_node *node, cohort_random_key key) {
  static const cohort_team team = {1};
  cohort_call call = {.inputs = node->inputs,
                      .outputs = node->outputs,
                      .attributes = node->attributes,
                      .team = &team,
                      .random_key = key};
  for (int i = 0; i < node->inputs; i++) {
    const cohort_value_entry *entry = &own->graph->value[node->input[i]];
    call.input[i] = (cohort_tensor){own->memory[node->input[i]], entry->shape, entry->type};
  }
  for (int i = 0; i < node->outputs; i++) {
    const cohort_value_entry *entry = &own->graph->value[node->first + i];
    call.output[i] = (cohort_tensor){own->memory[node->first + i], entry->shape, entry->type};
  }
  const size_t workspace = own->set->workspace[node->op] ? own->set->workspace[node->op](&call) : 0;
  call.workspace = cohort_allocate(workspace + 64);
  own->set->run[node->op](&call);
  free(call.workspace);
}

/* Leaves are those of `run`. */
static reference reference_run(const runner *run) {
  reference own = {.set = run->set, .graph = run->graph};
  for (int32_t n = 0; n < own.graph->nodes; n++) {
    const cohort_node *node = &own.graph->node[n];
    for (int i = 0; i < node->outputs; i++) {
      const cohort_value v = node->first + i;
      own.memory[v] = cohort_allocate(bytes_of(&own, v) + 64);
      if (run->memory[v]) memcpy(own.memory[v], run->memory[v], bytes_of(&own, v));
    }
    if (node->op == COHORT_OP_CONSTANT) {
      if (own.graph->value[node->first].type == COHORT_TYPE_INTEGER)
        *(int32_t *)own.memory[node->first] = (int32_t)node->attributes.reals[0];
      else if (own.set->real_size == sizeof(float))
        *(float *)own.memory[node->first] = (float)node->attributes.reals[0];
      else
        *(double *)own.memory[node->first] = node->attributes.reals[0];
    } else if (cohort_op_is_view(node->op)) {
      memcpy(own.memory[node->first], own.memory[node->input[0]], bytes_of(&own, node->first));
    } else if (!cohort_op_is_leaf(node->op)) {
      run_node(&own, node, run->bindings.random_key);
    }
  }
  return own;
}

/* Plans `count` values, runs, and compares their bits with the reference; returns how many fusions ran. */
static int compare(const rig *at, const cohort_kernel_set *set, int count, const cohort_value *value, int threads) {
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(at->graph, NULL), COHORT_DONE);
  CU_ASSERT_FATAL(at->graph->values <= MAX_VALUES);
  runner run = runner_create(at, at->graph, set, count, value, threads);
  runner_run(&run);
  reference alone = reference_run(&run);
  for (int i = 0; i < count; i++) {
    const void *got = cohort_executor_value(run.executor, run.plan, 0, value[i], &run.bindings);
    CU_ASSERT_EQUAL(memcmp(got, alone.memory[value[i]], bytes_of(&alone, value[i])), 0);
  }
  for (cohort_value v = 0; v < at->graph->values; v++) free(alone.memory[v]);
  const int fusions = run.plan->fusions;
  runner_destroy(&run);
  return fusions;
}

static int fusions_of(const rig *at, int count, const cohort_value *value, size_t *arena) {
  runner run = runner_create(at, at->graph, cohort_kernels_float64(), count, value, 1);
  const int fusions = run.plan->fusions;
  *arena = cohort_plan_arena_bytes(run.plan);
  runner_destroy(&run);
  return fusions;
}

enum { POOL = 48 };

/* Elementwise nodes over [rows, columns] in random order, with inputs that are broadcast in every way, and now and then
 * something that no fusion may hold. */
typedef struct garden {
  rig at;
  int64_t rows, columns;
  cohort_value pool[POOL], condition;
  cohort_value row, column, scalar, middle, ids;
  int size;
} garden;

static cohort_value pick(garden *own) {
  const uint32_t recent = rig_bits(&own->at) % 3; /* mostly what was made last: long fusions */
  const int back = recent ? (int)(rig_bits(&own->at) % (own->size < 4 ? (unsigned)own->size : 4U)) : 0;
  return recent ? own->pool[own->size - 1 - back] : own->pool[rig_bits(&own->at) % (unsigned)own->size];
}

static cohort_value other_input(garden *own) {
  switch (rig_bits(&own->at) % 8) {
    case 0:
      return own->row;
    case 1:
      return own->column;
    case 2:
      return own->scalar;
    case 3:
      return cohort_graph_constant(own->at.graph, 0.5);
    default:
      return pick(own);
  }
}

static cohort_value sprout(garden *own) {
  static const cohort_op unary[] = {COHORT_OP_NEGATE,   COHORT_OP_ABSOLUTE,      COHORT_OP_TANH, COHORT_OP_SIGMOID,
                                    COHORT_OP_SOFTPLUS, COHORT_OP_SINE,          COHORT_OP_RELU, COHORT_OP_SIGN,
                                    COHORT_OP_ROUND,    COHORT_OP_ERROR_FUNCTION};
  static const cohort_op binary[] = {COHORT_OP_ADD, COHORT_OP_SUBTRACT, COHORT_OP_MULTIPLY, COHORT_OP_MINIMUM,
                                     COHORT_OP_MAXIMUM};
  cohort_graph *graph = own->at.graph;
  const cohort_value x = pick(own);
  switch (rig_bits(&own->at) % 14) {
    case 0:
    case 1:
      return cohort_graph_unary(graph, unary[rig_bits(&own->at) % 10], x);
    case 2:
    case 3:
    case 4:
    case 5:
      return cohort_graph_binary(graph, binary[rig_bits(&own->at) % 5], x, other_input(own));
    case 6:
      return cohort_graph_binary(graph, binary[rig_bits(&own->at) % 5], other_input(own), x);
    case 7:
      return cohort_graph_gelu(graph, x, rig_bits(&own->at) % 2);
    case 8:
      return cohort_graph_add_node(graph, COHORT_OP_GELU_BACKWARD, 2, (cohort_value[]){x, pick(own)},
                                   &(cohort_attributes){.integers = {rig_bits(&own->at) % 2}});
    case 9:
      return cohort_graph_select(graph, cohort_graph_less(graph, x, other_input(own)), pick(own), other_input(own));
    case 10: {
      const cohort_value pair = cohort_graph_add_node(
          graph, COHORT_OP_SWIGLU_BACKWARD, 3, (cohort_value[]){x, pick(own), pick(own)}, &(cohort_attributes){0});
      return cohort_graph_add(graph, pair, pair + 1);
    }
    case 11:
      return cohort_graph_dropout(graph, x, own->ids, own->ids, 0.3);
    case 12: /* a view, and back */
      return cohort_graph_reshape(
          graph,
          cohort_graph_unary(graph, COHORT_OP_NEGATE,
                             cohort_graph_reshape(graph, x, COHORT_SHAPE(own->rows * own->columns))),
          COHORT_SHAPE(own->rows, own->columns));
    default: /* nothing of a fusion reads or makes this */
      return cohort_graph_flip(graph, x, (int)(rig_bits(&own->at) % 2));
  }
}

static int grow_and_compare(uint64_t seed, int64_t rows, int64_t columns, const cohort_kernel_set *set, int threads) {
  garden own = {.at = rig_create(seed), .rows = rows, .columns = columns};
  cohort_graph *graph = own.at.graph;
  own.pool[own.size++] = rig_given(&own.at, COHORT_SHAPE(rows, columns), -2, 2);
  own.pool[own.size++] = rig_given(&own.at, COHORT_SHAPE(rows, columns), -2, 2);
  own.row = rig_real(&own.at, COHORT_SHAPE(columns), -1, 1);
  own.column = rig_real(&own.at, COHORT_SHAPE(rows, 1), -1, 1);
  own.scalar = rig_real(&own.at, COHORT_SCALAR_SHAPE, -1, 1);
  own.ids = rig_integer(&own.at, COHORT_SHAPE(rows), 0, 1000);
  cohort_value wanted[POOL];
  int count = 0;
  while (own.size < 30) {
    const cohort_value made = sprout(&own);
    CU_ASSERT_NOT_EQUAL_FATAL(made, COHORT_NO_VALUE);
    own.pool[own.size++] = made;
    if (rig_bits(&own.at) % 5 == 0) wanted[count++] = cohort_graph_sum(graph, made, 1); /* over rows */
    if (rig_bits(&own.at) % 9 == 0) wanted[count++] = cohort_graph_sum(graph, made, 3);
    if (rig_bits(&own.at) % 7 == 0) wanted[count++] = made;
  }
  wanted[count++] = own.pool[own.size - 1];
  const int fusions = compare(&own.at, set, count, wanted, threads);
  rig_destroy(&own.at);
  return fusions;
}

static void test_random_graphs(void) {
  const cohort_isa isa = cohort_processor_isa();
  int fusions = 0;
  for (uint64_t seed = 0; seed < 60; seed++) {
    const cohort_kernel_set *set =
        seed % 4 == 3 ? cohort_kernels_float64() : cohort_kernels_float32((cohort_isa)(seed % ((unsigned)isa + 1)));
    fusions +=
        grow_and_compare(seed, 1 + (int64_t)(seed * 7 % 150), 1 + (int64_t)(seed * 31 % 77), set, 1 + (int)(seed % 3));
  }
  for (uint64_t seed = 100; seed < 104; seed++) /* several units and chunks of sums */
    fusions += grow_and_compare(seed, 333 + (int64_t)seed, seed % 2 ? 200 : 3, cohort_kernels_float32(isa), 2);
  CU_ASSERT(fusions > 200);
}

/* product + bias, gelu, and back: one step forward and one backward with the bias's gradient; the arena shrinks. */
static void test_layer(void) {
  rig at = rig_create(3);
  const cohort_value x = rig_given(&at, COHORT_SHAPE(96, 16), -1, 1);
  const cohort_value weight = rig_real(&at, COHORT_SHAPE(64, 16), -1, 1), bias = rig_real(&at, COHORT_SHAPE(64), -1, 1);
  const cohort_value back = rig_real(&at, COHORT_SHAPE(16, 64), -1, 1), end = rig_real(&at, COHORT_SHAPE(16), -1, 1);
  const cohort_value before = cohort_graph_add(at.graph, cohort_graph_matmul(at.graph, x, weight, false, true), bias);
  const cohort_value hidden = cohort_graph_gelu(at.graph, before, false);
  const cohort_value after = cohort_graph_add(at.graph, cohort_graph_matmul(at.graph, hidden, back, false, true), end);
  const cohort_value y = cohort_graph_add(at.graph, x, after);
  const cohort_value loss = cohort_graph_sum_all(at.graph, cohort_graph_multiply(at.graph, y, y));
  cohort_value gradient[4];
  cohort_graph_gradient(at.graph, loss, COHORT_NO_VALUE, 4, (cohort_value[]){weight, bias, back, end}, gradient);
  const cohort_value wanted[] = {loss, gradient[0], gradient[1], gradient[2], gradient[3]};
  runner run = runner_create(&at, at.graph, cohort_kernels_float64(), 5, wanted, 1);
  char *text = cohort_plan_describe(run.plan);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "add+gelu chain"));
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "add#2+add"));
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "gelu_backward+sum chain"));
  free(text);
  /* before, hidden and the product before them: two of three are kept */
  CU_ASSERT(cohort_plan_arena_bytes(run.plan) < (3 * 96 * 64 + 4 * 96 * 16) * sizeof(double));
  runner_destroy(&run);
  compare(&at, cohort_kernels_float64(), 5, wanted, 1);
  rig_destroy(&at);
}

/* A value that a product reads between two elementwise nodes keeps them apart. */
static void test_apart(void) {
  rig at = rig_create(4);
  const cohort_value x = rig_given(&at, COHORT_SHAPE(8, 8), -1, 1);
  const cohort_value a = cohort_graph_unary(at.graph, COHORT_OP_TANH, x);
  const cohort_value b = cohort_graph_matmul(at.graph, a, a, false, false);
  const cohort_value c = cohort_graph_add(at.graph, a, b);
  size_t arena;
  CU_ASSERT_EQUAL(fusions_of(&at, 1, &c, &arena), 0);
  compare(&at, cohort_kernels_float64(), 1, &c, 1);
  rig_destroy(&at);
}

/* A long run of operations needs no more memory than its output. */
static void test_memory(void) {
  rig at = rig_create(5);
  const cohort_value x = rig_given(&at, COHORT_SHAPE(100, 50), 0.1, 1);
  cohort_value y = x;
  for (int i = 0; i < 40; i++) y = cohort_graph_add(at.graph, cohort_graph_unary(at.graph, COHORT_OP_SINE, y), x);
  size_t arena;
  CU_ASSERT(fusions_of(&at, 1, &y, &arena) >= 5);
  CU_ASSERT(arena <= 100 * 50 * sizeof(double) + 64);
  compare(&at, cohort_kernels_float64(), 1, &y, 1);
  rig_destroy(&at);
}

int main(void) {
  static const check checks[] = {
      {"random graphs have the bits of their nodes alone", test_random_graphs},
      {"a layer forward and backward", test_layer},
      {"products keep chains apart", test_apart},
      {"memory of a long run", test_memory},
  };
  return check_run("chains", checks, sizeof checks / sizeof checks[0]);
}
