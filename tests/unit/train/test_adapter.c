/* Low-rank adapters: a model with them is the model with W + s B A in float64, in value and gradient, and what is
 * trained beside a frozen model has no gradient of a frozen matrix in its plan. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "contract/method_fixture.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "graph/gradient.h"
#include "graph/planned.h"
#include "io/config.h"
#include "lane/graph.h"
#include "train/task/task.h"

enum { ROWS = 12, VOCABULARY = 11, RANK = 3, MOST = 64, ADAPTER = 1 };
static const double scale = 0.75;
static const char *targets[] = {"query", "value", "up"};

/* A model at given weights, with the loss -sum log p and its gradient. */
typedef struct model_run {
  cohort_graph *graph;
  int tensors;
  cohort_parameter_tensor tensor[MOST];
  double *weight[MOST], *gradient[MOST];
  double loss;
} model_run;

static int find(const model_run *own, const char *name) {
  for (int t = 0; t < own->tensors; t++)
    if (strcmp(own->tensor[t].name, name) == 0) return t;
  return -1;
}

static cohort_value build(model_run *own, const cohort_choice *choice, const cohort_adapter *adapter,
                          cohort_value *input) {
  static const char *const names[4] = {"tokens", "positions", "segments", "targets"};
  const cohort_model *model = choice->method->functions;
  const cohort_model_data data = {.outputs = VOCABULARY};
  own->graph = cohort_graph_create();
  for (int i = 0; i < 4; i++)
    input[i] = cohort_graph_input(own->graph, names[i], COHORT_TYPE_INTEGER, COHORT_SHAPE(ROWS));
  const cohort_model_inputs inputs = {.input = COHORT_NO_VALUE,
                                      .adapter = adapter,
                                      .tokens = input[0],
                                      .positions = input[1],
                                      .segments = input[2],
                                      .ids = input[1]};
  const cohort_model_outputs outputs = model->build(choice->config, own->graph, &data, &inputs);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(own->graph, outputs.hidden, outputs.head, input[3]);
  return cohort_graph_scale(own->graph, cohort_graph_sum_all(own->graph, head.log_probability), -1);
}

/* Weights of a tensor follow from its name. */
static void draw(model_run *own, double b_scale) {
  const cohort_random_key key = cohort_random_key_from_seed(7);
  for (int t = 0; t < own->tensors; t++) {
    const cohort_random_key of = cohort_random_key_derive_name(key, own->tensor[t].name);
    const int64_t n = cohort_shape_elements(own->tensor[t].shape);
    const bool b = strstr(own->tensor[t].name, "lora_b") != NULL;
    own->weight[t] = cohort_allocate((size_t)n * sizeof(double));
    own->gradient[t] = cohort_allocate((size_t)n * sizeof(double));
    for (int64_t i = 0; i < n; i++)
      own->weight[t][i] = (b ? b_scale : 1) * 0.3 * cohort_random_normal_at(of, 0, (uint64_t)i);
  }
}

/* W + scale B A, where there is an adapter. */
static void merge(model_run *own, const model_run *apart) {
  for (int t = 0; t < own->tensors; t++) {
    char name[128];
    const size_t stem = strlen(own->tensor[t].name) - strlen("weight");
    if (own->tensor[t].role != COHORT_ROLE_MATRIX) continue;
    (void)snprintf(name, sizeof name, "%.*slora_a", (int)stem, own->tensor[t].name);
    const int a = find(apart, name);
    (void)snprintf(name, sizeof name, "%.*slora_b", (int)stem, own->tensor[t].name);
    const int b = find(apart, name);
    if (a < 0) continue;
    const int64_t out = own->tensor[t].shape.size[0], in = own->tensor[t].shape.size[1];
    for (int64_t o = 0; o < out; o++)
      for (int64_t i = 0; i < in; i++)
        for (int64_t r = 0; r < RANK; r++)
          own->weight[t][o * in + i] += scale * apart->weight[b][o * RANK + r] * apart->weight[a][r * in + i];
  }
}

