/* DPO and SimPO against TRL: golden/preference_KEY.h5, made by golden_preference.py with TRL's own trainers. For the
 * same weights and tokens log-probabilities, rewards, loss and gradients are equal. */
#include "method/golden_check.h"
#include "method/preference/preference.h"

enum { VOCABULARY = 29, MAX_TENSORS = 32, MAX_OUTPUTS = 5 + MAX_TENSORS };

static const char model_settings[] =
    "style=llama layers=2 width=16 heads=4 key_heads=2 feed_forward=40 context=12 tied=true";

typedef struct golden_case {
  cohort_arrays arrays;
  cohort_choice model, preference;
  cohort_document *model_document, *preference_document;
} golden_case;

/* The case of a file with the method's settings, some of them taken from the file. */
static void open_case(golden_case *c, const char *file, const char *key, const char *settings) {
  golden_read(file, &c->arrays);
  c->model_document = fixture_choose(COHORT_VARIANT_F64, "model", "gpt", model_settings, &c->model);
  c->preference_document = fixture_choose(COHORT_VARIANT_F64, "preference", key, settings, &c->preference);
  CU_ASSERT_PTR_NOT_NULL_FATAL(c->model.method);
  CU_ASSERT_PTR_NOT_NULL_FATAL(c->preference.method);
}

static void close_case(golden_case *c) {
  cohort_choice_release(&c->model);
  cohort_choice_release(&c->preference);
  cohort_document_destroy(c->model_document);
  cohort_document_destroy(c->preference_document);
  cohort_arrays_release(&c->arrays);
}

static cohort_value log_probabilities(const golden_case *c, cohort_graph *graph, cohort_model_inputs inputs,
                                      cohort_value targets, int space) {
  inputs.space = space;
  const cohort_model *model = c->model.method->functions;
  const cohort_model_data data = {.outputs = VOCABULARY};
  const cohort_model_outputs outputs = model->build(c->model.config, graph, &data, &inputs);
  return cohort_graph_vocabulary_head(graph, outputs.hidden, outputs.head, targets).log_probability;
}

/* Outputs: mean loss, mean rewards, log-probabilities by row of policy and (or again policy) reference, gradients. */
static int make_outputs(const golden_case *c, cohort_graph *graph, cohort_value *output) {
  const int64_t rows = cohort_array_elements(golden_find(&c->arrays, "", "targets"));
  const int64_t pairs = cohort_array_elements(golden_find(&c->arrays, "", "lengths")) / 2;
  const cohort_model_inputs inputs = golden_token_inputs(graph, rows);
  const cohort_value targets = golden_integers(graph, "targets", rows);
  const cohort_value lengths = cohort_graph_input(graph, "lengths", COHORT_TYPE_REAL, COHORT_SHAPE(2 * pairs));
  output[3] = output[4] = log_probabilities(c, graph, inputs, targets, 0);
  const cohort_value policy = cohort_graph_segment_sum(graph, output[3], inputs.segments, 2 * pairs);
  cohort_preference_fields fields = {.samples = pairs, .completions = 2 * pairs, .policy = policy, .length = lengths};
  fields.weight = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1), COHORT_SHAPE(pairs));
  if (c->preference.method->needs & COHORT_NEEDS_REFERENCE) {
    output[4] = log_probabilities(c, graph, inputs, targets, 1);
    fields.reference =
        cohort_graph_stop_gradient(graph, cohort_graph_segment_sum(graph, output[4], inputs.segments, 2 * pairs));
  }
  const cohort_preference_outputs out =
      cohort_preference_build(c->preference.method, c->preference.config, graph, &fields);
  const cohort_value means[3] = {out.loss, cohort_preference_side(graph, out.reward, 0),
                                 cohort_preference_side(graph, out.reward, 1)};
  for (int i = 0; i < 3; i++)
    output[i] = cohort_graph_scale(graph, cohort_graph_sum_all(graph, means[i]), 1 / (double)pairs);
  CU_ASSERT_FATAL(cohort_graph_parameters(graph) <= 2 * MAX_TENSORS);
  return golden_gradients(graph, output[0], &output[5]);
}

