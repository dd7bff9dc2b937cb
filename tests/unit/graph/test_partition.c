/* Plans cut at the events of groups: the same bits, memory that is bound only while its group is needed or open, and
 * events as early as the data allow. */
#include "graph/partition.h"
#include "graph/planned.h"
#include "rig.h"

enum { LAYERS = 3, WIDTH = 16, HEADS = 2, ROWS = 24, VOCABULARY = 40, MOST_GROUPS = 80, NO_PHASE = -1 };

/* A loss, and the gradient of each of the rig's parameters. */
typedef struct model {
  rig at;
  cohort_value loss, gradient[RIG_LEAVES];
  int first_of_block[LAYERS + 1]; /* parameters of blocks; then those of the last norm */
} model;

static void differentiate(model *own) {
  cohort_graph_gradient(own->at.graph, own->loss, COHORT_NO_VALUE, own->at.reals, own->at.real, own->gradient);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(own->at.graph, NULL), COHORT_DONE);
}

static cohort_value project(rig *at, cohort_value x, int64_t out) {
  const int64_t in = cohort_shape_columns(cohort_graph_shape(at->graph, x));
  const cohort_value weight = rig_real(at, COHORT_SHAPE(out, in), -0.3, 0.3);
  const cohort_value y = cohort_graph_matmul(at->graph, x, weight, false, true);
  return cohort_graph_add(at->graph, y, rig_real(at, COHORT_SHAPE(out), -0.1, 0.1));
}

static cohort_value normalise(rig *at, cohort_value x) {
  const cohort_value gain = rig_real(at, COHORT_SHAPE(WIDTH), 0.5, 1.5);
  return cohort_graph_layer_norm(at->graph, x, gain, rig_real(at, COHORT_SHAPE(WIDTH), -0.1, 0.1), 1e-5);
}

static cohort_value block(rig *at, cohort_value x, cohort_value segments) {
  cohort_graph *graph = at->graph;
  const cohort_shape heads = COHORT_SHAPE(ROWS, HEADS, WIDTH / HEADS);
  const cohort_value y = normalise(at, x);
  const cohort_value query = cohort_graph_reshape(graph, project(at, y, WIDTH), heads);
  const cohort_value key = cohort_graph_reshape(graph, project(at, y, WIDTH), heads);
  const cohort_value value = cohort_graph_reshape(graph, project(at, y, WIDTH), heads);
  const cohort_value mixed = cohort_graph_attention(graph, query, key, value, segments, 0.4, 0);
  x = cohort_graph_add(graph, x, project(at, cohort_graph_reshape(graph, mixed, COHORT_SHAPE(ROWS, WIDTH)), WIDTH));
  const cohort_value hidden = cohort_graph_gelu(graph, project(at, normalise(at, x), 4 * WIDTH), false);
  return cohort_graph_add(graph, x, project(at, hidden, WIDTH));
}

/* As GPT-2 is built: tied embedding, learned positions. */
static model gpt_create(void) {
  model own = {.at = rig_create(31)};
  rig *at = &own.at;
  cohort_graph *graph = at->graph;
  const cohort_value tokens = rig_integer(at, COHORT_SHAPE(ROWS), 0, VOCABULARY - 1);
  const cohort_value target = rig_integer(at, COHORT_SHAPE(ROWS), 0, VOCABULARY - 1);
  const cohort_value positions = rig_integer(at, COHORT_SHAPE(ROWS), 0, 7);
  const cohort_value segments = rig_segments(at, ROWS, 8, 2);
  const cohort_value embedding = rig_real(at, COHORT_SHAPE(VOCABULARY, WIDTH), -1, 1);
  const cohort_value table = rig_real(at, COHORT_SHAPE(8, WIDTH), -1, 1);
  cohort_value x = cohort_graph_add(graph, cohort_graph_gather(graph, embedding, tokens),
                                    cohort_graph_gather(graph, table, positions));
  for (int layer = 0; layer < LAYERS; layer++) {
    own.first_of_block[layer] = at->reals;
    x = block(at, x, segments);
  }
  own.first_of_block[LAYERS] = at->reals;
  const cohort_head_outputs head = cohort_graph_vocabulary_head(graph, normalise(at, x), embedding, target);
  own.loss = cohort_graph_scale(graph, cohort_graph_sum_all(graph, head.log_probability), -1.0 / ROWS);
  differentiate(&own);
  return own;
}

