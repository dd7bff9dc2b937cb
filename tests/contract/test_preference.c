/* Every preference loss: gradients and Hessian-vector products; its rewards order a pair as its loss does. */
#include "graph_check.h"
#include "method/preference/preference.h"
#include "variants.h"

enum { PAIRS = 6 };

static const variant_setting settings[] = {
    {NULL, "label_smoothing", "0.15"}, {NULL, "beta", "0.7"}, {NULL, "gamma", "0.4"}, {NULL, NULL, NULL}};

static const char *const names[6] = {"policy_chosen",      "policy_rejected", "reference_chosen",
                                     "reference_rejected", "length_chosen",   "length_rejected"};

static cohort_preference_inputs make_inputs(const cohort_method *method, cohort_graph *graph) {
  cohort_value value[6];
  for (int i = 0; i < 6; i++) {
    const bool reference = i == 2 || i == 3;
    value[i] = reference && !(method->needs & COHORT_NEEDS_REFERENCE)
                   ? COHORT_NO_VALUE
                   : cohort_graph_input(graph, names[i], COHORT_TYPE_REAL, COHORT_SHAPE(PAIRS));
  }
  return (cohort_preference_inputs){value[0], value[1], value[2], value[3], value[4], value[5]};
}

/* Log-probabilities of completions of 1 to 7 tokens. */
static void fill(const graph_subject *subject) {
  for (int i = 0; i < 6; i++) {
    double *data = graph_subject_input(subject, names[i]);
    for (int64_t p = 0; data && p < PAIRS; p++) {
      const double length = (double)(1 + (3 * p + (i & 1)) % 7);
      data[p] = i >= 4 ? length : -length * (1.5 + 0.3 * graph_random(300 + (uint64_t)i, p));
    }
  }
}

static void check_gradients(const cohort_choice *choice, const char *label) {
  const cohort_preference *preference = choice->method->functions;
  cohort_graph *graph = cohort_graph_create();
  const cohort_preference_inputs inputs = make_inputs(choice->method, graph);
  const cohort_value weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(PAIRS));
  const cohort_preference_outputs outputs = preference->build(choice->config, graph, &inputs);
  cohort_value total = cohort_graph_multiply(graph, outputs.loss, weight);
  CU_ASSERT_EQUAL(cohort_shape_elements(cohort_graph_shape(graph, outputs.loss)), PAIRS);
  /* the rewards are outputs too: their slopes are checked along with the loss's */
  total = cohort_graph_add(graph, total, cohort_graph_scale(graph, outputs.reward_chosen, 0.1));
  total = cohort_graph_add(graph, total, cohort_graph_scale(graph, outputs.reward_rejected, 0.2));
  graph_subject subject = graph_subject_create(graph, cohort_graph_sum_all(graph, total));
  fill(&subject);
  graph_check_subject(label, &subject);
  graph_subject_release(&subject);
}

static void all_gradients(void) { CU_ASSERT(variants_run("preference", settings, check_gradients) > 0); }

/* A more probable chosen completion never raises the loss while the pair is not yet ordered, and raises its reward. */
static void check_direction(const cohort_choice *choice, const char *label) {
  const cohort_preference *preference = choice->method->functions;
  cohort_graph *graph = cohort_graph_create();
  const cohort_preference_inputs inputs = make_inputs(choice->method, graph);
  const cohort_preference_outputs outputs = preference->build(choice->config, graph, &inputs);
  graph_subject subject = graph_subject_create(graph, cohort_graph_sum_all(graph, outputs.loss));
  fill(&subject);
  for (int i = 0; i < PAIRS; i++) ((double *)graph_subject_input(&subject, "policy_chosen"))[i] -= 30;
  const cohort_value wrt[2] = {inputs.policy_chosen, inputs.policy_rejected};
  cohort_value wanted[4] = {outputs.reward_chosen, outputs.reward_rejected};
  cohort_graph_gradient(graph, subject.loss, COHORT_NO_VALUE, 2, wrt, &wanted[2]);
  graph_runner runner;
  if (graph_runner_create(&runner, graph, &subject, NULL, 4, wanted)) {
    graph_run(&runner);
    for (int i = 0; i < PAIRS; i++) {
      const bool right = graph_output(&runner, 0)[i] < graph_output(&runner, 1)[i] && graph_output(&runner, 2)[i] < 0 &&
                         graph_output(&runner, 3)[i] > 0;
      if (!right) fprintf(stderr, "\n  %s: pair %d\n", label, i);
      CU_ASSERT(right);
    }
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
}

static void directions(void) { CU_ASSERT(variants_run("preference", settings, check_direction) > 0); }

static const check checks[] = {{"gradients and Hessian-vector products", all_gradients},
                               {"slopes of pairs in the wrong order", directions}};

int main(void) { return check_run("preference", checks, sizeof checks / sizeof *checks); }
