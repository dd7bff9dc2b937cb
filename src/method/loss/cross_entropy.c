/* Softmax cross entropy with label smoothing, by row. One fused operation: time and memory of a pass over the
 * logits. */
#include "method/loss/loss.h"

typedef struct cross_entropy_config {
  double label_smoothing;
} cross_entropy_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(cross_entropy_config, label_smoothing, COHORT_PARAMETER_REAL), .standard = "0", .minimum = 0,
     .maximum = 1, .maximum_open = true,
     .meaning = "share of the target's weight that is spread evenly over all classes", .sweep_low = 0,
     .sweep_high = 0.2},
    {.name = NULL},
};

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const double smoothing = ((const cross_entropy_config *)config)->label_smoothing;
  return (cohort_loss_outputs){
      .loss = cohort_graph_softmax_cross_entropy(graph, fields->output, fields->target, smoothing)};
}

static cohort_value build_head(const void *config, cohort_graph *graph, const cohort_head_outputs *head,
                               cohort_value target) {
  (void)target; /* the head gives zeros where the target is ignored */
  const double smoothing = ((const cross_entropy_config *)config)->label_smoothing;
  const cohort_value hard = cohort_graph_scale(graph, head->log_probability, smoothing - 1);
  if (smoothing == 0) return hard;
  return cohort_graph_add(graph, hard, cohort_graph_scale(graph, head->mean_log_probability, -smoothing));
}

/* The largest of z + Gumbel noise is a draw of softmax(z). */
static cohort_value sample(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  (void)config;
  const cohort_shape shape = cohort_graph_shape(graph, fields->output);
  const cohort_value uniform = cohort_loss_random(graph, fields, COHORT_OP_RANDOM_UNIFORM, "labels", shape);
  const cohort_value inner = cohort_graph_scale(graph, cohort_graph_unary(graph, COHORT_OP_LOG, uniform), -1);
  const cohort_value negative = cohort_graph_unary(graph, COHORT_OP_LOG, inner);
  return cohort_graph_argmax(graph, cohort_graph_subtract(graph, fields->output, negative));
}

static cohort_value log_probabilities(cohort_graph *graph, cohort_value logits) {
  return cohort_graph_subtract(graph, logits, cohort_graph_logsumexp(graph, logits));
}

static cohort_value divergence(const void *config, cohort_graph *graph, cohort_value output, cohort_value before) {
  (void)config;
  const cohort_value log_before = log_probabilities(graph, before);
  const cohort_value gap = cohort_graph_subtract(graph, log_before, log_probabilities(graph, output));
  const cohort_value share = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, log_before);
  const cohort_value sum = cohort_graph_sum(graph, cohort_graph_multiply(graph, share, gap), 1u << 1);
  return cohort_graph_reshape(graph, sum, COHORT_SHAPE(cohort_shape_rows(cohort_graph_shape(graph, output))));
}

static const cohort_loss functions = {.target = COHORT_TARGET_CLASS,
                                      .build = build,
                                      .build_head = build_head,
                                      .sample = sample,
                                      .divergence = divergence};

static const cohort_method cross_entropy = {
    .family = "loss",
    .key = "cross_entropy",
    .summary = "softmax cross-entropy, with label smoothing",
    .title = NULL,
    .source =
        "label smoothing: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, "
        "section 7; as torch.nn.CrossEntropyLoss",
    .formula = "-(1 - s) log p(target) - s mean_c log p(c), p = softmax(z), s = label_smoothing",
    .config_size = sizeof(cross_entropy_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_loss_cross_entropy[] = {&cross_entropy, NULL};