static void run(model_run *own, cohort_value loss, const cohort_value *input) {
  cohort_error error = {0};
  cohort_value wrt[MOST], gradient[MOST];
  cohort_plan_output output[MOST + 1] = {{loss, false}};
  for (int t = 0; t < own->tensors; t++) (void)cohort_graph_parameter_at(own->graph, t, &wrt[t]);
  cohort_graph_gradient(own->graph, loss, COHORT_NO_VALUE, own->tensors, wrt, gradient);
  for (int t = 0; t < own->tensors; t++) output[t + 1] = (cohort_plan_output){gradient[t], true};
  cohort_plan *plan = NULL;
  cohort_executor *executor = NULL;
  CU_ASSERT_EQUAL_FATAL(
      cohort_plan_create(own->graph, cohort_kernels_float64(), own->tensors + 1, output, &plan, &error), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &executor, &error), COHORT_DONE);
  void **memory = cohort_allocate((size_t)cohort_graph_values(own->graph) * sizeof *memory);
  int32_t rows[4][ROWS];
  for (int r = 0; r < ROWS; r++) {
    rows[0][r] = (r * 5 + 2) % VOCABULARY;
    rows[1][r] = r % 6;
    rows[2][r] = r / 6;
    rows[3][r] = (r * 3 + 1) % VOCABULARY;
  }
  for (int i = 0; i < 4; i++) memory[input[i]] = rows[i];
  for (int t = 0; t < own->tensors; t++) {
    memory[wrt[t]] = own->weight[t];
    memory[gradient[t]] = own->gradient[t];
  }
  const cohort_bindings bindings = {.memory = memory};
  cohort_executor_run(executor, plan, 0, 0, &bindings);
  own->loss = *(const double *)cohort_executor_value(executor, plan, 0, loss, &bindings);
  free(memory);
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
}

static void make_run(model_run *own, const cohort_choice *choice, const cohort_adapter *adapter, double b_scale,
                     const model_run *merged_from) {
  cohort_value input[4];
  memset(own, 0, sizeof *own);
  const cohort_value loss = build(own, choice, adapter, input);
  own->tensors = cohort_graph_parameters(own->graph);
  CU_ASSERT_FATAL(own->tensors <= MOST);
  for (int t = 0; t < own->tensors; t++) own->tensor[t] = *cohort_graph_parameter_at(own->graph, t, NULL);
  draw(own, b_scale);
  if (merged_from) merge(own, merged_from);
  run(own, loss, input);
}

static void release(model_run *own) {
  for (int t = 0; t < own->tensors; t++) {
    free(own->weight[t]);
    free(own->gradient[t]);
  }
  cohort_graph_destroy(own->graph);
}

/* dA = s B' dW, dB = s dW A' of the merged matrix's gradient dW. */
static void compare_gradients(const model_run *apart, const model_run *merged, const char *layer) {
  char name[128];
  (void)snprintf(name, sizeof name, "%s.weight", layer);
  const int w = find(merged, name);
  (void)snprintf(name, sizeof name, "%s.lora_a", layer);
  const int a = find(apart, name);
  (void)snprintf(name, sizeof name, "%s.lora_b", layer);
  const int b = find(apart, name);
  CU_ASSERT_FATAL(w >= 0 && a >= 0 && b >= 0);
  const int64_t out = merged->tensor[w].shape.size[0], in = merged->tensor[w].shape.size[1];
  double worst = 0, largest = 0;
  for (int64_t r = 0; r < RANK; r++)
    for (int64_t i = 0; i < in; i++) {
      double sum = 0;
      for (int64_t o = 0; o < out; o++) sum += scale * apart->weight[b][o * RANK + r] * merged->gradient[w][o * in + i];
      worst = fmax(worst, fabs(sum - apart->gradient[a][r * in + i]));
      largest = fmax(largest, fabs(sum));
    }
  for (int64_t o = 0; o < out; o++)
    for (int64_t r = 0; r < RANK; r++) {
      double sum = 0;
      for (int64_t i = 0; i < in; i++) sum += scale * merged->gradient[w][o * in + i] * apart->weight[a][r * in + i];
      worst = fmax(worst, fabs(sum - apart->gradient[b][o * RANK + r]));
      largest = fmax(largest, fabs(sum));
    }
  CU_ASSERT(largest > 1e-3);
  CU_ASSERT(worst <= 1e-12 * fmax(largest, 1));
}

