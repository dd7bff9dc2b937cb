/* Plans and the executor: phases over several lanes, lifetimes, views, external outputs, and no allocation in a run. */
#include "cases.h"
#include "graph/planned.h"

/* Counts every allocation of the program; a sanitizer has an allocator of its own, and so has valgrind. */
static long allocations;
#ifdef COHORT_SANITIZED
static bool counting(void) { return false; }
#else
static bool counting(void) { return !check_under_valgrind(); }
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
void *malloc(size_t bytes) {
  __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
  return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
  __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
  return __libc_realloc(memory, bytes);
}
#endif

static cohort_plan *plan_of(const cohort_graph *graph, int outputs, const cohort_plan_output *output) {
  cohort_plan *plan = NULL;
  cohort_error error = {0};
  const cohort_status status = cohort_plan_create(graph, cohort_kernels_float64(), outputs, output, &plan, &error);
  if (status != COHORT_DONE) fprintf(stderr, "plan: %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  return plan;
}

static cohort_executor *executor_of(const cohort_plan *plan, int lanes) {
  cohort_executor *executor = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), lanes, 1, &executor, &error),
                        COHORT_DONE);
  return executor;
}

/* Two layers with norms and dropout, forward and backward: many values of many sizes. */
typedef struct network {
  rig at;
  cohort_value loss, gradient[8];
  int gradients;
} network;

static network network_create(void) {
  network own = {.at = rig_create(17)};
  cohort_graph *graph = own.at.graph;
  const cohort_value x = rig_given(&own.at, COHORT_SHAPE(24, 10), -1, 1);
  const cohort_value ids = rig_integer(&own.at, COHORT_SHAPE(24), 0, 99);
  const cohort_value target = rig_integer(&own.at, COHORT_SHAPE(24), 0, 6);
  cohort_value h = cohort_graph_matmul(graph, x, rig_real(&own.at, COHORT_SHAPE(32, 10), -1, 1), false, true);
  h = cohort_graph_gelu(graph, cohort_graph_add(graph, h, rig_real(&own.at, COHORT_SHAPE(32), -1, 1)), false);
  const cohort_value gain = rig_real(&own.at, COHORT_SHAPE(32), 0.5, 1.5);
  h = cohort_graph_layer_norm(graph, h, gain, rig_real(&own.at, COHORT_SHAPE(32), -1, 1), 1e-5);
  h = cohort_graph_dropout(graph, h, ids, ids, 0.25);
  h = cohort_graph_add(graph, h,
                       cohort_graph_matmul(graph, h, rig_real(&own.at, COHORT_SHAPE(32, 32), -1, 1), false, false));
  const cohort_value logits = cohort_graph_matmul(graph, h, rig_real(&own.at, COHORT_SHAPE(7, 32), -1, 1), false, true);
  own.loss = cohort_graph_sum_all(graph, cohort_graph_softmax_cross_entropy(graph, logits, target, 0.1));
  own.gradients = own.at.reals;
  cohort_graph_gradient(graph, own.loss, COHORT_NO_VALUE, own.gradients, own.at.real, own.gradient);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(graph, NULL), COHORT_DONE);
  return own;
}

static void network_bind(const network *own, void **memory) {
  for (int i = 0; i < own->at.reals; i++) memory[own->at.real[i]] = own->at.real_data[i];
  for (int i = 0; i < own->at.inputs; i++)
    memory[cohort_graph_input_at(own->at.graph, i, NULL)] = own->at.input_data[i];
}

static void *arena_start(const cohort_executor *executor, const cohort_plan *plan, const cohort_bindings *bindings) {
  for (cohort_value v = 0; v < plan->values; v++)
    if (plan->place[v].kind == COHORT_LOCATION_ARENA)
      return (char *)cohort_executor_value(executor, plan, 0, v, bindings) - plan->place[v].offset;
  return NULL;
}