static model mlp_create(void) {
  model own = {.at = rig_create(5)};
  rig *at = &own.at;
  cohort_value x = rig_given(at, COHORT_SHAPE(ROWS, WIDTH), -1, 1);
  const cohort_value target = rig_integer(at, COHORT_SHAPE(ROWS), 0, 6);
  for (int layer = 0; layer < 4; layer++) x = cohort_graph_relu(at->graph, project(at, x, 12 + 3 * layer));
  x = project(at, x, 7);
  own.loss = cohort_graph_sum_all(at->graph, cohort_graph_softmax_cross_entropy(at->graph, x, target, 0));
  differentiate(&own);
  return own;
}

/* Groups of a model's parameters, and the same of their gradients. */
typedef struct grouping {
  cohort_plan_bound_groups groups;
  int of[RIG_LEAVES]; /* by parameter */
  int *read, *written;
} grouping;

static grouping grouping_create(const model *of) {
  const size_t values = (size_t)cohort_graph_values(of->at.graph);
  grouping own = {.read = cohort_allocate(values * sizeof(int)), .written = cohort_allocate(values * sizeof(int))};
  for (size_t v = 0; v < values; v++) own.read[v] = own.written[v] = -1;
  own.groups = (cohort_plan_bound_groups){0, own.read, own.written};
  return own;
}

static void join(grouping *own, const model *of, int parameter, int group) {
  own->of[parameter] = own->read[of->at.real[parameter]] = own->written[of->gradient[parameter]] = group;
  if (group >= own->groups.groups) own->groups.groups = group + 1;
}

/* Runs of parameters of up to so many elements, but one at least. */
static grouping group_by_size(const model *of, size_t most) {
  grouping own = grouping_create(of);
  int group = 0;
  size_t filled = 0;
  for (int i = 0; i < of->at.reals; i++) {
    const size_t elements = rig_elements(&of->at, of->at.real[i]);
    if (filled && filled + elements > most) {
      group++;
      filled = 0;
    }
    filled += elements;
    join(&own, of, i, group);
  }
  return own;
}

/* Embeddings 0, then a group for each block, then the last norm. */
static grouping group_by_block(const model *of) {
  grouping own = grouping_create(of);
  int group = 0;
  for (int i = 0; i < of->at.reals; i++) {
    if (group <= LAYERS && i == of->first_of_block[group]) group++;
    join(&own, of, i, group);
  }
  return own;
}

static void grouping_release(grouping *own) {
  free(own->read);
  free(own->written);
}

static cohort_plan *plan_of(const model *of) {
  cohort_plan_output output[RIG_LEAVES + 1] = {{of->loss, false}};
  for (int i = 0; i < of->at.reals; i++) output[i + 1] = (cohort_plan_output){of->gradient[i], true};
  cohort_plan *plan = NULL;
  CU_ASSERT_EQUAL_FATAL(
      cohort_plan_create(of->at.graph, cohort_kernels_float64(), of->at.reals + 1, output, &plan, NULL), COHORT_DONE);
  return plan;
}

/* What one run leaves, and the memory it is run with. Outside of its time a parameter is bound to NaNs, a gradient to
 * memory that must stay as it is. */
typedef struct fixture {
  const model *of;
  const grouping *by;
  cohort_executor *executor;
  void **memory;
  double *buffer[RIG_LEAVES], *left[RIG_LEAVES]; /* gradients: as bound, and as taken when complete */
  double *nowhere;                               /* NaNs */
  size_t most;
  double loss;
  bool needed[MOST_GROUPS], open[MOST_GROUPS];
  int opens[MOST_GROUPS], completes[MOST_GROUPS];
} fixture;

static fixture fixture_create(const model *of, const grouping *by, const cohort_plan *plan) {
  fixture own = {.of = of, .by = by, .memory = cohort_allocate((size_t)plan->values * sizeof(void *))};
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &own.executor, NULL), COHORT_DONE);
  for (int i = 0; i < of->at.reals; i++) {
    const size_t elements = rig_elements(&of->at, of->at.real[i]);
    own.buffer[i] = cohort_allocate(elements * sizeof(double));
    own.left[i] = cohort_allocate(elements * sizeof(double));
    if (elements > own.most) own.most = elements;
  }
  own.nowhere = cohort_allocate(own.most * sizeof(double));
  memset(own.nowhere, 0xff, own.most * sizeof(double));
  for (int i = 0; i < of->at.inputs; i++)
    own.memory[cohort_graph_input_at(of->at.graph, i, NULL)] = of->at.input_data[i];
  return own;
}

