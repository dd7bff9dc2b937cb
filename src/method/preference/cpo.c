/* Losses on pairs without a reference: CPO, SimPO and AlphaPO. A reward is a sum, or a mean over tokens, of
 * log-probabilities; the likelihood of the chosen may be added. */
#include "method/preference/pair/pair.h"

typedef enum { FORM_SIGMOID, FORM_HINGE, FORM_IPO } cpo_form;

typedef struct cpo_config {
  double beta, gamma, label_smoothing, alpha, likelihood;
  int form, loss;
} cpo_config;

static const char *const simpo_forms[] = {"sigmoid", "hinge", NULL};
static const char *const cpo_losses[] = {"sigmoid", "hinge", "ipo", NULL};

#define BETA(default_text, text, low, high)                                                                      \
  {                                                                                                              \
    COHORT_FIELD(cpo_config, beta, COHORT_PARAMETER_REAL),                                                       \
        .standard = default_text, .minimum = 0, .minimum_open = true, .maximum = INFINITY, .maximum_open = true, \
        .meaning = text, .sweep_low = low, .sweep_high = high, .sweep_log = true                                 \
  }
#define SMOOTHING                                                          \
  COHORT_REAL_RANGE(cpo_config, label_smoothing, "0", 0, false, 0.5, true, \
                    "assumed share of pairs whose preference is flipped; sigmoid form only")
#define LIKELIHOOD(default_text)                               \
  COHORT_REAL_ATLEAST(cpo_config, likelihood, default_text, 0, \
                      "weight of the chosen's negative log-likelihood, a mean over all chosen tokens of the batch")
#define GAMMA(default_text)                                                                            \
  {                                                                                                    \
    COHORT_FIELD(cpo_config, gamma, COHORT_PARAMETER_REAL),                                            \
        .standard = default_text, .minimum = 0, .maximum = INFINITY, .maximum_open = true,             \
        .meaning = "target margin of the rewards; the paper states gamma / beta, 0.5 by default here", \
        .sweep_low = 0.3, .sweep_high = 1.6                                                            \
  }

static const cohort_parameter cpo_parameters[] = {
    BETA("0.1", "scale of the log-probabilities", 0.01, 0.5),
    COHORT_CHOICE(cpo_config, loss, "sigmoid", cpo_losses,
                  "loss of the margin; ipo: a regression of the margin of means over tokens to 1 / (2 beta)"),
    SMOOTHING,
    LIKELIHOOD("1"),
    {.name = NULL}};

static const cohort_parameter simpo_parameters[] = {
    BETA("2", "scale of the reward, the mean log-probability of a token", 1, 10),
    GAMMA("1"),
    SMOOTHING,
    COHORT_CHOICE(cpo_config, form, "sigmoid", simpo_forms, "sigmoid: -log sigmoid(h); hinge: max(0, 1 - h)"),
    LIKELIHOOD("0"),
    {.name = NULL},
};

static const cohort_parameter alphapo_parameters[] = {
    BETA("2", "scale of the reward", 1, 10),
    GAMMA("1"),
    COHORT_REAL_ANY(cpo_config, alpha, "0.25", "shape of the reward; 0: SimPO's", .sweep_low = -0.5, .sweep_high = 0.5),
    LIKELIHOOD("0"),
    {.name = NULL},
};

static cohort_status check(const void *config, cohort_error *error) {
  const cpo_config *own = config;
  if ((own->form != FORM_SIGMOID || own->loss != FORM_SIGMOID) && own->label_smoothing != 0)
    return cohort_fail(error, COHORT_BAD_CONFIG, "label_smoothing belongs to the sigmoid form; set it to 0");
  return COHORT_DONE;
}

/* The chosen's negative log-likelihood, if it is asked for. */
static cohort_value likelihood_of(const cpo_config *own, cohort_graph *graph, const cohort_preference_fields *fields) {
  if (own->likelihood == 0) return COHORT_NO_VALUE;
  return cohort_pair_weighed(graph, cohort_pair_likelihood(graph, fields), own->likelihood);
}

/* From rewards, [C]. */
static cohort_preference_outputs make(const cpo_config *own, cohort_graph *graph,
                                      const cohort_preference_fields *fields, cohort_value reward) {
  const cohort_value margin = cohort_graph_shift(graph, cohort_pair_margin(graph, reward), -own->gamma);
  const bool hinge = own->form == FORM_HINGE || own->loss == FORM_HINGE;
  const cohort_value loss = hinge ? cohort_pair_bounded(graph, COHORT_BOUND_HINGE, margin)
                                  : cohort_preference_smoothed(graph, margin, own->label_smoothing);
  return (cohort_preference_outputs){.loss = loss, .token_loss = likelihood_of(own, graph, fields), .reward = reward};
}

