/* AUCM (Yuan et al., 2021): the area under the ROC curve with a margin, as a min-max problem over the model, two means
 * and a multiplier that ascends. Invariant: at its saddle point a and b are the classes' mean scores. Costs one
 * exchange of two numbers: the batch's share of positives. */
#include "method/loss/loss.h"

typedef struct aucm_config {
  double margin;
} aucm_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_RANGE(aucm_config, margin, "1", 0, false, INFINITY, true,
                      "by how much positives are to be scored above negatives", .sweep_low = 0.1, .sweep_high = 1),
    {.name = NULL},
};

enum { MEAN_OF_POSITIVES, MEAN_OF_NEGATIVES, MULTIPLIER };

static const cohort_loss_parameter own_parameters[] = {
    [MEAN_OF_POSITIVES] = {.name = "a", .meaning = "mean score of the positives"},
    [MEAN_OF_NEGATIVES] = {.name = "b", .meaning = "mean score of the negatives"},
    [MULTIPLIER] =
        {.name = "alpha", .ascends = true, .bounded = true, .minimum = 0, .meaning = "multiplier of the margin"},
    {.name = NULL},
};

static cohort_value one_minus(cohort_graph *graph, cohort_value x) {
  return cohort_graph_shift(graph, cohort_graph_scale(graph, x, -1), 1);
}

/* factor (score - mean)^2 where `is` is 1. */
static cohort_value spread(cohort_graph *graph, cohort_value factor, cohort_value score, cohort_value mean,
                           cohort_value is) {
  const cohort_value off = cohort_graph_subtract(graph, score, mean);
  const cohort_value square = cohort_graph_multiply(graph, cohort_graph_multiply(graph, off, off), is);
  return cohort_graph_multiply(graph, square, factor);
}

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const aucm_config *settings = config;
  const cohort_value *own = fields->parameter;
  const cohort_value score = cohort_loss_positive(graph, fields), positive = cohort_loss_is_positive(graph, fields);
  const cohort_value negative = one_minus(graph, positive), one = cohort_graph_constant(graph, 1);
  const cohort_value rows =
      cohort_loss_batch_sum(graph, fields, cohort_graph_broadcast(graph, one, COHORT_SHAPE(fields->rows)));
  const cohort_value share = cohort_graph_divide(graph, cohort_loss_batch_sum(graph, fields, positive), rows);
  const cohort_value rest = one_minus(graph, share), both = cohort_graph_multiply(graph, share, rest);
  const cohort_value squares = cohort_graph_add(graph, spread(graph, rest, score, own[MEAN_OF_POSITIVES], positive),
                                                spread(graph, share, score, own[MEAN_OF_NEGATIVES], negative));
  /* r h of negatives - (1 - r) h of positives */
  const cohort_value order =
      cohort_graph_multiply(graph, score,
                            cohort_graph_subtract(graph, cohort_graph_multiply(graph, negative, share),
                                                  cohort_graph_multiply(graph, positive, rest)));
  const cohort_value slack = cohort_graph_add(graph, cohort_graph_scale(graph, both, settings->margin), order);
  const cohort_value multiplier = own[MULTIPLIER];
  const cohort_value pull = cohort_graph_multiply(graph, cohort_graph_scale(graph, multiplier, 2), slack);
  const cohort_value penalty = cohort_graph_multiply(graph, both, cohort_graph_multiply(graph, multiplier, multiplier));
  return (cohort_loss_outputs){.loss = cohort_graph_subtract(graph, cohort_graph_add(graph, squares, pull), penalty)};
}

static const cohort_loss functions = {.target = COHORT_TARGET_CLASS, .build = build, .parameters = own_parameters};

static const cohort_method aucm = {
    .family = "loss",
    .key = "aucm",
    .summary = "area under the ROC curve with a margin, as a min-max problem with parameters of its own",
    .title =
        "Large-scale Robust Deep AUC Maximization: A New Surrogate Loss and Empirical Studies on Medical Image "
        "Classification",
    .source = "Yuan et al., Large-scale Robust Deep AUC Maximization, ICCV 2021, equation 5; as LibAUC's AUCMLoss v1",
    .formula =
        "h = sigmoid(z_1 - z_0), r the share of positives; (1 - r)(h - a)^2 [y=1] + r (h - b)^2 [y=0] + 2 alpha (r "
        "(1 - r) margin + r h [y=0] - (1 - r) h [y=1]) - r (1 - r) alpha^2; min over the model, a, b, max over "
        "alpha >= 0",
    .config_size = sizeof(aucm_config),
    .parameters = parameters,
    .needs = COHORT_LOSS_COUPLED | COHORT_LOSS_BINARY,
    .functions = &functions,
};

const cohort_method *const cohort_loss_aucm[] = {&aucm, NULL};
