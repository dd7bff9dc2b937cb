/* Squentropy (Hui, Belkin and Wright, 2023): cross entropy plus the mean square of the logits of wrong classes. */
#include "method/loss/loss.h"

/* sum over the wrong classes of z_j^2, [R]; 0 in rows without a target. The target's logit is taken out before the
 * square, not subtracted after it, so nothing cancels. */
static cohort_value wrong_squares(cohort_graph *graph, cohort_value logits, cohort_value target, int64_t rows,
                                  int64_t classes) {
  const cohort_value column = cohort_graph_reshape(graph, target, COHORT_SHAPE(rows, 1));
  const cohort_value is_target = cohort_graph_equal(graph, column, cohort_graph_iota(graph, classes));
  const cohort_value wrong = cohort_graph_select(graph, is_target, cohort_graph_constant(graph, 0), logits);
  const cohort_value sum = cohort_graph_sum(graph, cohort_graph_multiply(graph, wrong, wrong), 1u << 1);
  const cohort_value scored =
      cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), cohort_graph_cast(graph, target));
  return cohort_graph_multiply(graph, cohort_graph_reshape(graph, sum, COHORT_SHAPE(rows)), scored);
}

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  (void)config;
  const cohort_value input = fields->output, target = fields->target;
  const cohort_shape shape = cohort_graph_shape(graph, input);
  const int64_t rows = cohort_shape_rows(shape), classes = cohort_shape_columns(shape);
  const cohort_value cross_entropy = cohort_graph_softmax_cross_entropy(graph, input, target, 0);
  if (classes < 2) return (cohort_loss_outputs){.loss = cross_entropy}; /* no wrong class: the second sum is empty */
  const cohort_value squares = wrong_squares(graph, input, target, rows, classes);
  return (cohort_loss_outputs){
      .loss = cohort_graph_add(graph, cross_entropy, cohort_graph_scale(graph, squares, 1 / (double)(classes - 1)))};
}

static const cohort_loss functions = {.target = COHORT_TARGET_CLASS, .build = build};

static const cohort_method squentropy = {
    .family = "loss",
    .key = "squentropy",
    .summary = "cross-entropy plus the mean square of the wrong classes' logits",
    .title = "Cut your Losses with Squentropy",
    .source = "Hui, Belkin and Wright, Cut your Losses with Squentropy, ICML 2023, definition of the loss",
    .formula = "-log softmax(z)_y + 1/(C - 1) sum_{j != y} z_j^2",
    .functions = &functions,
};

const cohort_method *const cohort_loss_squentropy[] = {&squentropy, NULL};
