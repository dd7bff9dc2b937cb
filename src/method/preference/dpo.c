/* DPO (Rafailov et al., 2023), with label smoothing (Mitchell, 2023). A few operations a pair, on summed
 * log-probabilities. */
#include "method/preference/preference.h"

typedef struct dpo_config {
  double beta, label_smoothing;
} dpo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(dpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_RANGE(dpo_config, label_smoothing, "0", 0, false, 0.5, true,
                      "assumed share of pairs whose preference is flipped (conservative DPO)"),
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_inputs *inputs) {
  const dpo_config *settings = config;
  const double flipped = settings->label_smoothing;
  const cohort_value chosen = cohort_graph_subtract(graph, inputs->policy_chosen, inputs->reference_chosen);
  const cohort_value rejected = cohort_graph_subtract(graph, inputs->policy_rejected, inputs->reference_rejected);
  cohort_preference_outputs out;
  out.reward_chosen = cohort_graph_scale(graph, chosen, settings->beta);
  out.reward_rejected = cohort_graph_scale(graph, rejected, settings->beta);
  const cohort_value margin = cohort_graph_subtract(graph, out.reward_chosen, out.reward_rejected);
  out.loss = cohort_graph_scale(graph, cohort_graph_log_sigmoid(graph, margin), flipped - 1);
  if (flipped > 0) {
    const cohort_value opposite = cohort_graph_log_sigmoid(graph, cohort_graph_scale(graph, margin, -1));
    out.loss = cohort_graph_add(graph, out.loss, cohort_graph_scale(graph, opposite, -flipped));
  }
  return out;
}

static const cohort_preference functions = {.build = build};

static const cohort_method dpo = {
    .family = "preference",
    .key = "dpo",
    .summary = "direct preference optimization against a frozen reference, with label smoothing (cDPO)",
    .title = "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    .source =
        "Rafailov et al., Direct Preference Optimization, NeurIPS 2023, equation 7; label smoothing: Mitchell, A note "
        "on DPO with noisy preferences and relationship to IPO, 2023; as the sigmoid loss of TRL's DPOTrainer",
    .formula =
        "h = beta ((log pi/ref)(chosen) - (log pi/ref)(rejected)); -(1 - e) log sigmoid(h) - e log sigmoid(-h), "
        "e = label_smoothing; reward = beta (log pi - log ref)",
    .config_size = sizeof(dpo_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_GRADIENT | COHORT_NEEDS_REFERENCE,
    .functions = &functions,
};

const cohort_method *const cohort_preference_dpo[] = {&dpo, NULL};