/* No two intervals that are in use at once overlap, and sharing saves memory. */
static void test_intervals(void) {
  network own = network_create();
  cohort_plan_output output[8] = {{own.loss, false}};
  for (int i = 0; i < own.gradients; i++) output[i + 1] = (cohort_plan_output){own.gradient[i], true};
  cohort_plan *plan = plan_of(own.at.graph, own.gradients + 1, output);
  size_t sum = 0;
  CU_ASSERT(plan->intervals > 12);
  for (int i = 0; i < plan->intervals; i++) {
    const cohort_interval *a = &plan->interval[i];
    sum += a->bytes;
    CU_ASSERT_EQUAL(a->offset % 64, 0);
    CU_ASSERT(a->offset + a->bytes <= plan->arena_bytes);
    for (int j = 0; j < i; j++) {
      const cohort_interval *b = &plan->interval[j];
      const bool together = a->first <= b->last && b->first <= a->last;
      const bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
      CU_ASSERT(!together || apart);
    }
  }
  CU_ASSERT(plan->arena_bytes < sum * 4 / 5);
  cohort_plan_destroy(plan);
  rig_destroy(&own.at);
}

/* The results are the same bits as those of a plan in which nothing shares memory, and do not depend on what the arena
 * held: it is filled with NaNs before each run. */
static void test_poison(void) {
  network own = network_create();
  const int32_t values = cohort_graph_values(own.at.graph);
  void **memory = cohort_allocate((size_t)values * sizeof *memory);
  network_bind(&own, memory);
  const cohort_bindings bindings = {memory, {{5, 6}}, NULL};
  cohort_plan_output *all = cohort_allocate((size_t)values * sizeof *all);
  int count = 0;
  for (cohort_value v = 0; v < values; v++) all[count++] = (cohort_plan_output){v, false};
  cohort_plan *apart = plan_of(own.at.graph, count, all);
  cohort_plan_output few[8] = {{own.loss, false}};
  for (int i = 0; i < own.gradients; i++) few[i + 1] = (cohort_plan_output){own.gradient[i], false};
  cohort_plan *shared = plan_of(own.at.graph, own.gradients + 1, few);
  CU_ASSERT(cohort_plan_arena_bytes(shared) < cohort_plan_arena_bytes(apart) / 2);
  cohort_executor *first = executor_of(apart, 1), *second = executor_of(shared, 1);
  cohort_executor_run(first, apart, 0, 0, &bindings);
  for (int round = 0; round < 2; round++) {
    memset(arena_start(second, shared, &bindings), 0xff, cohort_plan_arena_bytes(shared));
    cohort_executor_run(second, shared, 0, 0, &bindings);
    for (int i = 0; i <= own.gradients; i++) {
      const size_t bytes = rig_elements(&own.at, few[i].value) * sizeof(double);
      const double *a = cohort_executor_value(first, apart, 0, few[i].value, &bindings);
      const double *b = cohort_executor_value(second, shared, 0, few[i].value, &bindings);
      CU_ASSERT_EQUAL(memcmp(a, b, bytes), 0);
      CU_ASSERT(isfinite(a[0]) && a[0] != 0);
    }
  }
  cohort_executor_destroy(first);
  cohort_executor_destroy(second);
  cohort_plan_destroy(apart);
  cohort_plan_destroy(shared);
  free(all);
  free(memory);
  rig_destroy(&own.at);
}

