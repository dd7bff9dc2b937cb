/* AnyLoss (Han et al., 2024): a measure of the confusion matrix as a loss. The rows' probabilities are pushed towards 0
 * and 1, their sums are the matrix of the batch. Invariant: one number of the batch, the same in every lane. Costs one
 * exchange of four numbers, and one of their cotangents. */
#include "method/loss/loss.h"

enum { METRIC_F, METRIC_GMEAN, METRIC_BALANCED };

typedef struct anyloss_config {
  int metric;
  double beta, amplify;
} anyloss_config;

static const char *const metrics[] = {"f", "gmean", "balanced", NULL};

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(anyloss_config, metric, COHORT_PARAMETER_CHOICE), .standard = "f", .choices = metrics,
     .meaning = "f: F-measure; gmean: sensitivity times specificity; balanced: the mean of both"},
    COHORT_REAL_RANGE(anyloss_config, beta, "1", 0, true, INFINITY, true, "f: weight of recall against precision"),
    {COHORT_FIELD(anyloss_config, amplify, COHORT_PARAMETER_REAL), .standard = "73", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "how steeply probabilities are pushed to 0 and 1",
     .sweep_low = 1, .sweep_high = 100, .sweep_log = true},
    {.name = NULL},
};

static cohort_value one_minus(cohort_graph *graph, cohort_value x) {
  return cohort_graph_shift(graph, cohort_graph_scale(graph, x, -1), 1);
}

/* Counts are whole: a class that the batch lacks divides by 1. */
static cohort_value at_least_one(cohort_graph *graph, cohort_value count) {
  return cohort_graph_binary(graph, COHORT_OP_MAXIMUM, count, cohort_graph_constant(graph, 1));
}

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const anyloss_config *settings = config;
  const cohort_shape column = COHORT_SHAPE(fields->rows, 1);
  const cohort_value centred = cohort_graph_shift(graph, cohort_loss_positive(graph, fields), -0.5);
  const cohort_value chosen =
      cohort_graph_unary(graph, COHORT_OP_SIGMOID, cohort_graph_scale(graph, centred, settings->amplify));
  const cohort_value positive = cohort_loss_is_positive(graph, fields);
  const cohort_value one = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 1), column);
  const cohort_value columns[4] = {cohort_graph_reshape(graph, cohort_graph_multiply(graph, chosen, positive), column),
                                   cohort_graph_reshape(graph, chosen, column),
                                   cohort_graph_reshape(graph, positive, column), one};
  const cohort_value sums = cohort_loss_batch_sum(graph, fields, cohort_graph_concat(graph, 1, 4, columns));
  cohort_value sum[4];
  for (int i = 0; i < 4; i++)
    sum[i] = cohort_graph_reshape(graph, cohort_graph_slice(graph, sums, 1, i, 1), COHORT_SCALAR_SHAPE);
  const cohort_value hits = sum[0], positives = sum[2], negatives = cohort_graph_subtract(graph, sum[3], sum[2]);
  cohort_value measure;
  if (settings->metric == METRIC_F) {
    const double square = settings->beta * settings->beta;
    const cohort_value all = cohort_graph_add(graph, cohort_graph_scale(graph, positives, square), sum[1]);
    measure = cohort_graph_divide(graph, cohort_graph_scale(graph, hits, 1 + square), all);
  } else {
    const cohort_value misses = cohort_graph_subtract(graph, sum[1], hits); /* negatives that were chosen */
    const cohort_value rejected = cohort_graph_subtract(graph, negatives, misses);
    const cohort_value sensitivity = cohort_graph_divide(graph, hits, at_least_one(graph, positives));
    const cohort_value specificity = cohort_graph_divide(graph, rejected, at_least_one(graph, negatives));
    measure = settings->metric == METRIC_GMEAN
                  ? cohort_graph_multiply(graph, sensitivity, specificity)
                  : cohort_graph_scale(graph, cohort_graph_add(graph, sensitivity, specificity), 0.5);
  }
  return (cohort_loss_outputs){.loss = one_minus(graph, measure)};
}

static const cohort_loss functions = {.target = COHORT_TARGET_CLASS, .build = build};

static const cohort_method anyloss = {
    .family = "loss",
    .key = "anyloss",
    .summary = "a measure of the confusion matrix as a loss: F-measure, geometric mean, balanced accuracy",
    .title = "AnyLoss: Transforming Classification Metrics into Loss Functions",
    .source =
        "Han, Moniz and Chawla, AnyLoss: Transforming Classification Metrics into Loss Functions, KDD 2024, "
        "equations 1 to 8; the geometric mean without its root, as in the authors' code",
    .formula =
        "p = sigmoid(z_1 - z_0); q = sigmoid(amplify (p - 1/2)); TP = sum y q, TN = sum (1 - y)(1 - q); f: 1 - (1 "
        "+ beta^2) TP / (beta^2 sum y + sum q); gmean: 1 - TP TN / (n_1 n_0); balanced: 1 - (TP / n_1 + TN / "
        "n_0) / 2",
    .config_size = sizeof(anyloss_config),
    .parameters = parameters,
    .needs = COHORT_LOSS_COUPLED | COHORT_LOSS_BATCH | COHORT_LOSS_BINARY,
    .functions = &functions,
};

const cohort_method *const cohort_loss_anyloss[] = {&anyloss, NULL};
