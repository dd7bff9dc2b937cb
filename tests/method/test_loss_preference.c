/* What the papers promise of the losses: closed forms and special cases that coincide. */
#include "contract/graph_check.h"
#include "contract/method_fixture.h"
#include "method/loss/loss.h"
#include "method/preference/preference.h"

enum { ROWS = 4, CLASSES = 5 };

static const int32_t targets[ROWS] = {3, 0, 4, 3};

typedef struct loss_values {
  double loss[ROWS], gradient[ROWS * CLASSES];
} loss_values;

/* The loss's rows and the gradient of their sum at the given logits. */
static loss_values evaluate_loss(const char *key, const char *settings, const double *logits) {
  loss_values out = {{0}, {0}};
  cohort_choice choice;
  cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "loss", key, settings, &choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  cohort_graph *graph = cohort_graph_create();
  const cohort_value input = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS, CLASSES));
  const cohort_value target = cohort_graph_input(graph, "target", COHORT_TYPE_INTEGER, COHORT_SHAPE(ROWS));
  cohort_value outputs[2] = {cohort_loss_rows(choice.method, choice.config, graph, input, target)};
  graph_subject subject = graph_subject_create(graph, cohort_graph_sum_all(graph, outputs[0]));
  cohort_graph_gradient(graph, subject.loss, COHORT_NO_VALUE, 1, &input, &outputs[1]);
  graph_set_integers(&subject, "target", targets);
  memcpy(graph_subject_input(&subject, "input"), logits, sizeof out.gradient);
  graph_runner runner;
  if (graph_runner_create(&runner, graph, &subject, NULL, 2, outputs)) {
    graph_run(&runner);
    memcpy(out.loss, graph_output(&runner, 0), sizeof out.loss);
    memcpy(out.gradient, graph_output(&runner, 1), sizeof out.gradient);
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  return out;
}

/* Squentropy's gradient is softmax - onehot, plus 2 z_j/(C - 1) on the wrong classes. */
static void squentropy_gradient(void) {
  double logits[ROWS * CLASSES];
  for (int i = 0; i < ROWS * CLASSES; i++) logits[i] = 2 * graph_random(1, i);
  const loss_values found = evaluate_loss("squentropy", "", logits);
  for (int row = 0; row < ROWS; row++) {
    const double *z = logits + row * CLASSES;
    double sum = 0, squares = 0;
    for (int c = 0; c < CLASSES; c++) sum += exp(z[c]);
    for (int c = 0; c < CLASSES; c++) {
      const bool right = c == targets[row];
      const double expected = exp(z[c]) / sum - right + (right ? 0 : 2 * z[c] / (CLASSES - 1));
      if (!right) squares += z[c] * z[c];
      CU_ASSERT_DOUBLE_EQUAL(found.gradient[row * CLASSES + c], expected, 1e-12);
    }
    CU_ASSERT_DOUBLE_EQUAL(found.loss[row], log(sum) - z[targets[row]] + squares / (CLASSES - 1), 1e-12);
  }
}

/* It is cross-entropy where the wrong classes' logits are 0. */
static void squentropy_is_cross_entropy(void) {
  double logits[ROWS * CLASSES] = {0};
  for (int row = 0; row < ROWS; row++) logits[row * CLASSES + targets[row]] = graph_random(2, row);
  const loss_values a = evaluate_loss("squentropy", "", logits), b = evaluate_loss("cross_entropy", "", logits);
  for (int i = 0; i < ROWS; i++) CU_ASSERT_DOUBLE_EQUAL(a.loss[i], b.loss[i], 1e-14);
  for (int i = 0; i < ROWS * CLASSES; i++) CU_ASSERT_DOUBLE_EQUAL(a.gradient[i], b.gradient[i], 1e-14);
}

/* Label smoothing is cross-entropy against (1 - s) onehot + s/C. */
static void label_smoothing(void) {
  double logits[ROWS * CLASSES];
  for (int i = 0; i < ROWS * CLASSES; i++) logits[i] = 2 * graph_random(3, i);
  const double s = 0.3;
  const loss_values found = evaluate_loss("cross_entropy", "label_smoothing=0.3", logits);
  for (int row = 0; row < ROWS; row++) {
    const double *z = logits + row * CLASSES;
    double sum = 0, expected = 0;
    for (int c = 0; c < CLASSES; c++) sum += exp(z[c]);
    for (int c = 0; c < CLASSES; c++) expected -= ((1 - s) * (c == targets[row]) + s / CLASSES) * (z[c] - log(sum));
    CU_ASSERT_DOUBLE_EQUAL(found.loss[row], expected, 1e-12);
  }
}

typedef struct pair {
  double policy_chosen, policy_rejected, reference_chosen, reference_rejected, length_chosen, length_rejected;
} pair;