/* Gradients go into bound memory, neither short nor long; most without a copy. */
static void test_external(void) {
  network own = network_create();
  void **memory = cohort_allocate((size_t)cohort_graph_values(own.at.graph) * sizeof *memory);
  network_bind(&own, memory);
  const cohort_bindings bindings = {memory, {{5, 6}}, NULL};
  cohort_plan_output inside[8], outside[8];
  double *vector[8];
  for (int i = 0; i < own.gradients; i++) {
    const size_t elements = rig_elements(&own.at, own.gradient[i]);
    inside[i] = (cohort_plan_output){own.gradient[i], false};
    outside[i] = (cohort_plan_output){own.gradient[i], true};
    vector[i] = cohort_allocate((elements + 2) * sizeof *vector[i]);
    vector[i][0] = vector[i][elements + 1] = 7;
  }
  cohort_plan *a = plan_of(own.at.graph, own.gradients, inside), *b = plan_of(own.at.graph, own.gradients, outside);
  CU_ASSERT_EQUAL(b->copies, 0);
  cohort_executor *first = executor_of(a, 1), *second = executor_of(b, 1);
  cohort_executor_run(first, a, 0, 0, &bindings);
  for (int i = 0; i < own.gradients; i++) memory[own.gradient[i]] = vector[i] + 1;
  cohort_executor_run(second, b, 0, 0, &bindings);
  for (int i = 0; i < own.gradients; i++) {
    const size_t elements = rig_elements(&own.at, own.gradient[i]);
    CU_ASSERT_EQUAL(memcmp(vector[i] + 1, cohort_executor_value(first, a, 0, own.gradient[i], &bindings),
                           elements * sizeof(double)),
                    0);
    CU_ASSERT(vector[i][0] == 7 && vector[i][elements + 1] == 7);
    CU_ASSERT_PTR_EQUAL(cohort_executor_value(second, b, 0, own.gradient[i], &bindings), vector[i] + 1);
    free(vector[i]);
  }
  cohort_executor_destroy(first);
  cohort_executor_destroy(second);
  cohort_plan_destroy(a);
  cohort_plan_destroy(b);
  free(memory);
  rig_destroy(&own.at);
}

/* Views share memory; views of leaves are read where they are bound; external views of what is bound are copied; equal
 * gradients are written to each binding. */
static void test_views(void) {
  rig at = rig_create(2);
  const cohort_value x = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1), other = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1);
  const cohort_value square = cohort_graph_multiply(at.graph, x, x);
  const cohort_value view =
      cohort_graph_stop_gradient(at.graph, cohort_graph_reshape(at.graph, square, COHORT_SHAPE(3, 4)));
  const cohort_value leaf = cohort_graph_reshape(at.graph, x, COHORT_SHAPE(12));
  const cohort_value copied = cohort_graph_reshape(at.graph, x, COHORT_SHAPE(12, 1));
  const cohort_value sum = cohort_graph_sum_all(at.graph, cohort_graph_add(at.graph, x, other));
  cohort_value gradient[2];
  cohort_graph_gradient(at.graph, sum, COHORT_NO_VALUE, 2, (cohort_value[]){x, other}, gradient);
  void **memory = cohort_allocate((size_t)cohort_graph_values(at.graph) * sizeof *memory);
  double target[3][12] = {{0}};
  memory[x] = at.real_data[0];
  memory[other] = at.real_data[1];
  memory[copied] = target[0];
  memory[gradient[0]] = target[1];
  memory[gradient[1]] = target[2];
  const cohort_plan_output output[] = {{square, false}, {view, false},       {leaf, false},      {x, false},
                                       {copied, true},  {gradient[0], true}, {gradient[1], true}};
  cohort_plan *plan = plan_of(at.graph, 7, output);
  cohort_executor *executor = executor_of(plan, 1);
  const cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  cohort_executor_run(executor, plan, 0, 0, &bindings);
  const double *values = cohort_executor_value(executor, plan, 0, square, &bindings);
  CU_ASSERT_PTR_EQUAL(values, cohort_executor_value(executor, plan, 0, view, &bindings));
  CU_ASSERT_PTR_EQUAL(cohort_executor_value(executor, plan, 0, leaf, &bindings), at.real_data[0]);
  CU_ASSERT_PTR_EQUAL(cohort_executor_value(executor, plan, 0, x, &bindings), at.real_data[0]);
  for (int i = 0; i < 12; i++) {
    CU_ASSERT_EQUAL(values[i], at.real_data[0][i] * at.real_data[0][i]);
    CU_ASSERT_EQUAL(target[0][i], at.real_data[0][i]);
    CU_ASSERT_EQUAL(target[1][i], 1);
    CU_ASSERT_EQUAL(target[2][i], 1);
  }
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  free(memory);
  rig_destroy(&at);
}

