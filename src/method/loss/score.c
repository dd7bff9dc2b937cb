/* SCORE (Pang et al., 2022): squared errors of the probabilities, at a sample and at the point near it where they
 * change most. The point is sought by projected gradient steps: the model is asked again at every one. Invariant: the
 * point is a constant of the loss's gradient. Costs `iterations` forward and backward passes to the features more. */
#include "graph/gradient.h"
#include "method/loss/loss.h"

typedef struct score_config {
  double radius, step, beta, label_smoothing;
  int64_t iterations;
} score_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(score_config, radius, COHORT_PARAMETER_REAL), .standard = "0.031", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true, .meaning = "how far a feature may be moved; features lie in [0, 1]", .sweep_low = 0.01,
     .sweep_high = 0.3},
    COHORT_REAL_ATLEAST(score_config, step, "0.007", 0, "how far one iteration moves a feature"),
    COHORT_INTEGER_RANGE(score_config, iterations, "10", 0, 100, "steps of the search"),
    COHORT_REAL_ATLEAST(score_config, beta, "4", 0, "weight of the change between both points"),
    COHORT_REAL_UNIT(score_config, label_smoothing, "0", "share of the target that goes to the other classes"),
    {.name = NULL},
};

/* Numerator over its sum: the probabilities of a row. */
static cohort_value softmax(cohort_graph *graph, cohort_value logits) {
  const cohort_value log = cohort_graph_subtract(graph, logits, cohort_graph_logsumexp(graph, logits));
  return cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, log);
}

static cohort_value squares(cohort_graph *graph, cohort_value a, cohort_value b, int64_t rows) {
  const cohort_value off = cohort_graph_subtract(graph, a, b);
  const cohort_value sum = cohort_graph_sum(graph, cohort_graph_multiply(graph, off, off), 1u << 1);
  return cohort_graph_reshape(graph, sum, COHORT_SHAPE(rows));
}

/* x' into [low, high] of each feature, and into [0, 1]. */
static cohort_value cut(cohort_graph *graph, cohort_value x, cohort_value low, cohort_value high) {
  x = cohort_graph_binary(graph, COHORT_OP_MINIMUM, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, x, low), high);
  return cohort_graph_binary(graph, COHORT_OP_MINIMUM,
                             cohort_graph_binary(graph, COHORT_OP_MAXIMUM, x, cohort_graph_constant(graph, 0)),
                             cohort_graph_constant(graph, 1));
}

static cohort_value attack(const score_config *settings, cohort_graph *graph, const cohort_loss_fields *fields,
                           cohort_value probabilities) {
  const cohort_value x = fields->features, still = cohort_graph_stop_gradient(graph, probabilities);
  const cohort_value low = cohort_graph_shift(graph, x, -settings->radius),
                     high = cohort_graph_shift(graph, x, settings->radius);
  const cohort_value start = cohort_loss_draw(graph, fields, "start", cohort_graph_shape(graph, x));
  cohort_value moved =
      cut(graph, cohort_graph_add(graph, x, cohort_graph_scale(graph, start, settings->radius)), low, high);
  for (int64_t i = 0; i < settings->iterations; i++) {
    const cohort_value there = softmax(graph, cohort_loss_forward(graph, fields, moved));
    const cohort_value change = cohort_graph_sum_all(graph, squares(graph, there, still, fields->rows));
    cohort_value gradient = COHORT_NO_VALUE;
    cohort_graph_gradient(graph, change, COHORT_NO_VALUE, 1, &moved, &gradient);
    const cohort_value direction = cohort_graph_unary(graph, COHORT_OP_SIGN, gradient);
    moved = cut(graph, cohort_graph_add(graph, moved, cohort_graph_scale(graph, direction, settings->step)), low, high);
    moved = cohort_graph_stop_gradient(graph, moved);
  }
  return cohort_graph_stop_gradient(graph, moved);
}

/* 1 - s for the class, s / (C - 1) for each other one. */
static cohort_value smoothed(const score_config *settings, cohort_graph *graph, const cohort_loss_fields *fields,
                             int64_t classes) {
  const cohort_value column = cohort_graph_reshape(graph, fields->target, COHORT_SHAPE(fields->rows, 1));
  const cohort_value hot = cohort_graph_equal(graph, column, cohort_graph_iota(graph, classes));
  const double other = classes > 1 ? settings->label_smoothing / (double)(classes - 1) : 0;
  return cohort_graph_shift(graph, cohort_graph_scale(graph, hot, 1 - settings->label_smoothing - other), other);
}

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const score_config *settings = config;
  const int64_t classes = cohort_shape_columns(cohort_graph_shape(graph, fields->output));
  const cohort_value here = softmax(graph, fields->output);
  const cohort_value there = softmax(graph, cohort_loss_forward(graph, fields, attack(settings, graph, fields, here)));
  const cohort_value error = squares(graph, here, smoothed(settings, graph, fields, classes), fields->rows);
  const cohort_value change = cohort_graph_scale(graph, squares(graph, there, here, fields->rows), settings->beta);
  return (cohort_loss_outputs){.loss = cohort_graph_add(graph, error, change)};
}

static const cohort_loss functions = {.target = COHORT_TARGET_CLASS, .build = build};

static const cohort_method score = {
    .family = "loss",
    .key = "score",
    .summary = "adversarial training on squared errors of probabilities: the model is asked again at the worst point",
    .title = "Robustness and Accuracy Could Be Reconcilable by (Proper) Definition",
    .source =
        "Pang et al., Robustness and Accuracy Could Be Reconcilable by (Proper) Definition, ICML 2022, section 4; as "
        "the authors' trades_loss_LSE",
    .formula =
        "p = softmax(f(x)); x' = x + radius u, u uniform in [-1, 1], then iterations times x' += step sign(d/dx' "
        "|p(x') - p(x)|^2), cut to radius around x and to [0, 1]; |p(x) - y|^2 + beta |p(x') - p(x)|^2, y with "
        "1 - label_smoothing for the class",
    .config_size = sizeof(score_config),
    .parameters = parameters,
    .needs = COHORT_LOSS_MODEL,
    .functions = &functions,
};

const cohort_method *const cohort_loss_score[] = {&score, NULL};
