/* SimPO: a margin of mean log-probabilities, without a reference. */
#include "method/preference/preference.h"

enum { FORM_SIGMOID, FORM_HINGE };

typedef struct simpo_config {
  double beta, gamma, label_smoothing;
  int form;
} simpo_config;

static const char *const forms[] = {"sigmoid", "hinge", NULL};

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(simpo_config, beta, COHORT_PARAMETER_REAL), .standard = "2", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "scale of the reward, the mean log-probability of a token",
     .sweep_low = 1, .sweep_high = 10, .sweep_log = true},
    {COHORT_FIELD(simpo_config, gamma, COHORT_PARAMETER_REAL), .standard = "1", .minimum = 0, .maximum = INFINITY,
     .maximum_open = true,
     .meaning = "target margin of the rewards; the paper states gamma / beta, 0.5 by default here", .sweep_low = 0.3,
     .sweep_high = 1.6},
    COHORT_REAL_RANGE(simpo_config, label_smoothing, "0", 0, false, 0.5, true,
                      "assumed share of pairs whose preference is flipped; sigmoid form only"),
    COHORT_CHOICE(simpo_config, form, "sigmoid", forms, "sigmoid: -log sigmoid(h); hinge: max(0, 1 - h)"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const simpo_config *settings = config;
  if (settings->form == FORM_HINGE && settings->label_smoothing != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "label_smoothing belongs to the sigmoid form; set it to 0 with hinge");
  return COHORT_DONE;
}

static cohort_value hinge_form(cohort_graph *graph, cohort_value margin) {
  return cohort_graph_relu(graph, cohort_graph_shift(graph, cohort_graph_scale(graph, margin, -1), 1));
}

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const simpo_config *settings = config;
  const cohort_value mean = cohort_graph_divide(graph, fields->policy, fields->length);
  const cohort_value reward = cohort_graph_scale(graph, mean, settings->beta);
  const cohort_value difference =
      cohort_graph_subtract(graph, cohort_preference_side(graph, reward, 0), cohort_preference_side(graph, reward, 1));
  const cohort_value margin = cohort_graph_shift(graph, difference, -settings->gamma);
  const cohort_value loss = settings->form == FORM_HINGE
                                ? hinge_form(graph, margin)
                                : cohort_preference_smoothed(graph, margin, settings->label_smoothing);
  return (cohort_preference_outputs){.loss = loss, .token_loss = COHORT_NO_VALUE, .reward = reward};
}

static const cohort_preference functions = {.build = build};

static const cohort_method simpo = {
    .family = "preference",
    .key = "simpo",
    .summary = "preference optimization without a reference: length-normalised rewards and a target margin",
    .title = "SimPO: Simple Preference Optimization with a Reference-Free Reward",
    .source =
        "Meng, Xia and Chen, SimPO: Simple Preference Optimization with a Reference-Free Reward, NeurIPS 2024, "
        "equation 6; as TRL's CPOTrainer with loss_type simpo and cpo_alpha 0",
    .formula =
        "h = beta (log pi(chosen) / |chosen| - log pi(rejected) / |rejected|) - gamma; sigmoid: -(1 - e) log "
        "sigmoid(h) - e log sigmoid(-h), e = label_smoothing; hinge: max(0, 1 - h); reward = beta log pi / length",
    .config_size = sizeof(simpo_config),
    .parameters = parameters,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_preference_simpo[] = {&simpo, NULL};
