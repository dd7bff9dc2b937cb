/* AOT: the batch's margins as a distribution, pushed above the reference's by the order of their quantiles. Every lane
 * gathers the margins of all and sorts them, n log n of a batch of n pairs. */
#include "method/preference/preference.h"

typedef struct aot_config {
  double beta, label_smoothing;
  bool unpaired;
} aot_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(aot_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_RANGE(aot_config, label_smoothing, "0", 0, false, 0.5, true,
                      "assumed share of pairs whose preference is flipped"),
    COHORT_BOOLEAN(
        aot_config, unpaired, "false",
        "compare all chosen completions with all rejected ones, not the policy's margins with the reference's"),
    {.name = NULL},
};

/* All lanes' numbers, sorted; those of empty places become `last`, above all others, and stand at the end. */
static cohort_value sorted(cohort_graph *graph, cohort_value x, cohort_value weight, cohort_value last) {
  return cohort_graph_sort(graph, cohort_graph_lane_gather(graph, cohort_graph_select(graph, weight, x, last)));
}

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const aot_config *settings = config;
  const cohort_value ratio = cohort_preference_log_ratio(graph, fields);
  const cohort_value upper = settings->unpaired ? ratio : fields->policy;
  const cohort_value lower = settings->unpaired ? ratio : fields->reference;
  cohort_value u = cohort_preference_side(graph, upper, 0), v = cohort_preference_side(graph, lower, 1);
  if (!settings->unpaired) {
    u = cohort_graph_subtract(graph, u, cohort_preference_side(graph, upper, 1));
    v = cohort_graph_subtract(graph, cohort_preference_side(graph, lower, 0), v);
  }
  const cohort_value last = cohort_graph_constant(graph, 1e30);
  const cohort_value z =
      cohort_graph_subtract(graph, sorted(graph, u, fields->weight, last), sorted(graph, v, fields->weight, last));
  const cohort_value loss =
      cohort_preference_smoothed(graph, cohort_graph_scale(graph, z, settings->beta), settings->label_smoothing);
  /* As many as there are pairs count: the first ones. */
  const int64_t places = cohort_shape_elements(cohort_graph_shape(graph, z));
  const cohort_value pairs = cohort_graph_lane_sum(graph, cohort_graph_sum_all(graph, fields->weight));
  const cohort_value counts =
      cohort_graph_less(graph, cohort_graph_cast(graph, cohort_graph_iota(graph, places)), pairs);
  return (cohort_preference_outputs){.loss = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, loss, counts)),
                                     .token_loss = COHORT_NO_VALUE,
                                     .reward = cohort_graph_scale(graph, ratio, settings->beta)};
}

static const cohort_preference functions = {.build = build};

static const cohort_method aot = {
    .family = "preference",
    .key = "aot",
    .summary = "alignment via optimal transport: sorted margins of the batch against those of the reference",
    .title = "Distributional Preference Alignment of LLMs via Optimal Transport",
    .source =
        "Melnyk et al., Distributional Preference Alignment of LLMs via Optimal Transport, NeurIPS 2024, equations 6 "
        "to "
        "8 with the logistic loss; as TRL's DPOTrainer with loss_type aot and aot_unpaired",
    .formula =
        "paired: u = log pi(chosen) - log pi(rejected), v the same of ref; unpaired: u = (log pi - log ref)(chosen), v "
        "= "
        "(rejected); z = sort(u) - sort(v) over the batch; mean of -(1 - e) log sigmoid(beta z) - e log sigmoid(-beta "
        "z), "
        "e = label_smoothing; reward = beta (log pi - log ref)",
    .config_size = sizeof(aot_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_BATCH,
    .functions = &functions,
};

const cohort_method *const cohort_preference_aot[] = {&aot, NULL};