static void check_variant(const golden_case *c, cohort_variant variant) {
  const char *label = c->preference.method->key;
  const bool has_reference = c->preference.method->needs & COHORT_NEEDS_REFERENCE;
  cohort_graph *graph = cohort_graph_create();
  cohort_value output[MAX_OUTPUTS];
  const int tensors = make_outputs(c, graph, output);
  golden_run run;
  golden_run_create(&run, graph, variant, 5 + tensors, output);
  golden_bind_all(&run, graph, &c->arrays, "");
  golden_execute(&run);
  double found[3];
  for (int i = 0; i < 3; i++) found[i] = fixture_get(golden_output(&run, i), 0, run.real_size);
  const cohort_array *rewards = golden_find(&c->arrays, "", "mean_rewards");
  CU_ASSERT_DOUBLE_EQUAL(found[0], golden_number(&c->arrays, "", "loss"), 1e-5);
  for (int i = 0; i < 2; i++) CU_ASSERT_DOUBLE_EQUAL(found[1 + i], cohort_array_get(rewards, i), 1e-5);
  golden_compare(label, golden_find(&c->arrays, "", "log_probability"), golden_output(&run, 3), run.real_size, 1e-5, 0);
  golden_compare(label, golden_find(&c->arrays, "", has_reference ? "reference_log_probability" : "log_probability"),
                 golden_output(&run, 4), run.real_size, 1e-5, 0);
  for (int i = 0; i < tensors; i++) {
    cohort_value value;
    const char *name = cohort_graph_parameter_at(graph, i, &value)->name;
    golden_compare(label, golden_find(&c->arrays, "gradients/", name), golden_output(&run, 5 + i), run.real_size, 1e-5,
                   0);
  }
  golden_run_release(&run);
  cohort_graph_destroy(graph);
}

static void check_file(const char *file, const char *key, const char *settings) {
  golden_case c;
  open_case(&c, file, key, settings);
  for (cohort_variant variant = 0; variant < COHORT_VARIANTS; variant++)
    if (fixture_runs(variant)) check_variant(&c, variant);
  close_case(&c);
}

static void dpo(void) { check_file("preference_dpo.h5", "dpo", "beta=0.3"); }

static void simpo(void) { check_file("preference_simpo.h5", "simpo", "beta=2 gamma=1.1 label_smoothing=0.1"); }

/* Losses of given sums of log-probabilities, pair by pair, and their gradients: recorded under `prefix`. */
static void check_sums(const char *file, const char *key, const char *settings, const char *prefix) {
  static const char *const names[6] = {"policy_chosen",      "policy_rejected", "reference_chosen",
                                       "reference_rejected", "length_chosen",   "length_rejected"};
  golden_case c;
  open_case(&c, file, key, settings);
  const int64_t pairs = cohort_array_elements(golden_find(&c.arrays, prefix, "loss"));
  cohort_graph *graph = cohort_graph_create();
  cohort_value both[3] = {COHORT_NO_VALUE, COHORT_NO_VALUE, COHORT_NO_VALUE}, side[6];
  for (int i = 0; i < 6; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, names[i]);
    side[i] = cohort_arrays_find(&c.arrays, name)
                  ? cohort_graph_input(graph, names[i], COHORT_TYPE_REAL, COHORT_SHAPE(pairs))
                  : COHORT_NO_VALUE;
  }
  for (int i = 0; i < 3; i++) {
    if (side[2 * i] == COHORT_NO_VALUE) continue;
    const cohort_value part[2] = {cohort_graph_reshape(graph, side[2 * i], COHORT_SHAPE(pairs, 1)),
                                  cohort_graph_reshape(graph, side[2 * i + 1], COHORT_SHAPE(pairs, 1))};
    both[i] = cohort_graph_reshape(graph, cohort_graph_concat(graph, 1, 2, part), COHORT_SHAPE(2 * pairs));
  }
  const cohort_preference_fields fields = {
      .samples = pairs, .completions = 2 * pairs, .policy = both[0], .reference = both[1], .length = both[2]};
  cohort_value output[3] = {cohort_preference_build(c.preference.method, c.preference.config, graph, &fields).loss};
  cohort_graph_gradient(graph, cohort_graph_sum_all(graph, output[0]), COHORT_NO_VALUE, 2, side, &output[1]);
  golden_run run;
  golden_run_create(&run, graph, COHORT_VARIANT_F64, 3, output);
  golden_bind_all(&run, graph, &c.arrays, prefix);
  golden_execute(&run);
  static const char *const wanted[3] = {"loss", "gradient_chosen", "gradient_rejected"};
  for (int i = 0; i < 3; i++)
    golden_compare(key, golden_find(&c.arrays, prefix, wanted[i]), golden_output(&run, i), run.real_size, 1e-7, 0);
  golden_run_release(&run);
  cohort_graph_destroy(graph);
  close_case(&c);
}

static void smoothed_dpo(void) { check_sums("preference_dpo.h5", "dpo", "beta=0.3 label_smoothing=0.1", "smoothed/"); }

static void hinge_simpo(void) { check_sums("preference_simpo.h5", "simpo", "beta=2 gamma=1.1 form=hinge", "hinge/"); }

static const check checks[] = {{"DPO equals TRL's DPOTrainer", dpo},
                               {"SimPO equals TRL's CPOTrainer", simpo},
                               {"DPO with label smoothing", smoothed_dpo},
                               {"SimPO's hinge form", hinge_simpo}};

int main(void) { return check_run("preference_golden", checks, sizeof checks / sizeof *checks); }
