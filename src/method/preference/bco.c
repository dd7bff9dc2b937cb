/* BCO: a classifier of desirable and other completions by their rewards, held against the rewards' mean over all steps,
 * which is kept. Costs one exchange of two numbers. */
#include "method/preference/preference.h"

typedef struct bco_config {
  double beta, least, most;
} bco_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(bco_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_ABOVE(bco_config, least, "0.5", 0, "density ratios below this count as this"),
    COHORT_REAL_ABOVE(bco_config, most, "10", 0, "density ratios above this count as this"),
    {.name = NULL},
};

enum { STATE_MEAN, STATE_COUNT };
static const cohort_state states[] = {
    {.name = "mean", .owner = COHORT_OWNER_SPACE, .meaning = "mean of all rewards so far"},
    {.name = "count", .owner = COHORT_OWNER_SPACE, .meaning = "how many they are"},
    {.name = NULL},
};

static const cohort_field densities[] = {
    {COHORT_NAMED_FIELD("density"), .owner = COHORT_FIELD_COMPLETION, .optional = true,
     .meaning = "of a prompt: how much likelier it is among desirable ones than among others"},
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const bco_config *own = config;
  if (own->least <= own->most) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG, "least is above most; swap them");
}

/* Of all lanes, a scalar of shape [1]. */
static cohort_value over_batch(cohort_graph *graph, cohort_value x) {
  const cohort_value sum = cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, x));
  return cohort_graph_stop_gradient(graph, cohort_graph_reshape(graph, sum, COHORT_SHAPE(1)));
}

/* Undesirable completions weigh by their prompt's density ratio. */
static cohort_value weigh(const bco_config *own, cohort_graph *graph, const cohort_preference_fields *fields,
                          cohort_value loss) {
  const cohort_value density = cohort_preference_field(fields, "density");
  if (density == COHORT_NO_VALUE) return loss;
  const cohort_value above =
      cohort_graph_binary(graph, COHORT_OP_MAXIMUM, density, cohort_graph_constant(graph, own->least));
  const cohort_value ratio =
      cohort_graph_binary(graph, COHORT_OP_MINIMUM, above, cohort_graph_constant(graph, own->most));
  const cohort_value bad = cohort_graph_shift(graph, cohort_graph_scale(graph, fields->label, -1), 1);
  const cohort_value weight = cohort_graph_add(graph, fields->label, cohort_graph_multiply(graph, bad, ratio));
  return cohort_graph_multiply(graph, loss, weight);
}

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const bco_config *own = config;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), own->beta);
  const cohort_value count = over_batch(graph, fields->weight);
  const cohort_value sum = over_batch(graph, cohort_graph_multiply(graph, reward, fields->weight));
  const cohort_value mean = fields->state[STATE_MEAN], before = fields->state[STATE_COUNT];
  const cohort_value all = cohort_graph_add(graph, before, count);
  const cohort_value excess = cohort_graph_subtract(graph, sum, cohort_graph_multiply(graph, mean, count));
  cohort_preference_outputs out = {.token_loss = COHORT_NO_VALUE, .reward = reward};
  out.next[STATE_MEAN] = cohort_graph_add(graph, mean, cohort_graph_divide(graph, excess, all));
  out.next[STATE_COUNT] = all;
  /* With this batch; an evaluation moves nothing. */
  const cohort_value level = fields->training ? out.next[STATE_MEAN] : mean;
  const cohort_value sign = cohort_graph_shift(graph, cohort_graph_scale(graph, fields->label, 2), -1);
  const cohort_value gain = cohort_graph_multiply(graph, sign, cohort_graph_subtract(graph, reward, level));
  out.loss = weigh(own, graph, fields, cohort_preference_smoothed(graph, gain, 0));
  out.column[0] = cohort_graph_reshape(graph, level, COHORT_SCALAR_SHAPE);
  return out;
}

static const cohort_preference functions = {.build = build, .column = {"preference/baseline"}, .fields = densities};

static const cohort_method bco = {
    .family = "preference",
    .key = "bco",
    .summary = "binary classifier optimization: completions with a label, against the mean of all rewards so far",
    .title = "Binary Classifier Optimization for Large Language Model Alignment",
    .source =
        "Jung et al., Binary Classifier Optimization for Large Language Model Alignment, 2024; as TRL's BCOTrainer (to "
        "1.10): the running mean with the batch in it, density ratios cut to [least, most]",
    .formula =
        "r = beta (log pi - log ref); m = mean of all r so far, a constant; desirable: -log sigmoid(r - m), else "
        "-density log sigmoid(m - r), density = 1 where the data have none; reward = r",
    .config_size = sizeof(bco_config),
    .parameters = parameters,
    .states = states,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_UNPAIRED,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_preference_bco[] = {&bco, NULL};