static void adapters_are_a_change_of_their_matrix(void) {
  static const char *const styles[] = {"style=gpt2 layers=2 width=8 heads=2 context=6",
                                       "style=llama layers=1 width=8 heads=2 context=6 feed_forward=12"};
  const cohort_adapter adapter = {.space = ADAPTER, .rank = RANK, .scale = scale, .targets = 3, .target = targets};
  for (int style = 0; style < 2; style++) {
    cohort_choice choice = {0};
    cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "model", "gpt", styles[style], &choice);
    model_run plain, apart, merged, begins;
    make_run(&plain, &choice, NULL, 1, NULL);
    make_run(&begins, &choice, &adapter, 0, NULL);
    CU_ASSERT(begins.loss <= plain.loss && begins.loss >= plain.loss); /* the same bits */
    make_run(&apart, &choice, &adapter, 1, NULL);
    make_run(&merged, &choice, NULL, 1, &apart);
    CU_ASSERT(fabs(merged.loss - plain.loss) > 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(apart.loss, merged.loss, 1e-12 * fabs(merged.loss));
    compare_gradients(&apart, &merged, "layer0.attention.query");
    compare_gradients(&apart, &merged, "layer0.attention.value");
    compare_gradients(&apart, &merged, "layer0.feed_forward.up");
    CU_ASSERT(find(&apart, "layer0.attention.key.lora_a") < 0);
    CU_ASSERT_EQUAL(apart.tensors - plain.tensors, 6 * (style ? 1 : 2));
    release(&plain);
    release(&begins);
    release(&apart);
    release(&merged);
    cohort_choice_release(&choice);
    cohort_document_destroy(document);
  }
}

/* Steps of a training plan whose output has the shape of one of the model's matrices, and its FLOPs. */
static int matrix_steps(const char *lora, double *flops, int *frozen_gradients) {
  char path[64];
  (void)snprintf(path, sizeof path, "/tmp/test_adapter_%ld.txt", (long)getpid());
  FILE *file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  for (int i = 0; i < 200; i++) CU_ASSERT(fprintf(file, "%d and %d\n", i, i * i % 37) > 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
  char *const text = cohort_format_text(
      "task: language\nsteps: 1\nmodel: {gpt: {layers: 3, width: 36, heads: 2, context: 24, dropout: 0.1}}\n%s"
      "data: {text: %s}\n",
      lora, path);
  cohort_document *document = NULL;
  cohort_settings settings;
  cohort_task task;
  cohort_faults faults = {0};
  cohort_error error = {0};
  const cohort_log log = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
  cohort_settings_read(document, &settings, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL_FATAL(cohort_task_open(&settings, NULL, &log, &faults, &task, &error), COHORT_DONE);
  cohort_spaces spaces;
  CU_ASSERT_EQUAL_FATAL(cohort_spaces_create(&task.source, task.spaces, task.space, &spaces, &error), COHORT_DONE);
  const cohort_lane_graph_options options = {
      .gradients = true, .trained = spaces.trained, .training = true, .lanes = 1, .capacity = 5};
  cohort_lane_graph *lane = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_lane_graph_create(&task.source, &options, spaces.space,
                                                 cohort_kernels_float32(COHORT_ISA_AVX2), &lane, &error),
                        COHORT_DONE);
  const cohort_space *model = spaces.space[task.model_space];
  int found = 0;
  for (int s = 0; s < lane->plan->steps; s++)
    for (int o = 0; o < lane->plan->step[s].call.outputs; o++)
      for (int t = 0; t < model->tensors; t++) {
        const cohort_shape a = model->tensor[t].declared.shape, b = lane->plan->step[s].call.output[o].shape;
        if (a.axes != 2 || b.axes != 2 || a.size[0] != b.size[0] || a.size[1] != b.size[1]) continue;
        found++;
        break;
      }
  *frozen_gradients = 0;
  for (int t = 0; t < lane->tensors; t++)
    *frozen_gradients += lane->space[t] == task.model_space && lane->gradient[t] != COHORT_NO_VALUE;
  *flops = cohort_plan_flops(lane->plan);
  cohort_lane_graph_destroy(lane);
  cohort_spaces_release(&spaces);
  cohort_task_close(&task);
  cohort_settings_release(&settings);
  cohort_document_destroy(document);
  free(text);
  (void)unlink(path);
  return found;
}

static void no_gradient_of_a_frozen_matrix(void) {
  double whole_flops, flops;
  int gradients;
  const int whole = matrix_steps("", &whole_flops, &gradients);
  CU_ASSERT(whole >= 3 * 6 && gradients > 0); /* six matrices a layer */
  CU_ASSERT_EQUAL(matrix_steps("lora: {rank: 2}\n", &flops, &gradients), 0);
  CU_ASSERT_EQUAL(gradients, 0);
  printf("    FLOPs %.3f of all weights'\n", flops / whole_flops);
  CU_ASSERT(flops < 0.75 * whole_flops);
}

static const check checks[] = {{"adapters are a change of their matrix", adapters_are_a_change_of_their_matrix},
                               {"no gradient of a frozen matrix", no_gradient_of_a_frozen_matrix}};
int main(void) { return check_run("adapters", checks, sizeof checks / sizeof *checks); }
