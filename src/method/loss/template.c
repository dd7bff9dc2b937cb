/* A complete loss of a row to start from: copy this file to src/method/loss/NAME.c, build, and NAME is a method like
 * any other: in `cohort methods loss`, in `cohort probe loss NAME`, in configs, and under the contract tests. As it
 * stands it is a smooth absolute error: the mean over a row of scale (sqrt(1 + (d / scale)^2) - 1), d = input - target.
 *
 * A loss is a graph, written once: gradients, Hessian products and types follow from it. Every row has a loss of its
 * own; weights, the count that it is divided by, lanes and ranks are the task's. */
#include "method/loss/loss.h"

typedef struct own_config {
  double scale;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(own_config, scale, "1", 0, "the error at which it begins to grow linearly"),
    {.name = NULL},
};

/* The fields that it reads: outputs and targets, [rows, columns]; it gives [rows]. What else there is, loss.h says:
 * groups, the model again, sums over the batch, state, parameters of its own. */
static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const double scale = ((const own_config *)config)->scale;
  const cohort_shape shape = cohort_graph_shape(graph, fields->output);
  const cohort_value error =
      cohort_graph_scale(graph, cohort_graph_subtract(graph, fields->output, fields->target), 1 / scale);
  const cohort_value square = cohort_graph_shift(graph, cohort_graph_multiply(graph, error, error), 1);
  const cohort_value root = cohort_graph_shift(graph, cohort_graph_unary(graph, COHORT_OP_SQUARE_ROOT, square), -1);
  const cohort_value rows =
      cohort_graph_reshape(graph, cohort_graph_sum(graph, root, 1u << 1), COHORT_SHAPE(cohort_shape_rows(shape)));
  return (cohort_loss_outputs){.loss = cohort_graph_scale(graph, rows, scale / (double)cohort_shape_columns(shape))};
}

static const cohort_loss functions = {.target = COHORT_TARGET_REAL, .build = build};

static const cohort_method method = {
    .family = "loss",
    .key = COHORT_FILE_KEY,
    .summary = "smooth absolute error, averaged over the outputs of a sample (a template)",
    .source = "the template of the family loss",
    .formula = "mean over outputs of scale (sqrt(1 + (d / scale)^2) - 1), d = input - target",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .functions = &functions,
};

COHORT_METHOD_FILE(loss, COHORT_FILE) = {&method, NULL};
