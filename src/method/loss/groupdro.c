/* Group DRO (Sagawa et al., 2020): the loss of the group that is worst off, by weights of the groups that grow with
 * their losses and are kept from step to step. Invariant: a row's gradient is that of its cross entropy times a factor
 * that all lanes know. Costs one exchange of two numbers a group. */
#include "method/loss/loss.h"

typedef struct groupdro_config {
  int64_t groups;
  double step, adjustment;
  bool normalise;
} groupdro_config;

static const cohort_parameter parameters[] = {
    COHORT_INTEGER_RANGE(groupdro_config, groups, "2", 1, 1 << 16, "how many groups the samples have"),
    {COHORT_FIELD(groupdro_config, step, COHORT_PARAMETER_REAL), .standard = "0.01", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true, .meaning = "step size of the weights of groups; 0: they stay equal", .sweep_low = 1e-3,
     .sweep_high = 1, .sweep_log = true},
    COHORT_REAL_ATLEAST(groupdro_config, adjustment, "0", 0,
                        "added to a group's loss, over the root of how many training samples it has"),
    COHORT_BOOLEAN(groupdro_config, normalise, "false", "the weights grow with a group's share of all losses"),
    {.name = NULL},
};

static int64_t one_a_group(const void *config, cohort_shape shape) {
  (void)shape;
  return ((const groupdro_config *)config)->groups;
}

static const cohort_state states[] = {
    {.name = "weights",
     .owner = COHORT_OWNER_SPACE,
     .size = one_a_group,
     .shares = true,
     .meaning = "weight of each group"},
    {.name = NULL},
};

/* adjustment / sqrt(n) of each group. */
static cohort_value adjustment_of(const groupdro_config *settings, cohort_graph *graph, cohort_value counts) {
  return cohort_graph_scale(graph, cohort_graph_unary(graph, COHORT_OP_RECIPROCAL_ROOT, counts), settings->adjustment);
}

static cohort_value sum_of(cohort_graph *graph, cohort_value x) { return cohort_graph_sum_all(graph, x); }

/* The weights after the step: q exp(step L), of sum 1. */
static cohort_value moved(const groupdro_config *settings, cohort_graph *graph, cohort_value weights,
                          cohort_value losses) {
  if (settings->normalise) losses = cohort_graph_divide(graph, losses, sum_of(graph, losses));
  const cohort_value growth =
      cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_scale(graph, losses, settings->step));
  const cohort_value grown = cohort_graph_multiply(graph, weights, growth);
  return cohort_graph_divide(graph, grown, sum_of(graph, grown));
}

static cohort_loss_outputs build(const void *config, cohort_graph *graph, const cohort_loss_fields *fields) {
  const groupdro_config *settings = config;
  const int64_t rows = fields->rows, groups = settings->groups;
  const cohort_value each = cohort_graph_softmax_cross_entropy(graph, fields->output, fields->target, 0);
  const cohort_value column = cohort_graph_reshape(graph, fields->group, COHORT_SHAPE(rows, 1));
  const cohort_value member = cohort_graph_equal(graph, column, cohort_graph_iota(graph, groups)); /* [R, groups] */
  const cohort_value share = cohort_graph_multiply(
      graph, member, cohort_graph_reshape(graph, cohort_graph_stop_gradient(graph, each), COHORT_SHAPE(rows, 1)));
  const cohort_value both[2] = {share, member};
  const cohort_value sums = cohort_loss_batch_sum(graph, fields, cohort_graph_concat(graph, 1, 2, both));
  const cohort_value flat = cohort_graph_reshape(graph, sums, COHORT_SHAPE(2 * groups));
  const cohort_value total = cohort_graph_slice(graph, flat, 0, 0, groups);
  const cohort_value count = cohort_graph_slice(graph, flat, 0, groups, groups);
  const cohort_value none = cohort_graph_equal(graph, count, cohort_graph_constant(graph, 0));
  const cohort_value at_least = cohort_graph_add(graph, count, none);
  cohort_value losses = cohort_graph_divide(graph, total, at_least);
  cohort_value constant = COHORT_NO_VALUE;
  if (settings->adjustment > 0) {
    constant = adjustment_of(settings, graph, fields->counts);
    losses = cohort_graph_add(graph, losses, constant);
  }
  cohort_loss_outputs out = {.next = {moved(settings, graph, fields->state[0], losses)}};
  /* With the new weights; an evaluation moves none. */
  const cohort_value weights = fields->training ? out.next[0] : fields->state[0];
  const cohort_value factor = cohort_graph_multiply(graph, cohort_graph_divide(graph, weights, at_least),
                                                    sum_of(graph, count)); /* [groups]: times the batch's rows */
  const cohort_value of_row = cohort_graph_stop_gradient(graph, cohort_graph_gather(graph, factor, fields->group));
  out.loss = cohort_graph_multiply(graph, each, of_row);
  if (constant == COHORT_NO_VALUE) return out;
  const cohort_value offset = sum_of(graph, cohort_graph_multiply(graph, weights, constant));
  out.loss = cohort_graph_add(graph, out.loss, cohort_graph_stop_gradient(graph, offset));
  return out;
}

static const cohort_loss functions = {.target = COHORT_TARGET_CLASS, .build = build};

static const cohort_method groupdro = {
    .family = "loss",
    .key = "groupdro",
    .summary = "cross entropy of the worst group, by weights of groups that are kept",
    .title =
        "Distributionally Robust Neural Networks for Group Shifts: On the Importance of Regularization for "
        "Worst-Case Generalization",
    .source =
        "Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, ICLR 2020, algorithm 1 and "
        "section 3.3; normalise as in the authors' code",
    .formula =
        "L_j = mean cross entropy of group j's rows + adjustment / sqrt(n_j); q_j = q_j exp(step L_j), of sum 1; "
        "loss = sum_j q_j L_j, q a constant; q = 1 / groups at start",
    .config_size = sizeof(groupdro_config),
    .parameters = parameters,
    .states = states,
    .needs = COHORT_LOSS_COUPLED | COHORT_LOSS_GROUPS,
    .functions = &functions,
};

const cohort_method *const cohort_loss_groupdro[] = {&groupdro, NULL};