/* A flag that is raised leaves out what has not begun; lowered, the same executor makes all of it. */
static void test_stop(void) {
  rig at = rig_create(13);
  const cohort_value x = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1);
  const cohort_value sum = cohort_graph_cumsum(at.graph, cohort_graph_cumsum(at.graph, x, 0, false), 1, false);
  void **memory = cohort_allocate((size_t)cohort_graph_values(at.graph) * sizeof *memory);
  double target[12] = {0}, whole[12];
  memory[x] = at.real_data[0];
  memory[sum] = target;
  cohort_plan *plan = plan_of(at.graph, 1, (const cohort_plan_output[]){{sum, true}});
  cohort_executor *executor = executor_of(plan, 1);
  const cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  CU_ASSERT_TRUE(cohort_executor_run(executor, plan, 0, 0, &bindings));
  memcpy(whole, target, sizeof whole);
  memset(target, 0, sizeof target);
  _Atomic int flag = 0;
  cohort_executor_stop_on(executor, &flag);
  flag = 1;
  CU_ASSERT_TRUE(cohort_executor_stopped(executor));
  CU_ASSERT_FALSE(cohort_executor_run(executor, plan, 0, 0, &bindings));
  for (int i = 0; i < 12; i++) CU_ASSERT_EQUAL(target[i], 0);
  flag = 0;
  CU_ASSERT_TRUE(cohort_executor_run(executor, plan, 0, 0, &bindings));
  CU_ASSERT_EQUAL(memcmp(whole, target, sizeof whole), 0);
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  free(memory);
  rig_destroy(&at);
}

/* Rows are added to a table where it lies, in the arena or in the memory of an external output, unless it is a leaf or
 * read later. */
static void test_onto(void) {
  rig at = rig_create(12);
  cohort_graph *g = at.graph;
  const cohort_value leaf = rig_real(&at, COHORT_SHAPE(6, 5), -1, 1), rows = rig_real(&at, COHORT_SHAPE(4, 5), -1, 1);
  const cohort_value index = rig_integer(&at, COHORT_SHAPE(4), 0, 5);
  cohort_value table[4] = {leaf}, sum[4];
  for (int i = 1; i < 4; i++) table[i] = cohort_graph_cumsum(g, i == 1 ? leaf : table[i - 1], 1, false);
  for (int i = 0; i < 4; i++)
    sum[i] = cohort_graph_add_node(g, COHORT_OP_SCATTER_ADD, 3, (cohort_value[]){rows, index, table[i]},
                                   &(cohort_attributes){.integers = {6}});
  const cohort_value later = cohort_graph_cumsum(g, table[1], 0, false);
  const cohort_plan_output output[] = {{sum[0], true}, {sum[1], true}, {sum[2], false}, {sum[3], true}, {later, false}};
  cohort_plan *plan = plan_of(g, 5, output);
  double target[3][30];
  void **memory = cohort_allocate((size_t)cohort_graph_values(g) * sizeof *memory);
  for (int i = 0; i < 2; i++) memory[at.real[i]] = at.real_data[i];
  memory[index] = at.input_data[0];
  for (int i = 0; i < 4; i++)
    if (i != 2) memory[sum[i]] = target[i - i / 3];
  cohort_executor *executor = executor_of(plan, 1);
  const cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  cohort_executor_run(executor, plan, 0, 0, &bindings);
  const double *place[4], *base[4];
  double expected[30];
  memcpy(expected, at.real_data[0], sizeof expected);
  for (int i = 0; i < 4; i++) {
    place[i] = cohort_executor_value(executor, plan, 0, sum[i], &bindings);
    base[i] = cohort_executor_value(executor, plan, 0, table[i], &bindings);
    for (int k = 0; i > 0 && k < 30; k++) expected[k] += k % 5 ? expected[k - 1] : 0;
    for (int k = 0; k < 30; k++) {
      double all = expected[k];
      for (int r = 0; r < 4; r++)
        if (((const int32_t *)at.input_data[0])[r] == k / 5) all += at.real_data[1][r * 5 + k % 5];
      CU_ASSERT_EQUAL(place[i][k], all);
    }
    CU_ASSERT_EQUAL(place[i] == base[i], i >= 2);
  }
  CU_ASSERT_PTR_EQUAL(place[3], target[2]);
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  free(memory);
  rig_destroy(&at);
}

