/* DPO: a logistic loss on the margin of log-ratios to the reference. */
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
                                       const cohort_preference_fields *fields) {
  const dpo_config *settings = config;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), settings->beta);
  const cohort_value margin =
      cohort_graph_subtract(graph, cohort_preference_side(graph, reward, 0), cohort_preference_side(graph, reward, 1));
  return (cohort_preference_outputs){.loss = cohort_preference_smoothed(graph, margin, settings->label_smoothing),
                                     .token_loss = COHORT_NO_VALUE,
                                     .reward = reward};
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
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &functions,
};

const cohort_method *const cohort_preference_dpo[] = {&dpo, NULL};