static cohort_preference_outputs build_cpo(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  const cpo_config *own = config;
  if (own->loss != FORM_IPO) return make(own, graph, fields, cohort_graph_scale(graph, fields->policy, own->beta));
  const cohort_value mean = cohort_pair_mean(graph, fields, fields->policy);
  const cohort_value error = cohort_graph_shift(graph, cohort_pair_margin(graph, mean), -1 / (2 * own->beta));
  return (cohort_preference_outputs){.loss = cohort_pair_square(graph, error),
                                     .token_loss = likelihood_of(own, graph, fields),
                                     .reward = cohort_graph_scale(graph, mean, own->beta)};
}

static cohort_preference_outputs build_simpo(const void *config, cohort_graph *graph,
                                             const cohort_preference_fields *fields) {
  const cpo_config *own = config;
  return make(own, graph, fields,
              cohort_graph_scale(graph, cohort_pair_mean(graph, fields, fields->policy), own->beta));
}

/* (1 - p^-alpha) / alpha of the mean token's p. */
static cohort_preference_outputs build_alphapo(const void *config, cohort_graph *graph,
                                               const cohort_preference_fields *fields) {
  const cpo_config *own = config;
  if (own->alpha == 0) return build_simpo(config, graph, fields);
  const cohort_value mean = cohort_pair_mean(graph, fields, fields->policy);
  const cohort_value power = cohort_pair_exponential(graph, cohort_graph_scale(graph, mean, -own->alpha));
  const cohort_value shape = cohort_graph_shift(graph, power, -1);
  return make(own, graph, fields, cohort_graph_scale(graph, shape, -own->beta / own->alpha));
}

static const cohort_preference cpo_functions = {.build = build_cpo}, simpo_functions = {.build = build_simpo},
                               alphapo_functions = {.build = build_alphapo};

static const cohort_method cpo = {
    .family = "preference",
    .key = "cpo",
    .summary = "contrastive preference optimization: a margin of log-probabilities and the chosen's likelihood",
    .title = "Contrastive Preference Optimization: Pushing the Boundaries of LLM Performance in Machine Translation",
    .source =
        "Xu et al., Contrastive Preference Optimization, ICML 2024, equation 3 and the likelihood beside it; as TRL's "
        "CPOTrainer with loss_type sigmoid, hinge and ipo; likelihood is its cpo_alpha",
    .formula =
        "h = beta (log pi(chosen) - log pi(rejected)); sigmoid: -(1 - e) log sigmoid(h) - e log sigmoid(-h), e = "
        "label_smoothing; hinge: max(0, 1 - h); ipo: (log pi(chosen) / |chosen| - log pi(rejected) / |rejected| - 1 / "
        "(2 beta))^2; - likelihood sum log pi(chosen) / tokens of all chosen; reward = beta log pi, of ipo over length",
    .config_size = sizeof(cpo_config),
    .parameters = cpo_parameters,
    .needs = COHORT_NEEDS_TOKENS,
    .check = check,
    .functions = &cpo_functions,
};

static const cohort_method simpo = {
    .family = "preference",
    .key = "simpo",
    .summary = "preference optimization without a reference: length-normalised rewards and a target margin",
    .title = "SimPO: Simple Preference Optimization with a Reference-Free Reward",
    .source =
        "Meng, Xia and Chen, SimPO: Simple Preference Optimization with a Reference-Free Reward, NeurIPS 2024, "
        "equation 6; as TRL's CPOTrainer with loss_type simpo; likelihood is its cpo_alpha",
    .formula =
        "h = beta (log pi(chosen) / |chosen| - log pi(rejected) / |rejected|) - gamma; sigmoid: -(1 - e) log "
        "sigmoid(h) - e log sigmoid(-h), e = label_smoothing; hinge: max(0, 1 - h); - likelihood sum log pi(chosen) / "
        "tokens of all chosen; reward = beta log pi / length",
    .config_size = sizeof(cpo_config),
    .parameters = simpo_parameters,
    .needs = COHORT_NEEDS_TOKENS,
    .check = check,
    .functions = &simpo_functions,
};

static const cohort_identity alphapo_identities[] = {{"alpha=0", "simpo", ""}, {NULL}};

static const cohort_method alphapo = {
    .family = "preference",
    .key = "alphapo",
    .summary = "SimPO with a reward of another shape than the logarithm",
    .title = "AlphaPO: Reward Shape Matters for LLM Alignment",
    .source =
        "Gupta et al., AlphaPO: Reward Shape Matters for LLM Alignment, ICML 2025; as TRL's CPOTrainer with loss_type "
        "simpo and alpha; likelihood is its cpo_alpha",
    .formula =
        "p = e^(log pi / length); r = (1 - p^-alpha) / alpha, exponents cut at 80; -log sigmoid(beta (r(chosen) - "
        "r(rejected)) - gamma) - likelihood sum log pi(chosen) / tokens of all chosen; reward = beta r",
    .config_size = sizeof(cpo_config),
    .parameters = alphapo_parameters,
    .needs = COHORT_NEEDS_TOKENS,
    .identities = alphapo_identities,
    .functions = &alphapo_functions,
};

const cohort_method *const cohort_preference_cpo[] = {&cpo, &simpo, &alphapo, NULL};