/* The loss of one pair. */
static double evaluate_pair(const char *key, const char *settings, pair at) {
  const double policy[2] = {at.policy_chosen, at.policy_rejected};
  const double reference[2] = {at.reference_chosen, at.reference_rejected};
  const double length[2] = {at.length_chosen, at.length_rejected};
  cohort_choice choice;
  cohort_document *document = fixture_choose(COHORT_VARIANT_F64, "preference", key, settings, &choice);
  CU_ASSERT_PTR_NOT_NULL_FATAL(choice.method);
  cohort_graph *graph = cohort_graph_create();
  const cohort_shape both = COHORT_SHAPE(2);
  const cohort_preference_fields fields = {
      .samples = 1,
      .completions = 2,
      .policy = cohort_graph_input(graph, "policy", COHORT_TYPE_REAL, both),
      .reference = cohort_graph_input(graph, "reference", COHORT_TYPE_REAL, both),
      .length = cohort_graph_input(graph, "length", COHORT_TYPE_REAL, both),
      .weight = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1), COHORT_SHAPE(1)),
      .token_share = cohort_graph_constant(graph, 0.25)};
  const cohort_preference_outputs outputs = cohort_preference_build(choice.method, choice.config, graph, &fields);
  const cohort_value loss = cohort_preference_objective(graph, &fields, &outputs);
  graph_subject subject = graph_subject_create(graph, loss);
  memcpy(graph_subject_input(&subject, "policy"), policy, sizeof policy);
  memcpy(graph_subject_input(&subject, "reference"), reference, sizeof reference);
  memcpy(graph_subject_input(&subject, "length"), length, sizeof length);
  graph_runner runner;
  double out = NAN;
  if (graph_runner_create(&runner, graph, &subject, NULL, 1, &loss)) out = graph_loss(&runner);
  graph_runner_release(&runner);
  graph_subject_release(&subject);
  cohort_choice_release(&choice);
  cohort_document_destroy(document);
  return out;
}

/* A policy that is its reference has loss log 2; only differences to the reference count. */
static void dpo_at_the_reference(void) {
  const pair same = {-7, -9, -7, -9, 3, 4}, apart = {-7, -9, -8, -6, 3, 4}, moved = {-17, -4, -18, -1, 9, 1};
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("dpo", "beta=0.5", same), log(2), 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("dpo", "beta=0.5 label_smoothing=0.2", same), log(2), 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("dpo", "beta=0.5", apart), log1p(exp(-0.5 * (1 + 3))), 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("dpo", "beta=0.5", apart), evaluate_pair("dpo", "beta=0.5", moved), 1e-14);
}

/* SimPO with gamma 0 and equal lengths is DPO with a uniform reference and beta/length. */
static void simpo_is_dpo(void) {
  const pair at = {-7, -9, -5, -5, 4, 4};
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("simpo", "beta=2 gamma=0", at), evaluate_pair("dpo", "beta=0.5", at), 1e-14);
  const pair unequal = {-7, -9, 0, 0, 2, 6};
  const double margin = 2 * (-7.0 / 2 + 9.0 / 6) - 0.8;
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("simpo", "beta=2 gamma=0.8", unequal), log1p(exp(-margin)), 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("simpo", "beta=2 gamma=0.8 form=hinge", unequal), fmax(0, 1 - margin), 1e-12);
}

/* IPO's loss is 0 where the margin of means is 1 / (2 beta), and 1 / (4 beta^2) at the reference. */
static void ipo_regresses(void) {
  const pair same = {-7, -9, -7, -9, 3, 4}, there = {-4, -12, -7, -8, 3, 4};
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("ipo", "beta=0.25", same), 4, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("ipo", "beta=0.25", there), 0, 1e-12);
}

/* ORPO of two completions alike is the likelihood and beta log 2; odds 3 against 1/3 give log(1 + 1/9). */
static void orpo_in_closed_form(void) {
  const pair alike = {-6, -9, 0, 0, 2, 3}, odds = {log(0.75), log(0.25), 0, 0, 1, 1};
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("orpo", "beta=0.5", alike), 6 * 0.25 + 0.5 * log(2), 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(evaluate_pair("orpo", "beta=0.5", odds), -log(0.75) * 0.25 + 0.5 * log(1 + 1.0 / 9), 1e-12);
}

static const check checks[] = {{"ipo regresses the margin", ipo_regresses},
                               {"orpo in closed form", orpo_in_closed_form},
                               {"squentropy: gradient in closed form", squentropy_gradient},
                               {"squentropy is cross-entropy at wrong logits 0", squentropy_is_cross_entropy},
                               {"label smoothing in closed form", label_smoothing},
                               {"dpo at and near its reference", dpo_at_the_reference},
                               {"simpo without a margin is dpo", simpo_is_dpo}};

int main(void) { return check_run("loss_preference", checks, sizeof checks / sizeof *checks); }
