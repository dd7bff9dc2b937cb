/* A whole training step of a tiny GPT-2 and a tiny Llama against Hugging Face transformers and torch.optim.AdamW:
 * golden/gpt_step.h5, made by golden_model.py. Three sequences of unequal length stand in one ragged batch; there each
 * ran by itself. */
#include "method/golden_check.h"
#include "method/loss/loss.h"
#include "method/optimizer/optimizer.h"

enum { VOCABULARY = 29, MAX_TENSORS = 64 };

typedef struct golden_case {
  const char *prefix, *settings;
} golden_case;

static const golden_case cases[] = {
    {"gpt2/", "style=gpt2 layers=2 width=16 heads=4 context=12"},
    {"llama/", "style=llama layers=2 width=16 heads=4 key_heads=2 feed_forward=40 context=12 tied=false"},
};

static const char adamw_settings[] = "learning_rate=1e-2 beta1=0.9 beta2=0.95 epsilon=1e-4 weight_decay=0.1";

typedef struct step {
  cohort_graph *graph;
  int tensors;
  cohort_value output[2 + MAX_TENSORS]; /* mean loss, log-probability of each row, gradients */
} step;

static cohort_value mean_loss(cohort_graph *graph, const cohort_choice *loss_choice, const cohort_head_outputs *head,
                              cohort_value targets, int64_t count) {
  const cohort_loss *loss = loss_choice->method->functions;
  const cohort_value rows = loss->build_head(loss_choice->config, graph, head, targets);
  return cohort_graph_scale(graph, cohort_graph_sum_all(graph, rows), 1 / (double)count);
}

static step make_step(const golden_case *c, cohort_variant variant, const cohort_arrays *arrays) {
  cohort_choice choice, loss;
  cohort_document *settings = fixture_choose(variant, "model", "gpt", c->settings, &choice);
  cohort_document *loss_settings = fixture_choose(variant, "loss", "cross_entropy", "", &loss);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  CU_ASSERT_PTR_NOT_NULL_FATAL(loss.method);
  const cohort_array *targets = golden_find(arrays, c->prefix, "targets");
  const int64_t rows = cohort_array_elements(targets);
  int64_t count = 0;
  for (int64_t i = 0; i < rows; i++) count += cohort_array_get(targets, i) >= 0;
  step s = {.graph = cohort_graph_create()};
  const cohort_model_inputs inputs = golden_token_inputs(s.graph, rows);
  const cohort_model_data data = {.outputs = VOCABULARY};
  const cohort_model *model = choice.method->functions;
  const cohort_model_outputs outputs = model->build(choice.config, s.graph, &data, &inputs);
  const cohort_value wanted = golden_integers(s.graph, "targets", rows);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(s.graph, outputs.hidden, outputs.head, wanted);
  s.output[0] = mean_loss(s.graph, &loss, &head, wanted, count);
  s.output[1] = head.log_probability;
  CU_ASSERT_FATAL(cohort_graph_parameters(s.graph) <= MAX_TENSORS);
  s.tensors = golden_gradients(s.graph, s.output[0], &s.output[2]);
  cohort_choice_release(&choice);
  cohort_choice_release(&loss);
  cohort_document_destroy(settings);
  cohort_document_destroy(loss_settings);
  return s;
}

/* One step of AdamW from zero state, in place on the run's own copy of the tensor. */
static void adamw(const cohort_choice *choice, const golden_run *run, cohort_variant variant, cohort_value tensor,
                  cohort_shape shape, const void *gradient) {
  const cohort_optimizer *optimizer = choice->method->functions;
  const int64_t elements = cohort_shape_elements(shape);
  const cohort_team team = {.threads = 1};
  cohort_update update = {.config = choice->config,
                          .step = 1,
                          .gradient_scale = 1,
                          .shape = shape,
                          .elements = elements,
                          .parameters = run->memory[tensor],
                          .gradient = gradient,
                          .kernels = golden_kernels(variant),
                          .team = &team};
  update.learning_rate = cohort_choice_real(choice, "learning_rate", 0);
  update.weight_decay = cohort_choice_real(choice, "weight_decay", 0);
  for (int i = 0; i < 2; i++) update.state[i] = cohort_allocate((size_t)elements * sizeof(double));
  optimizer->update(&update);
  for (int i = 0; i < 2; i++) free(update.state[i]);
}

static void check_step(const golden_case *c, cohort_variant variant, const cohort_arrays *arrays) {
  step s = make_step(c, variant, arrays);
  golden_run run;
  golden_run_create(&run, s.graph, variant, 2 + s.tensors, s.output);
  golden_bind_all(&run, s.graph, arrays, c->prefix);
  golden_execute(&run);
  const double loss = golden_number(arrays, c->prefix, "loss");
  CU_ASSERT_DOUBLE_EQUAL(fixture_get(golden_output(&run, 0), 0, run.real_size), loss, 1e-5);
  golden_compare(c->prefix, golden_find(arrays, c->prefix, "log_probability"), golden_output(&run, 1), run.real_size,
                 1e-5, 0);
  char prefix[64];
  snprintf(prefix, sizeof prefix, "%sgradients/", c->prefix);
  /* GPT-2's key biases have a gradient of 0; in float32 they get the rounding of the other tensors, about 1e-8 of the
   * whole */
  const double floor = 1e-3 * golden_norm_of_all(arrays, prefix);
  cohort_choice choice;
  cohort_document *settings = fixture_choose(variant, "optimizer", "adamw", adamw_settings, &choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  for (int i = 0; i < s.tensors; i++) {
    cohort_value value;
    const cohort_parameter_tensor *tensor = cohort_graph_parameter_at(s.graph, i, &value);
    const void *gradient = golden_output(&run, 2 + i);
    snprintf(prefix, sizeof prefix, "%sgradients/", c->prefix);
    golden_compare(c->prefix, golden_find(arrays, prefix, tensor->name), gradient, run.real_size, 1e-4, floor);
    adamw(&choice, &run, variant, value, tensor->shape, gradient);
    snprintf(prefix, sizeof prefix, "%supdated/", c->prefix);
    golden_compare(c->prefix, golden_find(arrays, prefix, tensor->name), run.memory[value], run.real_size, 1e-4, 0);
  }
  cohort_choice_release(&choice);
  cohort_document_destroy(settings);
  golden_run_release(&run);
  cohort_graph_destroy(s.graph);
}

/* Every array of the golden has a tensor of ours. */
static void check_complete(const golden_case *c, const cohort_arrays *arrays) {
  step s = make_step(c, COHORT_VARIANT_F64, arrays);
  char prefix[64];
  snprintf(prefix, sizeof prefix, "%sparameters/", c->prefix);
  int recorded = 0;
  for (int i = 0; i < arrays->count; i++) recorded += strncmp(arrays->items[i].name, prefix, strlen(prefix)) == 0;
  CU_ASSERT_EQUAL(recorded, s.tensors);
  cohort_graph_destroy(s.graph);
}

static void steps(void) {
  cohort_arrays arrays;
  golden_read("gpt_step.h5", &arrays);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_complete(&cases[i], &arrays);
    for (cohort_variant variant = 0; variant < COHORT_VARIANTS; variant++)
      if (fixture_runs(variant)) check_step(&cases[i], variant, &arrays);
  }
  cohort_arrays_release(&arrays);
}

static const check checks[] = {{"a step equals transformers and torch", steps}};

int main(void) { return check_run("model_golden", checks, sizeof checks / sizeof *checks); }