static void fixture_release(fixture *own) {
  for (int i = 0; i < own->of->at.reals; i++) {
    free(own->buffer[i]);
    free(own->left[i]);
  }
  free(own->nowhere);
  free(own->memory);
  cohort_executor_destroy(own->executor);
}

static void bind(fixture *own) {
  for (int i = 0; i < own->of->at.reals; i++) {
    const int group = own->by ? own->by->of[i] : -1;
    const bool needed = group < 0 || own->needed[group], open = group < 0 || own->open[group];
    own->memory[own->of->at.real[i]] = needed ? own->of->at.real_data[i] : own->nowhere;
    own->memory[own->of->gradient[i]] = open ? own->buffer[i] : own->nowhere;
  }
}

/* Takes the gradients of a group, or all, away. */
static void take(fixture *own, int group) {
  for (int i = 0; i < own->of->at.reals; i++) {
    if (group >= 0 && own->by->of[i] != group) continue;
    const size_t bytes = rig_elements(&own->of->at, own->of->at.real[i]) * sizeof(double);
    memcpy(own->left[i], own->buffer[i], bytes);
    memset(own->buffer[i], 0xff, bytes);
  }
}

/* Brackets: each event finds the group as it must be. */
static void follow(fixture *own, const cohort_plan_event *event) {
  const int g = event->group;
  const bool begins = event->kind == COHORT_PLAN_NEED || event->kind == COHORT_PLAN_OPEN;
  const bool reads = event->kind == COHORT_PLAN_NEED || event->kind == COHORT_PLAN_FREE;
  bool *state = reads ? &own->needed[g] : &own->open[g];
  CU_ASSERT_EQUAL(*state, !begins);
  *state = begins;
  own->opens[g] += event->kind == COHORT_PLAN_OPEN;
  own->completes[g] += event->kind == COHORT_PLAN_COMPLETE;
  if (event->kind == COHORT_PLAN_COMPLETE) take(own, g);
}

static void run(fixture *own, const cohort_plan *plan) {
  const cohort_bindings bindings = {own->memory, {{1, 2}}, NULL};
  const uint64_t untouched = UINT64_MAX;
  for (int p = 0; p < cohort_plan_phases(plan); p++) {
    const cohort_plan_event *event = NULL;
    const int events = cohort_plan_events(plan, p, &event);
    int at = 0;
    for (; at < events && event[at].kind <= COHORT_PLAN_OPEN; at++) follow(own, &event[at]);
    bind(own);
    cohort_executor_run(own->executor, plan, p, 0, &bindings);
    for (; at < events; at++) follow(own, &event[at]);
    for (size_t i = 0; i < own->most; i++) CU_ASSERT(memcmp(&own->nowhere[i], &untouched, sizeof untouched) == 0);
  }
  if (!own->by) take(own, -1);
  own->loss = *(const double *)cohort_executor_value(own->executor, plan, 0, own->of->loss, &bindings);
}

/* The cut plan leaves the bits of the whole one; every group is opened and completed once, and closed in the end. */
static void check_same_bits(const model *of, grouping *by) {
  cohort_plan *whole = plan_of(of), *cut = plan_of(of);
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_plan_partition(cut, &by->groups, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_plan_arena_bytes(whole), cohort_plan_arena_bytes(cut));
  CU_ASSERT(cohort_plan_phases(cut) <= 3 * by->groups.groups + 2 * of->at.reals);
  fixture expected = fixture_create(of, NULL, whole), found = fixture_create(of, by, cut);
  run(&expected, whole);
  run(&found, cut);
  CU_ASSERT(isfinite(found.loss) && found.loss == expected.loss);
  for (int i = 0; i < of->at.reals; i++) {
    const size_t bytes = rig_elements(&of->at, of->at.real[i]) * sizeof(double);
    CU_ASSERT_EQUAL(memcmp(found.left[i], expected.left[i], bytes), 0);
    CU_ASSERT(isfinite(found.left[i][0]));
  }
  for (int g = 0; g < by->groups.groups; g++) {
    CU_ASSERT_EQUAL(found.opens[g], 1);
    CU_ASSERT_EQUAL(found.completes[g], 1);
    CU_ASSERT(!found.needed[g] && !found.open[g]);
  }
  fixture_release(&expected);
  fixture_release(&found);
  cohort_plan_destroy(whole);
  cohort_plan_destroy(cut);
}

