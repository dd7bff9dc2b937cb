/* IPO: a regression of the margin of mean log-ratios to 1 / (2 beta). */
#include "method/preference/preference.h"

typedef struct ipo_config {
  double beta;
} ipo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(ipo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true,
     .meaning = "strength of the pull towards the reference (the paper's tau)", .sweep_low = 0.01, .sweep_high = 1,
     .sweep_log = true},
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const ipo_config *settings = config;
  const cohort_value ratio = cohort_preference_log_ratio(graph, fields);
  const cohort_value mean = cohort_graph_divide(graph, ratio, fields->length);
  const cohort_value margin =
      cohort_graph_subtract(graph, cohort_preference_side(graph, mean, 0), cohort_preference_side(graph, mean, 1));
  const cohort_value error = cohort_graph_shift(graph, margin, -1 / (2 * settings->beta));
  return (cohort_preference_outputs){.loss = cohort_graph_multiply(graph, error, error),
                                     .token_loss = COHORT_NO_VALUE,
                                     .reward = cohort_graph_scale(graph, ratio, settings->beta)};
}

static const cohort_preference functions = {.build = build};

static const cohort_method ipo = {
    .family = "preference",
    .key = "ipo",
    .summary = "identity preference optimization: the margin of mean log-ratios is regressed to 1 / (2 beta)",
    .title = "A General Theoretical Paradigm to Understand Learning from Human Preferences",
    .source =
        "Azar et al., A General Theoretical Paradigm to Understand Learning from Human Preferences, AISTATS 2024, "
        "equation 17; means over tokens, as its authors and TRL's DPOTrainer with loss_type ipo have it",
    .formula =
        "d = (log pi - log ref) / length; (d(chosen) - d(rejected) - 1 / (2 beta))^2; reward = beta (log pi - log ref)",
    .config_size = sizeof(ipo_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &functions,
};

const cohort_method *const cohort_preference_ipo[] = {&ipo, NULL};
