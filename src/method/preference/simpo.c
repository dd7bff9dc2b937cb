/* SimPO (Meng, Xia and Chen, 2024): rewards are mean log-probabilities; there is no reference. */
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

static cohort_value reward(cohort_graph *graph, cohort_value log_probability, cohort_value length, double beta) {
  return cohort_graph_scale(graph, cohort_graph_divide(graph, log_probability, length), beta);
}

static cohort_value sigmoid_form(cohort_graph *graph, cohort_value margin, double flipped) {
  const cohort_value loss = cohort_graph_scale(graph, cohort_graph_log_sigmoid(graph, margin), flipped - 1);
  if (flipped == 0) return loss;
  const cohort_value opposite = cohort_graph_log_sigmoid(graph, cohort_graph_scale(graph, margin, -1));
  return cohort_graph_add(graph, loss, cohort_graph_scale(graph, opposite, -flipped));
}

static cohort_value hinge_form(cohort_graph *graph, cohort_value margin) {
  return cohort_graph_relu(graph, cohort_graph_shift(graph, cohort_graph_scale(graph, margin, -1), 1));
}

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_inputs *inputs) {
  const simpo_config *settings = config;
  cohort_preference_outputs out;
  out.reward_chosen = reward(graph, inputs->policy_chosen, inputs->length_chosen, settings->beta);
  out.reward_rejected = reward(graph, inputs->policy_rejected, inputs->length_rejected, settings->beta);
  const cohort_value difference = cohort_graph_subtract(graph, out.reward_chosen, out.reward_rejected);
  const cohort_value margin = cohort_graph_shift(graph, difference, -settings->gamma);
  out.loss =
      settings->form == FORM_HINGE ? hinge_form(graph, margin) : sigmoid_form(graph, margin, settings->label_smoothing);
  return out;
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
    .needs = COHORT_NEEDS_GRADIENT,
    .check = check,
    .functions = &functions,
};

const cohort_method *const cohort_preference_simpo[] = {&simpo, NULL};