static void test_same_bits(void) {
  static const size_t sizes[] = {1, 300, 1000, 4000, 1 << 20};
  model models[] = {gpt_create(), mlp_create()};
  for (int m = 0; m < 2; m++) {
    for (int s = 0; s < 5; s++) {
      grouping by = group_by_size(&models[m], sizes[s]);
      CU_ASSERT(s > 0 || by.groups.groups == models[m].at.reals);
      CU_ASSERT(s < 4 || by.groups.groups == 1);
      check_same_bits(&models[m], &by);
      grouping_release(&by);
    }
  }
  grouping blocks = group_by_block(&models[0]);
  check_same_bits(&models[0], &blocks);
  grouping_release(&blocks);
  for (int m = 0; m < 2; m++) rig_destroy(&models[m].at);
}

/* Phases of a group's events: the n-th of the kind, or NO_PHASE. */
static int phase_of(const cohort_plan *plan, cohort_plan_event_kind kind, int group, int n) {
  for (int p = 0; p < cohort_plan_phases(plan); p++) {
    const cohort_plan_event *event = NULL;
    const int events = cohort_plan_events(plan, p, &event);
    for (int i = 0; i < events; i++)
      if (event[i].kind == kind && event[i].group == group && n-- == 0) return p;
  }
  return NO_PHASE;
}

/* A GPT with a group for each block: the tied embedding is needed for the embedding and again for the head, forward and
 * backward at one go; everything else once forward and once backward. Gradients leave in the order of backward, each
 * group before the next begins. */
static void test_transformer(void) {
  model gpt = gpt_create();
  grouping by = group_by_block(&gpt);
  cohort_plan *plan = plan_of(&gpt);
  CU_ASSERT_EQUAL_FATAL(cohort_plan_partition(plan, &by.groups, NULL), COHORT_DONE);
  const int last = LAYERS + 1;
  for (int g = 0; g <= last; g++) {
    CU_ASSERT(phase_of(plan, COHORT_PLAN_NEED, g, 1) != NO_PHASE);
    CU_ASSERT(phase_of(plan, COHORT_PLAN_NEED, g, 2) == NO_PHASE);
    CU_ASSERT(phase_of(plan, COHORT_PLAN_COMPLETE, g, 0) != NO_PHASE);
  }
  const int head = phase_of(plan, COHORT_PLAN_NEED, 0, 1);
  for (int g = 1; g <= last; g++) {
    CU_ASSERT(phase_of(plan, COHORT_PLAN_NEED, g, 0) > phase_of(plan, COHORT_PLAN_NEED, g - 1, 0));
    CU_ASSERT(phase_of(plan, COHORT_PLAN_FREE, g, 0) < head);
    CU_ASSERT(phase_of(plan, COHORT_PLAN_NEED, g, 1) > head);
    CU_ASSERT(g == 1 || phase_of(plan, COHORT_PLAN_COMPLETE, g, 0) < phase_of(plan, COHORT_PLAN_OPEN, g - 1, 0));
  }
  CU_ASSERT(phase_of(plan, COHORT_PLAN_COMPLETE, 1, 0) <= phase_of(plan, COHORT_PLAN_COMPLETE, 0, 0));
  CU_ASSERT_EQUAL(phase_of(plan, COHORT_PLAN_COMPLETE, 0, 0), cohort_plan_phases(plan) - 1);
  CU_ASSERT(cohort_plan_phases(plan) <= 3 * (last + 1));
  char *text = cohort_plan_describe(plan);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n0 "));
  CU_ASSERT_PTR_EQUAL(strstr(text, "0 need group 0\n"), text);
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "complete group 4\n"));
  free(text);
  cohort_plan_destroy(plan);
  grouping_release(&by);
  rig_destroy(&gpt.at);
}

