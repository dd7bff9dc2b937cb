/* Group robust preference optimization: DPO's or IPO's loss of the labellers' group that is worst off, by weights of
 * the groups that grow with their losses and are kept. Costs one exchange of two numbers a group. */
#include "method/preference/pair/pair.h"

typedef struct groupdpo_config {
  double beta, step;
  int64_t groups;
  int loss;
} groupdpo_config;

enum { LOSS_DPO, LOSS_IPO };
static const char *const losses[] = {"dpo", "ipo", NULL};

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(groupdpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_INTEGER_RANGE(groupdpo_config, groups, "2", 1, 1 << 16, "how many groups the pairs have"),
    COHORT_REAL_ATLEAST(groupdpo_config, step, "0.01", 0, "step size of the weights of groups; 0: they stay equal",
                        .sweep_low = 1e-3, .sweep_high = 1, .sweep_log = true),
    COHORT_CHOICE(groupdpo_config, loss, "dpo", losses, "of a pair; ipo: with sums over tokens"),
    {.name = NULL},
};

static int64_t one_a_group(const void *config, cohort_shape shape) {
  (void)shape;
  return ((const groupdpo_config *)config)->groups;
}

static const cohort_state states[] = {
    {.name = "weights",
     .owner = COHORT_OWNER_SPACE,
     .size = one_a_group,
     .shares = true,
     .meaning = "weight of each group"},
    {.name = NULL},
};

static const cohort_field groups[] = {
    {COHORT_NAMED_FIELD("group"), .owner = COHORT_FIELD_SAMPLE, .integer = true, .meaning = "whose preference it is"},
    {.name = NULL},
};

/* [groups]: sums of x [P] over the pairs of each group, of all lanes. */
static cohort_value by_group(cohort_graph *graph, cohort_value member, cohort_value x, int64_t count) {
  const int64_t pairs = cohort_shape_elements(cohort_graph_shape(graph, x));
  const cohort_value share =
      cohort_graph_multiply(graph, member, cohort_graph_reshape(graph, x, COHORT_SHAPE(pairs, 1)));
  const cohort_value sum = cohort_graph_lane_sum(graph, cohort_graph_sum(graph, share, 1));
  return cohort_graph_reshape(graph, sum, COHORT_SHAPE(count));
}

/* q exp(step L), of sum 1. */
static cohort_value moved(cohort_graph *graph, cohort_value weights, cohort_value means, double step) {
  const cohort_value growth = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, cohort_graph_scale(graph, means, step));
  const cohort_value grown = cohort_graph_multiply(graph, weights, growth);
  return cohort_graph_divide(graph, grown, cohort_graph_sum_all(graph, grown));
}

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const groupdpo_config *own = config;
  const cohort_value ratio = cohort_preference_log_ratio(graph, fields);
  const cohort_value reward = cohort_graph_scale(graph, ratio, own->beta);
  const cohort_value error = cohort_graph_shift(graph, cohort_pair_margin(graph, ratio), -1 / (2 * own->beta));
  const cohort_value each = own->loss == LOSS_IPO
                                ? cohort_pair_square(graph, error)
                                : cohort_preference_smoothed(graph, cohort_pair_margin(graph, reward), 0);
  const cohort_value group = cohort_preference_field(fields, "group");
  const cohort_value column = cohort_graph_reshape(graph, group, COHORT_SHAPE(fields->samples, 1));
  const cohort_value member = cohort_graph_equal(graph, column, cohort_graph_iota(graph, own->groups));
  const cohort_value still = cohort_graph_stop_gradient(graph, each);
  const cohort_value sums = by_group(graph, member, cohort_graph_multiply(graph, still, fields->weight), own->groups);
  const cohort_value count = by_group(graph, member, fields->weight, own->groups);
  const cohort_value at_least = cohort_graph_binary(graph, COHORT_OP_MAXIMUM, count, cohort_graph_constant(graph, 1));
  cohort_preference_outputs out = {.token_loss = COHORT_NO_VALUE, .reward = reward};
  out.next[0] = moved(graph, fields->state[0], cohort_graph_divide(graph, sums, at_least), own->step);
  /* With the new weights; an evaluation moves none. */
  const cohort_value weights = fields->training ? out.next[0] : fields->state[0];
  const cohort_value factor =
      cohort_graph_multiply(graph, cohort_graph_divide(graph, weights, at_least), cohort_graph_sum_all(graph, count));
  const cohort_value of_pair = cohort_graph_stop_gradient(graph, cohort_graph_gather(graph, factor, group));
  out.loss = cohort_graph_multiply(graph, each, of_pair);
  return out;
}

static const cohort_preference functions = {.build = build, .fields = groups};

static const cohort_method groupdpo = {
    .family = "preference",
    .key = "groupdpo",
    .summary = "group robust preference optimization: the loss of the worst group, by weights of groups that are kept",
    .title = "Group Robust Preference Optimization in Reward-free RLHF",
    .source =
        "Ramesh et al., Group Robust Preference Optimization in Reward-free RLHF, NeurIPS 2024, algorithm 1; as "
        "compute_robust_loss of its authors",
    .formula =
        "L_g = mean loss of group g's pairs in the batch; q_g = q_g exp(step L_g), of sum 1; loss = sum_g q_g L_g, q a "
        "constant; q = 1 / groups at start; reward = beta (log pi - log ref)",
    .config_size = sizeof(groupdpo_config),
    .parameters = parameters,
    .states = states,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &functions,
};

const cohort_method *const cohort_preference_groupdpo[] = {&groupdpo, NULL};
