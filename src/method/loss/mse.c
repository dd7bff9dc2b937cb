/* The mean squared error, by row. */
#include <math.h>

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

/* The loss of C outputs is the negative log likelihood of a Gaussian around them of variance C / 2. */
static cohort_value sample(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  (void)config;
  const cohort_shape shape = cohort_graph_shape(graph, fields->output);
  const double deviation = sqrt((double)cohort_shape_columns(shape) / 2);
  const cohort_value normal = cohort_loss_random(graph, fields, COHORT_OP_RANDOM_NORMAL, "labels", shape);
  const cohort_value noise = cohort_graph_scale(graph, normal, deviation);
  return cohort_graph_stop_gradient(graph, cohort_graph_add(graph, fields->output, noise));
}

/* Between two such Gaussians: |z - z_before|^2 / (2 variance). */
static cohort_value divergence(const void *config, cohort_graph *graph, cohort_value output, cohort_value before) {
  cohort_loss_fields fields = cohort_loss_no_fields(cohort_shape_rows(cohort_graph_shape(graph, output)));
  fields.output = output;
  fields.target = before;
  return build(config, graph, &fields).loss;
}

static const cohort_loss functions = {
    .target = COHORT_TARGET_REAL, .build = build, .sample = sample, .divergence = divergence};

static const cohort_method mse = {
    .family = "loss",
    .key = "mse",
    .summary = "squared error, averaged over the outputs of a sample; classes become one-hot targets",
    .source = "folklore; as torch.nn.MSELoss",
    .formula = "mean_c (z_c - target_c)^2",
    .functions = &functions,
};

const cohort_method *const cohort_loss_mse[] = {&mse, NULL};
