/* Every loss: gradients and Hessian-vector products, ignored rows, and the form over the vocabulary head. */
#include "graph_check.h"
#include "method/loss/loss.h"
#include "variants.h"

enum { ROWS = 6, CLASSES = 7, WIDTH = 3, GROUPS = 3 };

static const int32_t targets[ROWS] = {2, 0, -1, 6, 3, 3}, of_two[ROWS] = {1, 0, -1, 1, 0, 0},
                     samples[ROWS] = {0, 0, -1, 1, 1, 2}, groups[ROWS] = {0, 2, 0, 2, 2, 0};

/* A weight that moves with the losses is a constant of the gradient, so it stays where differences are taken. */
static const variant_setting settings[] = {{NULL, "label_smoothing", "0.15"},
                                           {"groupdro", "groups", "3"},
                                           {"groupdro", "step", "0"},
                                           {"groupdro", "adjustment", "0.4"},
                                           {"anyloss", "amplify", "3"},
                                           {"score", "iterations", "2"},
                                           {NULL, NULL, NULL}};

static cohort_value target_input(cohort_graph *graph, const cohort_loss *loss) {
  if (loss->target != COHORT_TARGET_REAL)
    return cohort_graph_input(graph, "target", COHORT_TYPE_INTEGER, COHORT_SHAPE(ROWS));
  return cohort_graph_input(graph, "target", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS, CLASSES));
}

/* A linear model of constant features, for a loss that asks it again. */
typedef struct linear_model {
  cohort_value matrix;
} linear_model;

static cohort_value forward(void *argument, cohort_graph *graph, cohort_value features) {
  return cohort_graph_matmul(graph, features, ((const linear_model *)argument)->matrix, false, true);
}

static cohort_value constants(cohort_graph *graph, double step, cohort_shape shape) {
  const cohort_value numbers = cohort_graph_cast(graph, cohort_graph_iota(graph, cohort_shape_elements(shape)));
  return cohort_graph_reshape(
      graph,
      cohort_graph_unary(graph, COHORT_OP_SIGMOID,
                         cohort_graph_unary(graph, COHORT_OP_SINE, cohort_graph_scale(graph, numbers, step))),
      shape);
}

static cohort_value draw(void *argument, cohort_graph *graph, const char *name, cohort_shape shape) {
  (void)argument, (void)name;
  return constants(graph, 3, shape);
}

/* The fields of one lane of one batch; the row without a target has no weight. */
static cohort_loss_fields make_fields(const cohort_choice *choice, cohort_graph *graph, linear_model *linear,
                                      cohort_loss_model *model) {
  const cohort_loss *loss = choice->method->functions;
  const unsigned needs = choice->method->needs;
  const int64_t columns = needs & COHORT_LOSS_BINARY ? 2 : CLASSES;
  cohort_loss_fields fields = cohort_loss_no_fields(ROWS);
  if (needs & COHORT_LOSS_MODEL) {
    linear->matrix = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, COHORT_SHAPE(columns, WIDTH));
    fields.features = constants(graph, 1, COHORT_SHAPE(ROWS, WIDTH));
    *model = (cohort_loss_model){.argument = linear, .forward = forward, .draw = draw};
    fields.model = model;
    fields.output = forward(linear, graph, fields.features);
  } else {
    fields.output = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS, columns));
  }
  fields.target = target_input(graph, loss);
  const cohort_value there =
      loss->target == COHORT_TARGET_REAL
          ? cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1), COHORT_SHAPE(ROWS))
          : cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), cohort_graph_cast(graph, fields.target));
  const cohort_value given = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS));
  fields.weight = needs & COHORT_LOSS_COUPLED ? there : cohort_graph_multiply(graph, given, there);
  fields.lane = cohort_graph_constant(graph, 0);
  if (needs & COHORT_LOSS_GROUPS) {
    fields.group = cohort_graph_input(graph, "group", COHORT_TYPE_INTEGER, COHORT_SHAPE(ROWS));
    fields.counts = cohort_graph_shift(graph, constants(graph, 2, COHORT_SHAPE(GROUPS)), 3);
  }
  for (int i = 0; loss->parameters && loss->parameters[i].name; i++)
    fields.parameter[i] = cohort_graph_input(graph, loss->parameters[i].name, COHORT_TYPE_REAL, COHORT_SCALAR_SHAPE);
  for (int i = 0; choice->method->states && choice->method->states[i].name; i++) {
    const cohort_state *state = &choice->method->states[i];
    const int64_t numbers = state->size ? state->size(choice->config, COHORT_SHAPE(1)) : 1;
    fields.state[i] =
        cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1 / (double)numbers), COHORT_SHAPE(numbers));
  }
  return fields;
}

static void set_integers(const graph_subject *subject, const cohort_choice *choice) {
  const cohort_loss *loss = choice->method->functions;
  const bool binary = choice->method->needs & COHORT_LOSS_BINARY;
  graph_set_integers(subject, "target", loss->target == COHORT_TARGET_SAMPLE ? samples : binary ? of_two : targets);
  graph_set_integers(subject, "group", groups);
}

static void check_gradients(const cohort_choice *choice, const char *label) {
  cohort_graph *graph = cohort_graph_create();
  linear_model linear;
  cohort_loss_model model;
  const cohort_loss_fields fields = make_fields(choice, graph, &linear, &model);
  cohort_loss_outputs outputs;
  graph_subject subject =
      graph_subject_create(graph, cohort_loss_objective(choice->method, choice->config, graph, &fields, &outputs));
  const cohort_shape shape = cohort_graph_shape(graph, outputs.loss);
  CU_ASSERT_EQUAL(shape.axes, choice->method->needs & COHORT_LOSS_BATCH ? 0 : 1);
  CU_ASSERT(shape.axes == 0 || shape.size[0] == ROWS);
  for (int i = 0; choice->method->states && choice->method->states[i].name; i++)
    CU_ASSERT_EQUAL(cohort_shape_elements(cohort_graph_shape(graph, outputs.next[i])),
                    cohort_shape_elements(cohort_graph_shape(graph, fields.state[i])));
  set_integers(&subject, choice);
  graph_check_subject(label, &subject);
  graph_subject_release(&subject);
}