/* Equal gradients of two groups: one is written in place and copied to the other at once,
 * though that one is complete later; a view of a parameter is
 * copied out while the parameter is bound; a value of no group is there in the end. */
static void test_copies(void) {
  rig at = rig_create(2);
  cohort_graph *g = at.graph;
  const cohort_value x = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1), other = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1);
  const cohort_value late = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1);
  const cohort_value view = cohort_graph_reshape(g, x, COHORT_SHAPE(12)),
                     again = cohort_graph_reshape(g, x, COHORT_SHAPE(12, 1));
  const cohort_value first = rig_real(&at, COHORT_SHAPE(2, 6), -1, 1);
  const cohort_value early =
      cohort_graph_sum_all(g, cohort_graph_multiply(g, first, first)); /* its gradient comes last */
  const cohort_value sum = cohort_graph_add(g, x, other);
  const cohort_value product = cohort_graph_multiply(g, cohort_graph_multiply(g, sum, sum), late);
  const cohort_value loss = cohort_graph_add(g, early, cohort_graph_sum_all(g, product));
  cohort_value gradient[4];
  cohort_graph_gradient(g, loss, COHORT_NO_VALUE, 4, at.real, gradient);
  const cohort_plan_output output[] = {{gradient[0], true}, {gradient[1], true}, {gradient[2], true}, {view, true},
                                       {gradient[3], true}, {again, true},       {loss, false}};
  cohort_plan *plan = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_plan_create(g, cohort_kernels_float64(), 7, output, &plan, NULL), COHORT_DONE);
  static const int group_of[] = {0, 1, 2, 1};
  int read[64], written[64];
  for (int v = 0; v < 64; v++) read[v] = written[v] = -1;
  for (int i = 0; i < 4; i++) {
    read[at.real[i]] = i;
    written[gradient[i]] = group_of[i];
  }
  written[view] = 2;
  CU_ASSERT_EQUAL_FATAL(cohort_plan_partition(plan, &(cohort_plan_bound_groups){4, read, written}, NULL), COHORT_DONE);
  CU_ASSERT(phase_of(plan, COHORT_PLAN_COMPLETE, 0, 0) < phase_of(plan, COHORT_PLAN_COMPLETE, 1, 0));
  double target[6][12], taken[6][12], nans[12];
  memset(target, 0xff, sizeof target);
  memset(nans, 0xff, sizeof nans);
  void *memory[64] = {0};
  cohort_executor *executor = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &executor, NULL), COHORT_DONE);
  const cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  for (int i = 0; i < 4; i++) memory[at.real[i]] = nans;
  memory[again] = target[5];
  for (int p = 0; p < cohort_plan_phases(plan); p++) {
    const cohort_plan_event *event = NULL;
    const int events = cohort_plan_events(plan, p, &event);
    for (int i = 0; i < events; i++) {
      if (event[i].kind == COHORT_PLAN_NEED) memory[at.real[event[i].group]] = at.real_data[event[i].group];
      for (int k = 0; k < 5 && event[i].kind == COHORT_PLAN_OPEN; k++)
        if (written[output[k].value] == event[i].group) memory[output[k].value] = target[k];
    }
    cohort_executor_run(executor, plan, p, 0, &bindings);
    for (int i = 0; i < events; i++) {
      if (event[i].kind == COHORT_PLAN_FREE) memory[at.real[event[i].group]] = nans;
      for (int k = 0; k < 5 && event[i].kind == COHORT_PLAN_COMPLETE; k++) {
        if (written[output[k].value] != event[i].group) continue;
        memcpy(taken[k], target[k], sizeof taken[k]);
        memset(target[k], 0xff, sizeof target[k]);
        memory[output[k].value] = NULL;
      }
    }
  }
  for (int i = 0; i < 12; i++) {
    const double s = at.real_data[0][i] + at.real_data[1][i];
    CU_ASSERT_DOUBLE_EQUAL(taken[4][i], 2 * at.real_data[3][i], 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(taken[0][i], 2 * s * at.real_data[2][i], 1e-12);
    CU_ASSERT_EQUAL(taken[0][i], taken[1][i]);
    CU_ASSERT_DOUBLE_EQUAL(taken[2][i], s * s, 1e-12);
    CU_ASSERT_EQUAL(taken[3][i], at.real_data[0][i]);
    CU_ASSERT_EQUAL(target[5][i], at.real_data[0][i]);
  }
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  rig_destroy(&at);
}

