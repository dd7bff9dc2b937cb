/* Bradley-Terry reward model: the probability that chosen beats rejected is the sigmoid of the difference of scores. */
#include "method/preference/preference.h"

typedef struct rm_config {
  double center;
} rm_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ATLEAST(rm_config, center, "0", 0,
                        "weight of the square of a pair's summed scores, which keeps them near 0", .sweep_low = 1e-3,
                        .sweep_high = 0.1, .sweep_log = true),
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const rm_config *settings = config;
  const cohort_value chosen = cohort_preference_side(graph, fields->score, 0),
                     rejected = cohort_preference_side(graph, fields->score, 1);
  cohort_value gap = cohort_graph_subtract(graph, chosen, rejected);
  const cohort_value margin = cohort_preference_field(fields, "margin");
  if (margin != COHORT_NO_VALUE) gap = cohort_graph_subtract(graph, gap, margin);
  cohort_value loss = cohort_preference_smoothed(graph, gap, 0);
  if (settings->center > 0) {
    const cohort_value sum = cohort_graph_add(graph, chosen, rejected);
    loss = cohort_graph_add(graph, loss,
                            cohort_graph_scale(graph, cohort_graph_multiply(graph, sum, sum), settings->center));
  }
  return (cohort_preference_outputs){.loss = loss, .token_loss = COHORT_NO_VALUE, .reward = fields->score};
}

static const cohort_field own_fields[] = {
    {COHORT_NAMED_FIELD("margin"), .owner = COHORT_FIELD_SAMPLE, .optional = true,
     .meaning = "how much better chosen is"},
    {.name = NULL},
};

static const cohort_preference functions = {.build = build, .fields = own_fields};

static const cohort_method rm = {
    .family = "preference",
    .key = "rm",
    .summary = "reward model: a scalar head on the language model, trained on pairs (Bradley-Terry)",
    .source =
        "Ouyang et al., Training language models to follow instructions with human feedback, NeurIPS 2022, equation 1; "
        "margin: Touvron et al., Llama 2, 2023, equation 2; center: Eisenstein et al., Helping or Herding? Reward "
        "Model "
        "Ensembles Mitigate but do not Eliminate Reward Hacking, 2023; as TRL's RewardTrainer",
    .formula =
        "r = score of the last token; -log sigmoid(r(chosen) - r(rejected) - margin) + center (r(chosen) + "
        "r(rejected))^2; margin: a column of the data, or 0; reward = r",
    .config_size = sizeof(rm_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_SCORES,
    .functions = &functions,
};

const cohort_method *const cohort_preference_rm[] = {&rm, NULL};