/* Nodes that no output needs are left out, and what only they need. */
static void test_dead_code(void) {
  network own = network_create();
  cohort_plan *forward = plan_of(own.at.graph, 1, &(cohort_plan_output){own.loss, false});
  cohort_plan *both = plan_of(own.at.graph, 2, (cohort_plan_output[]){{own.loss, false}, {own.gradient[0], false}});
  CU_ASSERT(cohort_plan_nodes(forward) >= 9 && cohort_plan_nodes(forward) <= 12);
  CU_ASSERT(cohort_plan_nodes(both) > cohort_plan_nodes(forward) + 5);
  /* products: 24 x 32 x 10, 24 x 32 x 32, 24 x 7 x 32 */
  CU_ASSERT_EQUAL(cohort_plan_flops(forward), 2.0 * 24 * (32 * 10 + 32 * 32 + 7 * 32));
  char *text = cohort_plan_describe(forward);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "softmax_cross_entropy [24]"));
  CU_ASSERT_PTR_NULL(strstr(text, "gradient"));
  free(text);
  cohort_plan_destroy(forward);
  cohort_plan_destroy(both);
  rig_destroy(&own.at);
}

static void test_no_allocation(void) {
  network own = network_create();
  runner run = runner_create(&own.at, own.at.graph, cohort_kernels_float64(), own.gradients, own.gradient, 1);
  runner_run(&run);
  const long before = allocations;
  for (int i = 0; i < 3; i++) cohort_executor_run(run.executor, run.plan, 0, 0, &run.bindings);
  CU_ASSERT_EQUAL(allocations, before);
  free(cohort_allocate(8));
  if (counting()) CU_ASSERT(allocations > before); /* the count counts */
  runner_destroy(&run);
  rig_destroy(&own.at);
}

/* Lanes. */

enum { LANES = 3, ROWS = 5, WIDTH = 4 };

/* A loss that couples all rows: y = x w is centred by the mean of all rows and scaled by the largest of all; then each
 * row is to find itself among all rows. `lanes` 1: all rows in one lane. */
typedef struct coupled {
  cohort_graph *graph;
  cohort_value x, own_row, weight, early, loss, gradient, early_gradient;
} coupled;

static coupled coupled_create(int lanes) {
  coupled own = {.graph = cohort_graph_create()};
  cohort_graph *g = own.graph;
  const int64_t rows = ROWS * LANES / lanes, all = ROWS * LANES;
  cohort_graph_set_lanes(g, lanes);
  own.x = cohort_graph_input(g, "x", COHORT_TYPE_REAL, COHORT_SHAPE(rows, WIDTH));
  own.own_row = cohort_graph_input(g, "own_row", COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
  own.weight =
      cohort_graph_parameter(g, 0, "weight", COHORT_SHAPE(WIDTH, 3), COHORT_ROLE_MATRIX, COHORT_INITIAL_ZERO, 0);
  own.early = cohort_graph_parameter(g, 0, "early", COHORT_SHAPE(WIDTH), COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO, 0);
  const cohort_value y = cohort_graph_matmul(g, own.x, own.weight, false, false);
  const cohort_value mean = cohort_graph_scale(g, cohort_graph_lane_sum(g, cohort_graph_sum(g, y, 1)), 1 / (double)all);
  const cohort_value centred = cohort_graph_subtract(g, y, mean);
  const cohort_value largest =
      cohort_graph_lane_max(g, cohort_graph_max(g, cohort_graph_multiply(g, centred, centred), 1));
  const cohort_value z = cohort_graph_divide(g, centred, cohort_graph_shift(g, largest, 1));
  const cohort_value scores = cohort_graph_matmul(g, z, cohort_graph_lane_gather(g, z), false, true);
  const cohort_value found = cohort_graph_take_along(g, scores, own.own_row);
  const cohort_value missed = cohort_graph_sum_all(g, cohort_graph_logsumexp(g, scores));
  /* A part that does not depend on other lanes: its gradient is there in the first phase. */
  const cohort_value plain = cohort_graph_sum_all(g, cohort_graph_multiply(g, own.x, own.early));
  own.loss = cohort_graph_add(g, cohort_graph_subtract(g, missed, cohort_graph_sum_all(g, found)), plain);
  cohort_value gradient[2];
  cohort_graph_gradient(g, own.loss, COHORT_NO_VALUE, 2, (cohort_value[]){own.weight, own.early}, gradient);
  own.gradient = gradient[0];
  own.early_gradient = gradient[1];
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(g, NULL), COHORT_DONE);
  return own;
}

