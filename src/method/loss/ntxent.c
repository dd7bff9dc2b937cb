/* NT-Xent (Chen et al., 2020; SimCLR): two views of a sample are to be nearer to each other than to all other rows of
 * the batch. Invariant: every row of every lane is a negative. Costs an exchange of the embeddings and one of their
 * cotangents; products of a lane's rows with the batch's. */
#include "method/loss/loss.h"

typedef struct ntxent_config {
  double temperature;
} ntxent_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(ntxent_config, temperature, COHORT_PARAMETER_REAL), .standard = "0.5", .minimum = 0,
     .minimum_open = true, .maximum = INFINITY, .maximum_open = true, .meaning = "divides the cosines",
     .sweep_low = 0.05, .sweep_high = 1, .sweep_log = true},
    {.name = NULL},
};

/* An embedding of no length stays where it is; so small a square is 0 to all others. */
static const double tiny = 1e-24;
/* In place of a row that is no negative. */
static const double never = -1e9;

static cohort_value unit_rows(cohort_graph *graph, cohort_value x) {
  const cohort_value square = cohort_graph_sum(graph, cohort_graph_multiply(graph, x, x), 1u << 1);
  const cohort_value bounded =
      cohort_graph_binary(graph, COHORT_OP_MAXIMUM, square, cohort_graph_constant(graph, tiny));
  return cohort_graph_multiply(graph, x, cohort_graph_unary(graph, COHORT_OP_RECIPROCAL_ROOT, bounded));
}

/* 1 where a row of the batch is this lane's row itself: [R, all]. */
static cohort_value is_self(cohort_graph *graph, const cohort_loss_fields *fields, int64_t all) {
  const cohort_value first = cohort_graph_scale(graph, fields->lane, (double)fields->rows);
  const cohort_value number =
      cohort_graph_add(graph, cohort_graph_cast(graph, cohort_graph_iota(graph, fields->rows)), first);
  return cohort_graph_equal(graph, cohort_graph_reshape(graph, number, COHORT_SHAPE(fields->rows, 1)),
                            cohort_graph_cast(graph, cohort_graph_iota(graph, all)));
}

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const ntxent_config *settings = config;
  const int64_t rows = fields->rows;
  const cohort_value here = unit_rows(graph, fields->output);
  const cohort_value there = cohort_graph_lane_gather(graph, here); /* [all, D] */
  const int64_t all = cohort_graph_shape(graph, there).size[0];
  const cohort_value own = cohort_graph_cast(graph, fields->target), others = cohort_graph_lane_gather(graph, own);
  const cohort_value same = cohort_graph_equal(graph, cohort_graph_reshape(graph, own, COHORT_SHAPE(rows, 1)), others);
  const cohort_value is_real = cohort_graph_less_equal(graph, cohort_graph_constant(graph, 0), others);
  const cohort_value zero = cohort_graph_constant(graph, 0), one = cohort_graph_constant(graph, 1);
  const cohort_value negative = cohort_graph_select(graph, same, zero, is_real);
  const cohort_value positive = cohort_graph_select(graph, is_self(graph, fields, all), zero, same);
  const cohort_value cosine = cohort_graph_scale(graph, cohort_graph_matmul(graph, here, there, false, true),
                                                 1 / settings->temperature); /* [R, all] */
  const cohort_value against =
      cohort_graph_logsumexp(graph, cohort_graph_select(graph, negative, cosine, cohort_graph_constant(graph, never)));
  /* -log(e^s / (e^s + sum of the negatives')) */
  const cohort_value pair =
      cohort_graph_unary(graph, COHORT_OP_SOFTPLUS, cohort_graph_subtract(graph, against, cosine));
  const cohort_value sum = cohort_graph_sum(graph, cohort_graph_multiply(graph, pair, positive), 1u << 1);
  const cohort_value count = cohort_graph_sum(graph, positive, 1u << 1);
  const cohort_value mean = cohort_graph_divide(graph, sum, cohort_graph_binary(graph, COHORT_OP_MAXIMUM, count, one));
  return (cohort_loss_outputs){.loss = cohort_graph_reshape(graph, mean, COHORT_SHAPE(rows))};
}

static const cohort_loss functions = {.target = COHORT_TARGET_SAMPLE, .build = build};

static const cohort_method ntxent = {
    .family = "loss",
    .key = "ntxent",
    .summary = "contrastive: views of a sample against all other rows of the batch",
    .title = "A Simple Framework for Contrastive Learning of Visual Representations",
    .source =
        "Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, equation 1",
    .formula =
        "s = cosine / temperature; -log(exp(s_ap) / (exp(s_ap) + sum of exp(s_an) over rows n of other samples)), "
        "p the other view of a's sample; its mean where there are several",
    .config_size = sizeof(ntxent_config),
    .parameters = parameters,
    .needs = COHORT_LOSS_COUPLED,
    .functions = &functions,
};

const cohort_method *const cohort_loss_ntxent[] = {&ntxent, NULL};
