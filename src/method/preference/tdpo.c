/* TDPO: DPO with the divergence from the reference, token by token, in the margin. */
#include "method/preference/preference.h"

typedef struct tdpo_config {
  double beta, alpha;
  bool second;
} tdpo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(tdpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_RANGE(tdpo_config, alpha, "0.5", 0, false, INFINITY, true, "weight of the divergences; second form"),
    COHORT_BOOLEAN(tdpo_config, second, "true",
                   "TDPO2: weighted, and the chosen's divergence is a constant; false: TDPO1"),
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const tdpo_config *settings = config;
  const cohort_value ratio = cohort_preference_log_ratio(graph, fields);
  const cohort_value divergence =
      cohort_preference_total(graph, fields, cohort_graph_multiply(graph, fields->divergence, fields->mask));
  const cohort_value chosen = cohort_preference_side(graph, divergence, 0);
  const cohort_value level = settings->second ? cohort_graph_stop_gradient(graph, chosen) : chosen;
  const cohort_value excess = cohort_graph_subtract(graph, cohort_preference_side(graph, divergence, 1), level);
  const cohort_value margin =
      cohort_graph_subtract(graph, cohort_preference_side(graph, ratio, 0), cohort_preference_side(graph, ratio, 1));
  const cohort_value whole =
      cohort_graph_subtract(graph, margin, cohort_graph_scale(graph, excess, settings->second ? settings->alpha : 1));
  return (cohort_preference_outputs){
      .loss = cohort_preference_smoothed(graph, cohort_graph_scale(graph, whole, settings->beta), 0),
      .token_loss = COHORT_NO_VALUE,
      .reward = cohort_graph_scale(graph, ratio, settings->beta),
      .column = {chosen, cohort_preference_side(graph, divergence, 1)}};
}

static const cohort_preference functions = {
    .build = build, .column = {"preference/divergence_chosen", "preference/divergence_rejected"}};

static const cohort_method tdpo = {
    .family = "preference",
    .key = "tdpo",
    .summary = "token-level direct preference optimization: DPO's margin less the excess divergence of the rejected",
    .title = "Token-level Direct Preference Optimization",
    .source =
        "Zeng et al., Token-level Direct Preference Optimization, ICML 2024, equations 15 to 17; as tdpo_loss of its "
        "authors",
    .formula =
        "d = log pi - log ref; K = sum over the completion's tokens of KL(ref to pi); second: z = d(chosen) - "
        "d(rejected) "
        "- alpha (K(rejected) - stop(K(chosen))), else without alpha and stop; -log sigmoid(beta z); reward = beta d",
    .config_size = sizeof(tdpo_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_DIVERGENCE,
    .functions = &functions,
};

const cohort_method *const cohort_preference_tdpo[] = {&tdpo, NULL};
