/* DPO with what keeps the chosen likely: RPO adds its likelihood, Flex-DPO pulls the two sides by betas of their own.
 */
#include "method/preference/pair/pair.h"

typedef struct rpo_config {
  double beta, eta, beta_rejected, likelihood;
} rpo_config;

static const cohort_parameter rpo_parameters[] = {
    {COHORT_FIELD(rpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_ATLEAST(rpo_config, eta, "0.005", 0,
                        "weight of the chosen's negative log-likelihood, a sum over its tokens, times beta",
                        .sweep_low = 1e-3, .sweep_high = 0.1, .sweep_log = true),
    {.name = NULL},
};

static const cohort_parameter flex_parameters[] = {
    {COHORT_FIELD(rpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "pull of the chosen (the paper's beta+)", .sweep_low = 0.01,
     .sweep_high = 0.5, .sweep_log = true},
    COHORT_REAL_ABOVE(rpo_config, beta_rejected, "0.08", 0,
                      "pull of the rejected (the paper's beta-); below beta it slows the fall of its likelihood",
                      .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true),
    COHORT_REAL_ATLEAST(rpo_config, likelihood, "0", 0,
                        "weight of the chosen's negative log-likelihood, a mean over all chosen tokens of the batch"),
    {.name = NULL},
};

static cohort_preference_outputs build_rpo(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  const rpo_config *own = config;
  const cohort_value reward = cohort_graph_scale(graph, cohort_preference_log_ratio(graph, fields), own->beta);
  cohort_value loss = cohort_preference_smoothed(graph, cohort_pair_margin(graph, reward), 0);
  if (own->eta > 0)
    loss = cohort_graph_add(graph, loss,
                            cohort_graph_scale(graph, cohort_pair_likelihood(graph, fields), own->beta * own->eta));
  return (cohort_preference_outputs){.loss = loss, .token_loss = COHORT_NO_VALUE, .reward = reward};
}

static cohort_preference_outputs build_flex(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  const rpo_config *own = config;
  const cohort_value ratio = cohort_preference_log_ratio(graph, fields);
  const cohort_value chosen = cohort_graph_scale(graph, cohort_preference_side(graph, ratio, 0), own->beta);
  const cohort_value rejected = cohort_graph_scale(graph, cohort_preference_side(graph, ratio, 1), own->beta_rejected);
  const cohort_value margin = cohort_graph_subtract(graph, chosen, rejected);
  return (cohort_preference_outputs){
      .loss = cohort_preference_smoothed(graph, margin, 0),
      .token_loss = own->likelihood > 0
                        ? cohort_pair_weighed(graph, cohort_pair_likelihood(graph, fields), own->likelihood)
                        : COHORT_NO_VALUE,
      .reward = cohort_graph_scale(graph, ratio, own->beta)};
}

static const cohort_preference rpo_functions = {.build = build_rpo}, flex_functions = {.build = build_flex};

static const cohort_identity rpo_identities[] = {{"eta=0", "dpo", ""}, {NULL}};

static const cohort_method rpo = {
    .family = "preference",
    .key = "rpo",
    .summary = "regularized preference optimization: DPO and the likelihood of the chosen",
    .title = "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer",
    .source =
        "Liu et al., Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial "
        "Regularizer, NeurIPS 2024, equation 4.4, with the chosen as the baseline; as its authors' rpo_trainer.py",
    .formula =
        "h = beta ((log pi/ref)(chosen) - (log pi/ref)(rejected)); -log sigmoid(h) - eta beta log pi(chosen); reward = "
        "beta (log pi - log ref)",
    .config_size = sizeof(rpo_config),
    .parameters = rpo_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .identities = rpo_identities,
    .functions = &rpo_functions,
};

static const cohort_identity flex_identities[] = {{"beta=0.1 beta_rejected=0.1", "dpo", ""}, {NULL}};

static const cohort_method flex_dpo = {
    .family = "preference",
    .key = "flex_dpo",
    .summary = "Flex-DPO: chosen and rejected are pulled by betas of their own, and the chosen kept likely",
    .title = "3D-Properties: Identifying Challenges in DPO and Charting a Path Forward",
    .source =
        "Yan et al., 3D-Properties: Identifying Challenges in DPO and Charting a Path Forward, ICLR 2025: Flex-DPO and "
        "the SFT loss; the likelihood is a mean over all chosen tokens of the batch",
    .formula =
        "-log sigmoid(beta (log pi/ref)(chosen) - beta_rejected (log pi/ref)(rejected)) - likelihood sum log "
        "pi(chosen) / tokens of all chosen; reward = beta (log pi - log ref)",
    .config_size = sizeof(rpo_config),
    .parameters = flex_parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_TOKENS,
    .identities = flex_identities,
    .functions = &flex_functions,
};

const cohort_method *const cohort_preference_rpo[] = {&rpo, &flex_dpo, NULL};