static double x_at(int64_t i) { return sin(1.7 * (double)i) + 0.3 * cos(0.4 * (double)(i * i)); }

typedef struct lane_data {
  double x[ROWS * LANES * WIDTH], gradient[WIDTH * 3], early[WIDTH], loss;
  int32_t own_row[ROWS * LANES];
} lane_data;

static void exchange(const cohort_executor *executor, const cohort_plan *plan, int phase, int lanes,
                     cohort_bindings *bindings) {
  cohort_lane_operation operation[16];
  const int count = cohort_plan_lane_operations(plan, phase, operation, 16);
  CU_ASSERT(count > 0 && count <= 16);
  for (int k = 0; k < count; k++) {
    const cohort_lane_operation *own = &operation[k];
    const size_t n = (size_t)own->input_elements;
    double *all = cohort_allocate(n * (size_t)lanes * sizeof *all), *joined = cohort_allocate(n * sizeof *joined);
    for (int lane = 0; lane < lanes; lane++) {
      /* as the training loop does it: with the bindings of some lane */
      memcpy(all + n * (size_t)lane, cohort_executor_value(executor, plan, lane, own->input, bindings),
             n * sizeof(double));
      for (size_t i = 0; i < n; i++) {
        const double value = all[n * (size_t)lane + i];
        joined[i] = lane == 0 ? value : own->op == COHORT_OP_LANE_MAX ? fmax(joined[i], value) : joined[i] + value;
      }
    }
    for (int lane = 0; lane < lanes; lane++) {
      const double *from = own->op == COHORT_OP_LANE_GATHER ? all : joined;
      if (own->op == COHORT_OP_LANE_TAKE) from += (size_t)lane * (size_t)own->output_elements;
      memcpy(cohort_executor_value(executor, plan, lane, own->output, bindings), from,
             (size_t)own->output_elements * sizeof(double));
    }
    free(all);
    free(joined);
  }
}

/* Runs all lanes; external gradients are bound in the last phase alone. */
static void run_lanes(const coupled *own, int lanes, lane_data *data, const double *weight, const double *early) {
  const cohort_plan_output output[] = {{own->loss, false}, {own->gradient, true}, {own->early_gradient, true}};
  cohort_plan *plan = plan_of(own->graph, 3, output);
  cohort_executor *executor = executor_of(plan, lanes);
  void **memory = cohort_allocate((size_t)cohort_graph_values(own->graph) * sizeof *memory);
  cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  const int phases = cohort_plan_phases(plan);
  CU_ASSERT(phases >= 4);
  for (int phase = 0; phase < phases; phase++) {
    for (int lane = 0; lane < lanes; lane++) {
      memory[own->x] = data[lane].x;
      memory[own->own_row] = data[lane].own_row;
      memory[own->weight] = (void *)(uintptr_t)weight;
      memory[own->early] = (void *)(uintptr_t)early;
      memory[own->gradient] = phase == phases - 1 ? data[lane].gradient : NULL;
      memory[own->early_gradient] = phase == phases - 1 ? data[lane].early : NULL;
      cohort_executor_run(executor, plan, phase, lane, &bindings);
    }
    if (phase < phases - 1) exchange(executor, plan, phase, lanes, &bindings);
  }
  for (int lane = 0; lane < lanes; lane++)
    data[lane].loss = *(double *)cohort_executor_value(executor, plan, lane, own->loss, &bindings);
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  free(memory);
}

