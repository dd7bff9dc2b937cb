/* KTO: completions alone, each held against a baseline of the whole batch that is a constant of the gradient. */
#include "method/preference/preference.h"

typedef struct kto_config {
  double beta, desirable_weight, undesirable_weight;
} kto_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(kto_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_RANGE(kto_config, desirable_weight, "1", 0, false, INFINITY, true, "weight of desirable completions"),
    COHORT_REAL_RANGE(kto_config, undesirable_weight, "1", 0, false, INFINITY, true,
                      "weight of completions that are not"),
    {.name = NULL},
};

/* The mean over the batch's mismatched completions, at least 0: an estimate of the policy's KL to the reference. */
static cohort_value baseline(cohort_graph *graph, const cohort_preference_fields *fields) {
  const cohort_value ratio = cohort_graph_subtract(graph, fields->policy_mismatched, fields->reference_mismatched);
  const cohort_value sum = cohort_graph_sum_all(graph, cohort_graph_multiply(graph, ratio, fields->weight));
  const cohort_value count = cohort_graph_sum_all(graph, fields->weight);
  const cohort_value mean =
      cohort_graph_divide(graph, cohort_graph_lane_sum(graph, sum), cohort_graph_lane_sum(graph, count));
  return cohort_graph_stop_gradient(graph, cohort_graph_relu(graph, mean));
}

/* Against a level of log-ratios; COHORT_NO_VALUE: 0. */
static cohort_preference_outputs make(const kto_config *settings, cohort_graph *graph,
                                      const cohort_preference_fields *fields, cohort_value level) {
  const cohort_value ratio = cohort_preference_log_ratio(graph, fields);
  /* 1 for a desirable completion, -1 for another. */
  const cohort_value sign = cohort_graph_shift(graph, cohort_graph_scale(graph, fields->label, 2), -1);
  const cohort_value above = level == COHORT_NO_VALUE ? ratio : cohort_graph_subtract(graph, ratio, level);
  const cohort_value gain = cohort_graph_multiply(graph, above, sign);
  const cohort_value value =
      cohort_graph_unary(graph, COHORT_OP_SIGMOID, cohort_graph_scale(graph, gain, settings->beta));
  const cohort_value weight = cohort_graph_shift(
      graph, cohort_graph_scale(graph, fields->label, settings->desirable_weight - settings->undesirable_weight),
      settings->undesirable_weight);
  const cohort_value shortfall = cohort_graph_shift(graph, cohort_graph_scale(graph, value, -1), 1);
  return (cohort_preference_outputs){.loss = cohort_graph_multiply(graph, weight, shortfall),
                                     .token_loss = COHORT_NO_VALUE,
                                     .reward = cohort_graph_scale(graph, ratio, settings->beta),
                                     .column = {level}};
}

static cohort_preference_outputs build_kto(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  return make(config, graph, fields, baseline(graph, fields));
}

static cohort_preference_outputs build_apo(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  return make(config, graph, fields, COHORT_NO_VALUE);
}

static const cohort_preference kto_functions = {.build = build_kto, .column = {"preference/baseline"}},
                               apo_functions = {.build = build_apo};

static const cohort_method kto = {
    .family = "preference",
    .key = "kto",
    .summary = "Kahneman-Tversky optimization: completions with a label, against a baseline of the batch",
    .title = "KTO: Model Alignment as Prospect Theoretic Optimization",
    .source =
        "Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization, ICML 2024, equation 8; the "
        "baseline from each prompt with the completion of another, as TRL's KTOTrainer: of the sample half a split "
        "further on",
    .formula =
        "d = log pi - log ref; k = max(0, mean of d over prompts with another's completion), a constant; desirable: "
        "desirable_weight (1 - sigmoid(beta (d - k))), else undesirable_weight (1 - sigmoid(beta (k - d))); reward = "
        "beta d",
    .config_size = sizeof(kto_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_UNPAIRED | COHORT_NEEDS_MISMATCHED,
    .functions = &kto_functions,
};

static const cohort_method apo_zero_unpaired = {
    .family = "preference",
    .key = "apozerounpaired",
    .summary =
        "APO-zero of completions with a label: desirable ones gain, others lose likelihood against the reference",
    .title = "Anchored Preference Optimization and Contrastive Revisions: Addressing Underspecification in Alignment",
    .source =
        "D'Oosterlinck et al., Anchored Preference Optimization and Contrastive Revisions, 2024, equation 7, by side; "
        "as TRL's KTOTrainer with loss_type apo_zero_unpaired",
    .formula =
        "d = log pi - log ref; desirable: desirable_weight (1 - sigmoid(beta d)), else undesirable_weight sigmoid(beta "
        "d); reward = beta d",
    .config_size = sizeof(kto_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_UNPAIRED,
    .functions = &apo_functions,
};

const cohort_method *const cohort_preference_kto[] = {&kto, &apo_zero_unpaired, NULL};
