/* The mean squared error, by row. */
#include "method/loss/loss.h"

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  (void)config;
  const cohort_shape shape = cohort_graph_shape(graph, fields->output);
  const cohort_value error = cohort_graph_subtract(graph, fields->output, fields->target);
  const cohort_value sum = cohort_graph_sum(graph, cohort_graph_multiply(graph, error, error), 1u << 1);
  const double columns = (double)cohort_shape_columns(shape);
  const cohort_value rows = cohort_graph_reshape(graph, sum, COHORT_SHAPE(cohort_shape_rows(shape)));
  return (cohort_loss_outputs){.loss = cohort_graph_scale(graph, rows, 1 / columns)};
}

static const cohort_loss functions = {.target = COHORT_TARGET_REAL, .build = build};

static const cohort_method mse = {
    .family = "loss",
    .key = "mse",
    .summary = "squared error, averaged over the outputs of a sample; classes become one-hot targets",
    .source = "folklore; as torch.nn.MSELoss",
    .formula = "mean_c (z_c - target_c)^2",
    .functions = &functions,
};

const cohort_method *const cohort_loss_mse[] = {&mse, NULL};