static void test_lanes(void) {
  double weight[WIDTH * 3], early[WIDTH], loss = 0, gradient[WIDTH * 3] = {0}, early_gradient[WIDTH] = {0};
  lane_data *part = cohort_allocate(LANES * sizeof *part), *whole = cohort_allocate(sizeof *whole);
  for (int i = 0; i < WIDTH * 3; i++) weight[i] = cos(2.3 * i);
  for (int i = 0; i < WIDTH; i++) early[i] = 0.1 * i;
  for (int i = 0; i < ROWS * LANES * WIDTH; i++) {
    whole->x[i] = x_at(i);
    part[i / (ROWS * WIDTH)].x[i % (ROWS * WIDTH)] = x_at(i);
  }
  for (int i = 0; i < ROWS * LANES; i++) whole->own_row[i] = part[i / ROWS].own_row[i % ROWS] = i;
  coupled one = coupled_create(1), many = coupled_create(LANES);
  run_lanes(&one, 1, whole, weight, early);
  run_lanes(&many, LANES, part, weight, early);
  for (int lane = 0; lane < LANES; lane++) {
    loss += part[lane].loss;
    for (int i = 0; i < WIDTH * 3; i++) gradient[i] += part[lane].gradient[i];
    for (int i = 0; i < WIDTH; i++) early_gradient[i] += part[lane].early[i];
  }
  CU_ASSERT_DOUBLE_EQUAL(loss, whole->loss, 1e-11);
  for (int i = 0; i < WIDTH * 3; i++) {
    CU_ASSERT_DOUBLE_EQUAL(gradient[i], whole->gradient[i], 1e-11);
    CU_ASSERT(fabs(whole->gradient[i]) > 1e-6);
  }
  for (int i = 0; i < WIDTH; i++) CU_ASSERT_DOUBLE_EQUAL(early_gradient[i], whole->early[i], 1e-11);
  cohort_graph_destroy(one.graph);
  cohort_graph_destroy(many.graph);
  free(part);
  free(whole);
}

/* An operation across lanes straight on an input or a constant: each lane keeps its own copy of it. */
static void test_lane_leaves(void) {
  cohort_graph *graph = cohort_graph_create();
  cohort_graph_set_lanes(graph, 2);
  const cohort_value x = cohort_graph_input(graph, "x", COHORT_TYPE_REAL, COHORT_SHAPE(2));
  const cohort_value sum = cohort_graph_lane_sum(graph, x),
                     all = cohort_graph_lane_gather(graph, cohort_graph_reshape(graph, x, COHORT_SHAPE(2, 1)));
  const cohort_value lanes = cohort_graph_lane_sum(graph, cohort_graph_constant(graph, 1));
  const cohort_value mean = cohort_graph_divide(graph, sum, lanes);
  const cohort_plan_output output[] = {{mean, false}, {all, true}};
  cohort_plan *plan = plan_of(graph, 2, output);
  cohort_executor *executor = executor_of(plan, 2);
  void **memory = cohort_allocate((size_t)cohort_graph_values(graph) * sizeof *memory);
  cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  double data[2][2] = {{1, 2}, {5, 10}}, gathered[2][4];
  CU_ASSERT_EQUAL(cohort_plan_phases(plan), 2);
  for (int phase = 0; phase < 2; phase++) {
    for (int lane = 0; lane < 2; lane++) {
      memory[x] = data[lane];
      memory[all] = gathered[lane];
      cohort_executor_run(executor, plan, phase, lane, &bindings);
    }
    if (phase == 0) exchange(executor, plan, 0, 2, &bindings);
  }
  for (int lane = 0; lane < 2; lane++) {
    const double *value = cohort_executor_value(executor, plan, lane, mean, &bindings);
    CU_ASSERT(value[0] == 3 && value[1] == 6);
    CU_ASSERT(gathered[lane][0] == 1 && gathered[lane][1] == 2 && gathered[lane][2] == 5 && gathered[lane][3] == 10);
  }
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  cohort_graph_destroy(graph);
  free(memory);
}

int main(void) {
  static const check checks[] = {
      {"intervals in use at once lie apart", test_intervals},
      {"sharing memory changes no bit", test_poison},
      {"external outputs", test_external},
      {"views", test_views},
      {"rows onto a table", test_onto},
      {"a raised flag", test_stop},
      {"dead code", test_dead_code},
      {"no allocation in a run", test_no_allocation},
      {"three lanes are one big lane", test_lanes},
      {"lane operations on leaves", test_lane_leaves},
  };
  return check_run("plan", checks, sizeof checks / sizeof checks[0]);
}
