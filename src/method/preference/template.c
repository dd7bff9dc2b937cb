/* A complete loss on completions to start from: copy this file to src/method/preference/NAME.c, build, and NAME is a
 * method like any other: in `cohort methods preference`, in `cohort probe preference NAME`, in configs of the
 * preference task, and under the contract tests. As it stands pairs are parted by a squared hinge: max(0, 1 - beta
 * margin)^2.
 *
 * It reads named columns, of completions in turn chosen and rejected, and does not know where they come from.
 * preference.h says which there are; the descriptor's `needs` says which of them it reads. */
#include "method/preference/preference.h"

typedef struct own_config {
  double beta;
} own_config;

static const cohort_parameter parameters[] = {
    COHORT_REAL_ABOVE(own_config, beta, "0.1", 0, "strength of the pull towards the reference"),
    {.name = NULL},
};

/* Empty places need no care: the family gives them no weight. */
static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const double beta = ((const own_config *)config)->beta;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), beta);
  const cohort_value margin =
      cohort_graph_subtract(graph, cohort_preference_side(graph, reward, 0), cohort_preference_side(graph, reward, 1));
  const cohort_value short_of =
      cohort_graph_relu(graph, cohort_graph_shift(graph, cohort_graph_scale(graph, margin, -1), 1));
  return (cohort_preference_outputs){
      .loss = cohort_graph_multiply(graph, short_of, short_of), .token_loss = COHORT_NO_VALUE, .reward = reward};
}

static const cohort_preference functions = {.build = build};

static const cohort_method method = {
    .family = "preference",
    .key = COHORT_FILE_KEY,
    .summary = "pairs parted by a squared hinge on the log-ratios (a template)",
    .source = "the template of the family preference",
    .formula = "reward = beta (log pi - log ref); max(0, 1 - reward(chosen) + reward(rejected))^2",
    .config_size = sizeof(own_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &functions,
};

COHORT_METHOD_FILE(preference, COHORT_FILE) = {&method, NULL};
