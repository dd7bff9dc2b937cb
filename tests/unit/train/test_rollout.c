/* What a rollout says of the tokens it has drawn is what training says of them: a GPT of 0.8 million parameters, whose
 * distributions are far from uniform, float32. */
#include <math.h>

#include "check.h"
#include "graph/decompose.h"
#include "graph/executor.h"
#include "io/config.h"
#include "train/rollout/rollout.h"

enum { VOCABULARY = 1024, PROMPT = 12, MOST = 40, TEXTS = 8, ROWS = PROMPT + MOST - 1 };
enum { TOKENS, TARGETS, POSITIONS, SEGMENTS, IDS, INPUTS };

typedef struct fixture {
  cohort_document *document;
  cohort_choice choice;
  cohort_model_data data;
  cohort_space *space;
  int32_t prompt[PROMPT], completion[TEXTS][MOST];
  float said[TEXTS][MOST];
} fixture;

static void open_fixture(fixture *own, const char *model) {
  cohort_error error;
  cohort_faults faults = {0};
  cohort_graph *graph = NULL;
  *own = (fixture){.data = {.outputs = VOCABULARY}};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(model, strlen(model), "m", &own->document, &error), COHORT_DONE);
  cohort_choice_read(COHORT_VARIANT_F64, "model", own->document, "model", &own->choice, NULL, &faults);
  CU_ASSERT_EQUAL_FATAL(faults.count, 0);
  CU_ASSERT_EQUAL_FATAL(cohort_generator_graph(&own->choice, &own->data, NULL, NULL, &graph, &error), COHORT_DONE);
  own->space = cohort_space_create(graph, 0, "model");
  cohort_graph_destroy(graph);
  CU_ASSERT_EQUAL_FATAL(cohort_space_hold(own->space, &error), COHORT_DONE);
  cohort_space_initialise(own->space, cohort_random_key_from_seed(5), NULL);
  for (int t = 0; t < own->space->tensors; t++) { /* logits of a trained model's size */
    const cohort_space_tensor *tensor = &own->space->tensor[t];
    for (int64_t e = 0; tensor->declared.shape.axes > 1 && e < tensor->elements; e++)
      own->space->values[tensor->offset + e] *= 6;
  }
  for (int t = 0; t < PROMPT; t++) own->prompt[t] = 37 * t % VOCABULARY;
}

static void write_texts(fixture *own) {
  const cohort_rollout_options options = {.model = &own->choice,
                                          .data = &own->data,
                                          .space = own->space,
                                          .kernels = cohort_kernels_float32(cohort_processor_isa()),
                                          .writers = 1,
                                          .threads = 1,
                                          .texts = TEXTS,
                                          .prompt = PROMPT,
                                          .completion = MOST,
                                          .how = cohort_decoding_plain(),
                                          .key = cohort_random_key_from_seed(9)};
  cohort_rollout *rollout = NULL;
  cohort_rollout_text text[TEXTS];
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(cohort_rollout_create(&options, &rollout, &error), COHORT_DONE);
  for (int i = 0; i < TEXTS; i++)
    text[i] = (cohort_rollout_text){.prompt = own->prompt,
                                    .prompt_tokens = PROMPT,
                                    .stream = (uint64_t)i,
                                    .completion = own->completion[i],
                                    .log_probability = own->said[i]};
  CU_ASSERT_FATAL(cohort_rollout_write(rollout, 0, TEXTS, text, NULL));
  cohort_rollout_destroy(rollout);
}

