/* Every model in every style, tiny, dropout on: gradients and Hessian-vector products with respect to every parameter
 * tensor and input; its table of parameters; dropout only in training. */
#include "graph_check.h"
#include "method/model/model.h"
#include "variants.h"

enum { SAMPLES = 3, SIDE = 8, CHANNELS = 2, CLASSES = 4, TOKENS = 11, VOCABULARY = 7 };

static const variant_setting settings[] = {
    {NULL, "dropout", "0.25"},    {NULL, "hidden", "5"},  {NULL, "layers", "2"}, {NULL, "channels", "3"},
    {NULL, "channels2", "4"},     {NULL, "dense", "6"},   {NULL, "depth", "8"},  {"cnn", "width", "4"},
    {NULL, "groups", "2"},        {"gpt", "width", "8"},  {NULL, "heads", "4"},  {NULL, "key_heads", "2"},
    {NULL, "feed_forward", "10"}, {NULL, "context", "6"}, {NULL, NULL, NULL},
};

static const int32_t tokens[TOKENS] = {3, 1, 6, 0, 2, 5, 5, 4, 1, 0, 0};
static const int32_t targets[TOKENS] = {1, 6, 0, -1, 4, 5, -1, 1, 2, -1, -1};
static const int32_t positions[TOKENS] = {0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 0};
static const int32_t segments[TOKENS] = {0, 0, 0, 0, 0, 1, 1, 1, 1, -1, -1};
static const int32_t token_ids[TOKENS] = {9, 9, 9, 9, 9, 4, 4, 4, 4, 0, 0};
static const int32_t classes[SAMPLES] = {2, 0, 3};
static const int32_t sample_ids[SAMPLES] = {5, 9, 2};

static cohort_value integers(cohort_graph *graph, const char *name, int64_t rows) {
  return cohort_graph_input(graph, name, COHORT_TYPE_INTEGER, COHORT_SHAPE(rows));
}

static cohort_value sample_loss(const cohort_choice *choice, cohort_graph *graph, cohort_model_inputs inputs) {
  const cohort_model *model = choice->method->functions;
  const cohort_model_data data = {.axes = 3, .size = {SIDE, SIDE, CHANNELS}, .outputs = CLASSES};
  inputs.input = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, COHORT_SHAPE(SAMPLES, SIDE, SIDE, CHANNELS));
  inputs.positions = integers(graph, "positions", SAMPLES);
  inputs.ids = integers(graph, "ids", SAMPLES);
  inputs.weight = COHORT_NO_VALUE;
  const cohort_value logits = model->build(choice->config, graph, &data, &inputs).logits;
  const cohort_value rows = cohort_graph_softmax_cross_entropy(graph, logits, integers(graph, "classes", SAMPLES), 0.1);
  const cohort_value weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(SAMPLES));
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, weight));
}

static cohort_value token_loss(const cohort_choice *choice, cohort_graph *graph, cohort_model_inputs inputs) {
  const cohort_model *model = choice->method->functions;
  const cohort_model_data data = {.outputs = VOCABULARY};
  inputs.tokens = integers(graph, "tokens", TOKENS);
  inputs.positions = integers(graph, "token_positions", TOKENS);
  inputs.segments = integers(graph, "segments", TOKENS);
  inputs.ids = integers(graph, "token_ids", TOKENS);
  const cohort_model_outputs outputs = model->build(choice->config, graph, &data, &inputs);
  const cohort_head_outputs head =
      cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, integers(graph, "targets", TOKENS));
  cohort_value rows =
      cohort_graph_add(graph, head.log_probability, cohort_graph_scale(graph, head.mean_log_probability, 0.2));
  rows = cohort_graph_add(graph, rows, cohort_graph_scale(graph, head.entropy, 0.3));
  const cohort_value weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(TOKENS));
  return cohort_graph_sum_all(graph, cohort_graph_multiply(graph, rows, weight));
}

static cohort_value model_loss(const cohort_choice *choice, cohort_graph *graph, int space, bool training) {
  const cohort_model *model = choice->method->functions;
  const cohort_model_inputs inputs = {.space = space,
                                      .training = training,
                                      .input = COHORT_NO_VALUE,
                                      .tokens = COHORT_NO_VALUE,
                                      .segments = COHORT_NO_VALUE};
  return model->kind == COHORT_MODEL_TOKENS ? token_loss(choice, graph, inputs) : sample_loss(choice, graph, inputs);
}

static void fill(const graph_subject *subject) {
  graph_set_integers(subject, "tokens", tokens);
  graph_set_integers(subject, "targets", targets);
  graph_set_integers(subject, "token_positions", positions);
  graph_set_integers(subject, "segments", segments);
  graph_set_integers(subject, "token_ids", token_ids);
  graph_set_integers(subject, "classes", classes);
  graph_set_integers(subject, "ids", sample_ids);
}