enum { LANES = 2 };

typedef struct coupled {
  rig at;
  cohort_value loss, gradient[3];
} coupled;

/* Lanes are coupled by a mean; the gradient of the last parameter is there before the lanes meet. */
static coupled coupled_create(void) {
  coupled own = {.at = rig_create(9)};
  cohort_graph *g = own.at.graph;
  cohort_graph_set_lanes(g, LANES);
  const cohort_value x = rig_given(&own.at, COHORT_SHAPE(5, 4), -1, 1);
  const cohort_value y = cohort_graph_matmul(g, x, rig_real(&own.at, COHORT_SHAPE(4, 3), -1, 1), false, false);
  const cohort_value mean = cohort_graph_scale(g, cohort_graph_lane_sum(g, cohort_graph_sum(g, y, 1)), 0.1);
  const cohort_value centred = cohort_graph_subtract(g, y, mean);
  const cohort_value z = cohort_graph_multiply(g, centred, rig_real(&own.at, COHORT_SHAPE(3), -1, 1));
  const cohort_value plain =
      cohort_graph_sum_all(g, cohort_graph_multiply(g, x, rig_real(&own.at, COHORT_SHAPE(4), -1, 1)));
  own.loss = cohort_graph_add(g, cohort_graph_sum_all(g, cohort_graph_multiply(g, z, z)), plain);
  cohort_graph_gradient(g, own.loss, COHORT_NO_VALUE, 3, own.at.real, own.gradient);
  CU_ASSERT_EQUAL_FATAL(cohort_graph_status(g, NULL), COHORT_DONE);
  return own;
}

/* Sums over the lanes. */
static int exchange(const cohort_executor *executor, const cohort_plan *plan, int phase, void **memory) {
  const cohort_bindings bindings = {memory, {{0, 0}}, NULL};
  cohort_lane_operation operation[8];
  const int count = cohort_plan_lane_operations(plan, phase, operation, 8);
  for (int k = 0; k < count; k++) {
    for (int64_t i = 0; i < operation[k].input_elements; i++) {
      double sum = 0;
      for (int lane = 0; lane < LANES; lane++)
        sum += ((double *)cohort_executor_value(executor, plan, lane, operation[k].input, &bindings))[i];
      for (int lane = 0; lane < LANES; lane++)
        ((double *)cohort_executor_value(executor, plan, lane, operation[k].output, &bindings))[i] = sum;
    }
  }
  return count;
}

static int run_lanes(const coupled *own, const cohort_plan *plan, double out[LANES][3][12]) {
  void *memory[64] = {0};
  for (int i = 0; i < 3; i++) memory[own->at.real[i]] = own->at.real_data[i];
  cohort_executor *executor = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), LANES, 1, &executor, NULL), COHORT_DONE);
  double x[LANES][20];
  for (int i = 0; i < LANES * 20; i++) x[i / 20][i % 20] = sin(1.3 * i);
  int exchanges = 0;
  for (int p = 0; p < cohort_plan_phases(plan); p++) {
    for (int lane = 0; lane < LANES; lane++) {
      memory[cohort_graph_input_at(own->at.graph, 0, NULL)] = x[lane];
      for (int i = 0; i < 3; i++) memory[own->gradient[i]] = out[lane][i];
      cohort_executor_run(executor, plan, p, lane, &(cohort_bindings){memory, {{0, 0}}, NULL});
    }
    exchanges += exchange(executor, plan, p, memory) > 0;
  }
  cohort_executor_destroy(executor);
  return exchanges;
}

