/* MIPO: a margin of mean log-probabilities, less as much of the reference's as the pair already agrees with it. */
#include "method/preference/pair/pair.h"

typedef struct mipo_config {
  double beta;
} mipo_config;

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(mipo_config, beta, COHORT_PARAMETER_REAL), .standard = "10", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "scale of the margin of mean log-probabilities",
     .sweep_low = 1, .sweep_high = 50, .sweep_log = true},
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const double beta = ((const mipo_config *)config)->beta;
  const cohort_value mean = cohort_pair_mean(graph, fields, fields->policy);
  const cohort_value agreed = cohort_pair_margin(graph, cohort_pair_mean(graph, fields, fields->reference));
  const cohort_value held = cohort_graph_unary(graph, COHORT_OP_SOFTPLUS, agreed);
  const cohort_value margin = cohort_graph_subtract(graph, cohort_pair_margin(graph, mean), held);
  return (cohort_preference_outputs){
      .loss = cohort_preference_smoothed(graph, cohort_graph_scale(graph, margin, beta), 0),
      .token_loss = COHORT_NO_VALUE,
      .reward = cohort_graph_scale(graph, mean, beta),
      .column = {agreed}};
}

static const cohort_preference functions = {.build = build, .column = {"preference/agreement"}};

static const cohort_method mipo = {
    .family = "preference",
    .key = "mipo",
    .summary = "modulated intervention: the reference holds a pair the more, the more it already orders it",
    .title = "Modulated Intervention Preference Optimization (MIPO): Keep the Easy, Refine the Difficult",
    .source =
        "Jang, Modulated Intervention Preference Optimization (MIPO): Keep the Easy, Refine the Difficult, 2024: the "
        "loss with the modulator q(K) = log(1 + e^K)",
    .formula =
        "p = log pi(chosen) / |chosen| - log pi(rejected) / |rejected|, K the same of ref; -log sigmoid(beta (p - "
        "log(1 + e^K))); reward = beta log pi / length",
    .config_size = sizeof(mipo_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &functions,
};

const cohort_method *const cohort_preference_mipo[] = {&mipo, NULL};