static void check_gradients(const cohort_choice *choice, const char *label) {
  cohort_graph *graph = cohort_graph_create();
  const cohort_value loss = model_loss(choice, graph, 0, true);
  graph_subject subject = graph_subject_create(graph, loss);
  fill(&subject);
  graph_check_subject(label, &subject);
  graph_subject_release(&subject);
}

static void all_gradients(void) { CU_ASSERT(variants_run("model", settings, check_gradients) > 0); }

static void check_tensor(const cohort_parameter_tensor *tensor, const char *label) {
  const bool drawn = tensor->initial == COHORT_INITIAL_NORMAL || tensor->initial == COHORT_INITIAL_UNIFORM;
  bool right = !drawn || (tensor->scale > 0 && tensor->scale < 1.5);
  switch (tensor->role) {
    case COHORT_ROLE_MATRIX:
    case COHORT_ROLE_HEAD:
    case COHORT_ROLE_EMBEDDING:
      right = right && drawn && tensor->shape.axes == 2;
      break;
    case COHORT_ROLE_KERNEL:
      right = right && drawn && tensor->shape.axes == 4;
      break;
    case COHORT_ROLE_GAIN:
      right = right && tensor->initial == COHORT_INITIAL_ONE && tensor->shape.axes == 1;
      break;
    default:
      right = right && tensor->shape.axes <= 1;
  }
  if (!right) fprintf(stderr, "\n  %s: %s has an odd shape or initial value\n", label, tensor->name);
  CU_ASSERT(right);
}

/* The same builder makes the frozen reference: the same tensors in the same order in another space. */
static void check_table(const cohort_choice *choice, const char *label) {
  cohort_graph *graph = cohort_graph_create();
  model_loss(choice, graph, 0, true);
  const int count = cohort_graph_parameters(graph);
  cohort_graph *other = cohort_graph_create();
  model_loss(choice, other, 1, false);
  CU_ASSERT(count > 0);
  CU_ASSERT_EQUAL(cohort_graph_parameters(other), count);
  for (int i = 0; i < count && i < cohort_graph_parameters(other); i++) {
    cohort_value value;
    const cohort_parameter_tensor *a = cohort_graph_parameter_at(graph, i, &value);
    const cohort_parameter_tensor *b = cohort_graph_parameter_at(other, i, &value);
    check_tensor(a, label);
    CU_ASSERT_EQUAL(a->space, 0);
    CU_ASSERT_EQUAL(b->space, 1);
    CU_ASSERT_STRING_EQUAL(a->name, b->name);
    CU_ASSERT_EQUAL(memcmp(a->shape.size, b->shape.size, (size_t)a->shape.axes * sizeof *a->shape.size), 0);
  }
  cohort_graph_destroy(graph);
  cohort_graph_destroy(other);
}

static void tables(void) { CU_ASSERT(variants_run("model", settings, check_table) > 0); }

static bool has_dropout(const cohort_method *method) {
  for (const cohort_parameter *p = method->parameters; p && p->name; p++)
    if (strcmp(p->name, "dropout") == 0) return true;
  return false;
}

/* In training the random key changes the loss of a model with dropout; outside it nothing is drawn. */
static void check_dropout(const cohort_choice *choice, const char *label) {
  for (int training = 0; training < 2; training++) {
    const bool drawn = training && has_dropout(choice->method);
    cohort_graph *graph = cohort_graph_create();
    const cohort_value loss = model_loss(choice, graph, 0, training);
    graph_subject subject = graph_subject_create(graph, loss);
    fill(&subject);
    graph_runner runner;
    if (graph_runner_create(&runner, graph, &subject, NULL, 1, &loss)) {
      const double first = graph_loss(&runner), again = graph_loss(&runner);
      bool same = true;
      for (uint64_t seed = 100; seed < 110; seed++) {
        runner.bindings.random_key = cohort_random_key_from_seed(seed);
        same = same && graph_loss(&runner) == first;
      }
      if (same == drawn) fprintf(stderr, "\n  %s: training %d\n", label, training);
      CU_ASSERT_EQUAL(first, again);
      CU_ASSERT_EQUAL(same, !drawn);
    }
    graph_runner_release(&runner);
    graph_subject_release(&subject);
  }
}

static void dropout(void) { CU_ASSERT(variants_run("model", settings, check_dropout) > 0); }

static const check checks[] = {{"gradients and Hessian-vector products", all_gradients},
                               {"tables of parameters", tables},
                               {"dropout only in training", dropout}};

int main(void) { return check_run("model", checks, sizeof checks / sizeof *checks); }