/* The training graph's log-probabilities of all texts, side by side as segments. */
static double largest_difference(fixture *own) {
  enum { ALL = TEXTS * ROWS };
  static int32_t input[INPUTS][ALL];
  static const char *const names[INPUTS] = {"tokens", "targets", "positions", "segments", "ids"};
  const cohort_model *functions = own->choice.method->functions;
  cohort_graph *graph = cohort_graph_create();
  cohort_value value[INPUTS];
  for (int i = 0; i < INPUTS; i++)
    value[i] = cohort_graph_input(graph, names[i], COHORT_TYPE_INTEGER, COHORT_SHAPE(ALL));
  const cohort_model_inputs inputs = {.input = COHORT_NO_VALUE,
                                      .tokens = value[TOKENS],
                                      .positions = value[POSITIONS],
                                      .segments = value[SEGMENTS],
                                      .ids = value[IDS]};
  const cohort_model_outputs outputs = functions->build(own->choice.config, graph, &own->data, &inputs);
  const cohort_value said =
      cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, value[TARGETS]).log_probability;
  void **memory = cohort_allocate((size_t)cohort_graph_values(graph) * sizeof *memory);
  for (int i = 0; i < INPUTS; i++) memory[value[i]] = input[i];
  for (int i = 0; i < cohort_graph_parameters(graph); i++) {
    cohort_value parameter;
    const char *name = cohort_graph_parameter_at(graph, i, &parameter)->name;
    for (int t = 0; t < own->space->tensors; t++)
      if (strcmp(own->space->tensor[t].declared.name, name) == 0)
        memory[parameter] = own->space->values + own->space->tensor[t].offset;
  }
  for (int i = 0; i < TEXTS; i++)
    for (int t = 0; t < ROWS; t++) {
      input[TOKENS][i * ROWS + t] = t < PROMPT ? own->prompt[t] : own->completion[i][t - PROMPT];
      input[TARGETS][i * ROWS + t] = t + 1 < PROMPT ? -1 : own->completion[i][t + 1 - PROMPT];
      input[POSITIONS][i * ROWS + t] = t;
      input[SEGMENTS][i * ROWS + t] = i;
    }
  const cohort_plan_output output = {said, false};
  const cohort_bindings bindings = {.memory = memory};
  cohort_plan *plan = NULL;
  cohort_executor *executor = NULL;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(
      cohort_plan_create(graph, cohort_kernels_float32(cohort_processor_isa()), 1, &output, &plan, &error),
      COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_executor_create(cohort_plan_arena_bytes(plan), 1, 1, &executor, &error), COHORT_DONE);
  cohort_executor_run(executor, plan, 0, 0, &bindings);
  const float *trained = cohort_executor_value(executor, plan, 0, said, &bindings);
  double most = 0;
  for (int i = 0; i < TEXTS; i++)
    for (int t = 0; t < MOST; t++)
      most = fmax(most, fabs((double)own->said[i][t] - (double)trained[i * ROWS + PROMPT - 1 + t]));
  cohort_executor_destroy(executor);
  cohort_plan_destroy(plan);
  cohort_graph_destroy(graph);
  free(memory);
  return most;
}

static void check_style(const char *model) {
  fixture own;
  open_fixture(&own, model);
  write_texts(&own);
  double mean = 0;
  for (int i = 0; i < TEXTS; i++)
    for (int t = 0; t < MOST; t++) mean += (double)own.said[i][t] / (TEXTS * MOST);
  const double far = largest_difference(&own);
  if (!(far <= 1e-5)) fprintf(stderr, "\n  %s: %g (mean log-probability %g)\n", model, far, mean);
  CU_ASSERT(far <= 1e-5);
  CU_ASSERT(mean < -0.5 && mean > -6.5); /* log 1024 is 6.9 */
  cohort_space_destroy(own.space);
  cohort_choice_release(&own.choice);
  cohort_document_destroy(own.document);
}

static void test_log_probabilities(void) {
  check_style("{gpt: {style: gpt2, layers: 4, width: 112, heads: 4, context: 64}}");
  check_style("{gpt: {style: llama, layers: 4, width: 112, heads: 4, key_heads: 2, context: 64}}");
}

int main(void) {
  static const check checks[] = {{"log-probabilities as trained", test_log_probabilities}};
  return check_run("rollout", checks, sizeof checks / sizeof *checks);
}