static void all_gradients(void) { CU_ASSERT(variants_run("loss", settings, check_gradients) > 0); }

/* A row's loss depends on that row alone, unless the method says otherwise, and is 0 without a slope when its target is
 * ignored. */
static void check_rows(const cohort_choice *choice, const char *label) {
  const cohort_loss *loss = choice->method->functions;
  if (choice->method->needs & (COHORT_LOSS_COUPLED | COHORT_LOSS_MODEL)) return;
  cohort_graph *graph = cohort_graph_create();
  const cohort_value input = cohort_graph_input(graph, "input", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS, CLASSES));
  const cohort_value rows = cohort_loss_rows(choice->method, choice->config, graph, input, target_input(graph, loss));
  graph_subject subject = graph_subject_create(graph, cohort_graph_sum_all(graph, rows));
  graph_set_integers(&subject, "target", targets);
  cohort_value outputs[2] = {rows, COHORT_NO_VALUE};
  cohort_graph_gradient(graph, subject.loss, COHORT_NO_VALUE, 1, &input, &outputs[1]);
  graph_runner runner;
  if (graph_runner_create(&runner, graph, &subject, NULL, 2, outputs)) {
    graph_run(&runner);
    double before[ROWS];
    memcpy(before, graph_output(&runner, 0), sizeof before);
    for (int row = 0; row < ROWS && loss->target == COHORT_TARGET_CLASS; row++) {
      if (targets[row] >= 0) continue;
      CU_ASSERT_EQUAL(before[row], 0);
      for (int c = 0; c < CLASSES; c++) CU_ASSERT_EQUAL(graph_output(&runner, 1)[row * CLASSES + c], 0);
    }
    double *data = graph_subject_input(&subject, "input");
    for (int c = 0; c < CLASSES; c++) data[CLASSES + c] += 0.5 * c;
    graph_run(&runner);
    for (int row = 0; row < ROWS; row++) {
      const bool same = graph_output(&runner, 0)[row] == before[row];
      if (same != (row != 1)) fprintf(stderr, "\n  %s: row %d\n", label, row);
      CU_ASSERT_EQUAL(same, row != 1);
    }
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
}

static void rows_are_apart(void) { CU_ASSERT(variants_run("loss", settings, check_rows) > 0); }

/* build_head over the vocabulary head equals build over its logits: values and gradients. */
static void check_head(const cohort_choice *choice, const char *label) {
  const cohort_loss *loss = choice->method->functions;
  if (!loss->build_head) return;
  cohort_graph *graph = cohort_graph_create();
  const cohort_value x = cohort_graph_input(graph, "x", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS, WIDTH));
  const cohort_value matrix = cohort_graph_input(graph, "matrix", COHORT_TYPE_REAL, COHORT_SHAPE(CLASSES, WIDTH));
  const cohort_value weight = cohort_graph_input(graph, "weight", COHORT_TYPE_REAL, COHORT_SHAPE(ROWS));
  const cohort_value target = target_input(graph, loss);
  const cohort_head_outputs head = cohort_graph_vocabulary_head(graph, x, matrix, target);
  const cohort_value by_head = loss->build_head(choice->config, graph, &head, target);
  const cohort_value logits = cohort_graph_matmul(graph, x, matrix, false, true);
  const cohort_value by_logits = cohort_loss_rows(choice->method, choice->config, graph, logits, target);
  const cohort_value wrt[2] = {x, matrix};
  cohort_value outputs[6] = {by_head, by_logits};
  const cohort_value sums[2] = {cohort_graph_sum_all(graph, cohort_graph_multiply(graph, by_head, weight)),
                                cohort_graph_sum_all(graph, cohort_graph_multiply(graph, by_logits, weight))};
  for (int i = 0; i < 2; i++) cohort_graph_gradient(graph, sums[i], COHORT_NO_VALUE, 2, wrt, &outputs[2 + 2 * i]);
  graph_subject subject = graph_subject_create(graph, sums[0]);
  graph_set_integers(&subject, "target", targets);
  const int64_t elements[3] = {ROWS, ROWS * WIDTH, CLASSES * WIDTH};
  const int pairs[3][2] = {{0, 1}, {2, 4}, {3, 5}};
  graph_runner runner;
  if (graph_runner_create(&runner, graph, &subject, NULL, 6, outputs)) {
    graph_run(&runner);
    for (int p = 0; p < 3; p++)
      for (int64_t e = 0; e < elements[p]; e++) {
        const double a = graph_output(&runner, pairs[p][0])[e], b = graph_output(&runner, pairs[p][1])[e];
        if (!(fabs(a - b) <= 1e-12 * fmax(1, fabs(b)))) fprintf(stderr, "\n  %s: %.15g and %.15g\n", label, a, b);
        CU_ASSERT(fabs(a - b) <= 1e-12 * fmax(1, fabs(b)));
      }
  }
  graph_runner_release(&runner);
  graph_subject_release(&subject);
}

static void head_equals_logits(void) { CU_ASSERT(variants_run("loss", settings, check_head) > 0); }

static const check checks[] = {{"gradients and Hessian-vector products", all_gradients},
                               {"rows are apart, ignored rows are 0", rows_are_apart},
                               {"the form over the vocabulary head", head_equals_logits}};

int main(void) { return check_run("loss", checks, sizeof checks / sizeof *checks); }
