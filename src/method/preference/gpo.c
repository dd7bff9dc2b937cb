/* GPO: a margin of log-ratios through any of the links that bound its sign. */
#include "method/preference/pair/pair.h"

typedef struct gpo_config {
  double beta;
  int link;
} gpo_config;

/* In the order of cohort_pair_bound. */
static const char *const links[] = {"logistic", "squared", "hinge", "exponential", "truncated", "savage", NULL};

static const cohort_parameter parameters[] = {
    {COHORT_FIELD(gpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 1, .sweep_log = true},
    COHORT_CHOICE(gpo_config, link, "exponential", links, "f of the margin: logistic is DPO, squared IPO, hinge SLiC"),
    {.name = NULL},
};

static cohort_preference_outputs build(const void *config, cohort_graph *graph,
                                       const cohort_preference_fields *fields) {
  const gpo_config *settings = config;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), settings->beta);
  return (cohort_preference_outputs){
      .loss = cohort_pair_bounded(graph, (cohort_pair_bound)settings->link, cohort_pair_margin(graph, reward)),
      .token_loss = COHORT_NO_VALUE,
      .reward = reward};
}

static const cohort_preference functions = {.build = build};

static const cohort_identity identities[] = {
    {"link=logistic", "dpo", ""},
    {"link=hinge", "dpo", "loss=hinge"},
    {NULL},
};

static const cohort_method gpo = {
    .family = "preference",
    .key = "gpo",
    .summary = "generalized preference optimization: DPO with any of six losses of the margin",
    .title = "Generalized Preference Optimization: A Unified Approach to Offline Alignment",
    .source =
        "Tang et al., Generalized Preference Optimization: A Unified Approach to Offline Alignment, ICML 2024, "
        "equation 4 and table 1",
    .formula =
        "h = beta ((log pi/ref)(chosen) - (log pi/ref)(rejected)); f(h) = log(1 + e^-h) (logistic), (h - 1)^2 "
        "(squared), max(0, 1 - h) (hinge), e^-h (exponential, cut at e^80), max(0, 1 - h)^2 (truncated) or 1 / (1 + "
        "e^h)^2 (savage); reward = beta (log pi - log ref)",
    .config_size = sizeof(gpo_config),
    .parameters = parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .identities = identities,
    .functions = &functions,
};

const cohort_method *const cohort_preference_gpo[] = {&gpo, NULL};