/* Lane operations still end phases, and what was copied at the end leaves when its group is complete. */
static void test_lanes(void) {
  coupled own = coupled_create();
  cohort_plan *plan[2] = {NULL};
  cohort_plan_output output[4] = {{own.loss, false}};
  int read[64], written[64];
  for (int v = 0; v < 64; v++) read[v] = written[v] = -1;
  for (int i = 0; i < 3; i++) {
    output[i + 1] = (cohort_plan_output){own.gradient[i], true};
    read[own.at.real[i]] = written[own.gradient[i]] = i;
  }
  double out[2][LANES][3][12] = {{{{0}}}};
  int exchanges[2];
  for (int k = 0; k < 2; k++) {
    CU_ASSERT_EQUAL_FATAL(cohort_plan_create(own.at.graph, cohort_kernels_float64(), 4, output, &plan[k], NULL),
                          COHORT_DONE);
    if (k)
      CU_ASSERT_EQUAL(cohort_plan_partition(plan[k], &(cohort_plan_bound_groups){3, read, written}, NULL), COHORT_DONE);
    CU_ASSERT(cohort_plan_has_lane_operations(plan[k]));
    exchanges[k] = run_lanes(&own, plan[k], out[k]);
  }
  CU_ASSERT(exchanges[0] >= 2 && exchanges[0] == exchanges[1]);
  CU_ASSERT(plan[0]->copies > 0 && plan[0]->copies == plan[1]->copies);
  CU_ASSERT_EQUAL(memcmp(out[0], out[1], sizeof out[0]), 0);
  CU_ASSERT(out[0][1][2][3] != 0 && out[0][1][0][11] != 0);
  CU_ASSERT(phase_of(plan[1], COHORT_PLAN_COMPLETE, 2, 0) < phase_of(plan[1], COHORT_PLAN_COMPLETE, 0, 0));
  CU_ASSERT(phase_of(plan[1], COHORT_PLAN_COMPLETE, 2, 0) < cohort_plan_phases(plan[1]) - 1);
  for (int k = 0; k < 2; k++) cohort_plan_destroy(plan[k]);
  rig_destroy(&own.at);
}

static void test_refused(void) {
  model mlp = mlp_create();
  grouping by = group_by_size(&mlp, 100);
  cohort_plan *plan = plan_of(&mlp);
  cohort_error error = {0};
  const cohort_plan_event *event = NULL;
  CU_ASSERT_EQUAL(cohort_plan_events(plan, 0, &event), 0);
  by.groups.groups--;
  CU_ASSERT_EQUAL(cohort_plan_partition(plan, &by.groups, &error), COHORT_BUG);
  CU_ASSERT_EQUAL(cohort_plan_phases(plan), 1);
  by.groups.groups++;
  CU_ASSERT_EQUAL(cohort_plan_partition(plan, &by.groups, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_plan_partition(plan, &by.groups, &error), COHORT_BUG);
  CU_ASSERT(!cohort_plan_has_lane_operations(plan));
  cohort_plan_destroy(plan);
  grouping_release(&by);
  rig_destroy(&mlp.at);
}

static void count_up(void *argument) { ++*(int *)argument; }

/* The poll is called after each step, measured or not, and no longer when it is taken back. */
static void test_poll(void) {
  model mlp = mlp_create();
  grouping by = group_by_size(&mlp, 100);
  cohort_plan *plan = plan_of(&mlp);
  CU_ASSERT_EQUAL(cohort_plan_partition(plan, &by.groups, NULL), COHORT_DONE);
  fixture own = fixture_create(&mlp, &by, plan);
  int calls = 0;
  cohort_executor_poll(own.executor, count_up, &calls);
  run(&own, plan);
  CU_ASSERT_EQUAL(calls, cohort_plan_nodes(plan));
  cohort_recorder *recorder = cohort_recorder_create(1, (const cohort_plan *[]){plan}, 0);
  cohort_executor_record(own.executor, recorder);
  run(&own, plan);
  CU_ASSERT_EQUAL(calls, 2 * cohort_plan_nodes(plan));
  CU_ASSERT_EQUAL(recorder->table[0][0].calls, 1);
  cohort_executor_poll(own.executor, NULL, NULL);
  run(&own, plan);
  CU_ASSERT_EQUAL(calls, 2 * cohort_plan_nodes(plan));
  fixture_release(&own);
  cohort_recorder_destroy(recorder);
  cohort_plan_destroy(plan);
  grouping_release(&by);
  rig_destroy(&mlp.at);
}

static const check checks[] = {
    {"same bits", test_same_bits}, {"transformer", test_transformer}, {"copies", test_copies},
    {"lanes", test_lanes},         {"refused", test_refused},         {"poll", test_poll},
};

int main(void) { return check_run("cut", checks, sizeof checks / sizeof *checks); }
