/* DPO and what differs from it by the loss of the log-ratios alone: TRL's forms under one key, and those that have a
 * paper of their own (ipo, fdpo, rdpo, discopop, aot) as the same loss with fewer settings. */
#include "method/preference/pair/pair.h"

typedef enum {
  LOSS_SIGMOID,
  LOSS_HINGE,
  LOSS_IPO,
  LOSS_EXO_PAIR,
  LOSS_NCA_PAIR,
  LOSS_ROBUST,
  LOSS_BCO_PAIR,
  LOSS_SPPO_HARD,
  LOSS_AOT,
  LOSS_AOT_UNPAIRED,
  LOSS_APO_ZERO,
  LOSS_APO_DOWN,
  LOSS_DISCOPOP,
  LOSS_SFT,
  LOSS_SIGMOID_NORM,
  LOSSES,
  LOSS_MIX = LOSSES,
} dpo_loss;

static const char *const losses[] = {"sigmoid",  "hinge",    "ipo",         "exopair",     "ncapair", "robust",
                                     "bcopair",  "sppohard", "aot",         "aotunpaired", "apozero", "apodown",
                                     "discopop", "sft",      "sigmoidnorm", "mix",         NULL};

enum { DIVERGENCE_REVERSE_KL, DIVERGENCE_FORWARD_KL, DIVERGENCE_JS, DIVERGENCE_ALPHA };
static const char *const divergences[] = {"reversekl", "forwardkl", "js", "alpha", NULL};

/* By loss, in the order of dpo_loss. */
typedef struct mix_weights {
  double weight[LOSSES];
} mix_weights;

typedef struct dpo_config {
  double beta, label_smoothing, alpha, tau;
  int loss, divergence;
  bool unpaired, mean;
  const cohort_document *mix;
  mix_weights weights;
} dpo_config;

#define MIXED(key, loss)                                                                                           \
  {                                                                                                                \
    .name = key, .type = COHORT_PARAMETER_REAL, .offset = offsetof(mix_weights, weight) + (loss) * sizeof(double), \
    .standard = "0", .minimum = 0, .maximum = INFINITY, .maximum_open = true, .meaning = "weight of the loss " key \
  }

static const cohort_parameter mix_table[] = {
    MIXED("sigmoid", LOSS_SIGMOID),
    MIXED("hinge", LOSS_HINGE),
    MIXED("ipo", LOSS_IPO),
    MIXED("exopair", LOSS_EXO_PAIR),
    MIXED("ncapair", LOSS_NCA_PAIR),
    MIXED("robust", LOSS_ROBUST),
    MIXED("bcopair", LOSS_BCO_PAIR),
    MIXED("sppohard", LOSS_SPPO_HARD),
    MIXED("aot", LOSS_AOT),
    MIXED("aotunpaired", LOSS_AOT_UNPAIRED),
    MIXED("apozero", LOSS_APO_ZERO),
    MIXED("apodown", LOSS_APO_DOWN),
    MIXED("discopop", LOSS_DISCOPOP),
    MIXED("sft", LOSS_SFT),
    MIXED("sigmoidnorm", LOSS_SIGMOID_NORM),
    {.name = NULL},
};

#define BETA                                                                                              \
  {                                                                                                       \
    COHORT_FIELD(dpo_config, beta, COHORT_PARAMETER_REAL),                                                \
        .standard = "0.1", .minimum = 0, .minimum_open = true, .maximum = INFINITY, .maximum_open = true, \
        .meaning = "strength of the pull towards the reference", .sweep_low = 0.01, .sweep_high = 0.5,    \
        .sweep_log = true                                                                                 \
  }
#define LABEL_SMOOTHING(text) COHORT_REAL_RANGE(dpo_config, label_smoothing, "0", 0, false, 0.5, true, text)
#define TAU COHORT_REAL_ABOVE(dpo_config, tau, "0.05", 0, "how fast discopop's mixture turns with the margin")
#define DIVERGENCE(default_text) \
  COHORT_CHOICE(dpo_config, divergence, default_text, divergences, "what keeps the policy near the reference")

static const cohort_parameter dpo_parameters[] = {
    BETA,
    LABEL_SMOOTHING("assumed share of pairs whose preference is flipped: in sigmoid (conservative DPO), exopair (above "
                    "0), robust, aot and aotunpaired"),
    COHORT_CHOICE(dpo_config, loss, "sigmoid", losses, "the loss of a pair; mix: several, by the weights in mix"),
    COHORT_SECTION(dpo_config, mix, weights, mix_table, "null",
                   "weights of losses that are summed; null: MPO's, sigmoid 0.8, bcopair 0.2, sft 1"),
    DIVERGENCE("reversekl"),
    COHORT_REAL_ATLEAST(dpo_config, alpha, "0.5", 0,
                        "order of the alpha divergence: 0 is forward KL, 1 reverse KL; the paper's is 1 less this"),
    TAU,
    {.name = NULL},
};

static const cohort_parameter ipo_parameters[] = {
    {COHORT_FIELD(dpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.1", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true,
     .meaning = "strength of the pull towards the reference (the paper's tau)", .sweep_low = 0.01, .sweep_high = 1,
     .sweep_log = true},
    COHORT_BOOLEAN(dpo_config, mean, "true",
                   "log-ratios are means over tokens, as its authors and TRL have it; false: sums, as printed"),
    {.name = NULL},
};

static const cohort_parameter fdpo_parameters[] = {
    BETA,
    DIVERGENCE("js"),
    COHORT_REAL_RANGE(dpo_config, alpha, "0.5", 0, false, 1, false,
                      "order of the alpha divergence, as in the paper: 0 is reverse KL, 1 forward KL"),
    {.name = NULL},
};
static const cohort_parameter rdpo_parameters[] = {
    BETA, LABEL_SMOOTHING("rate at which preferences are flipped"), {.name = NULL}};
static const cohort_parameter discopop_parameters[] = {
    {COHORT_FIELD(dpo_config, beta, COHORT_PARAMETER_REAL), .standard = "0.05", .minimum = 0, .minimum_open = true,
     .maximum = INFINITY, .maximum_open = true, .meaning = "strength of the pull towards the reference",
     .sweep_low = 0.01, .sweep_high = 0.5, .sweep_log = true},
    TAU,
    {.name = NULL}};
static const cohort_parameter aot_parameters[] = {
    BETA,
    LABEL_SMOOTHING("assumed share of pairs whose preference is flipped"),
    COHORT_BOOLEAN(
        dpo_config, unpaired, "false",
        "compare all chosen completions with all rejected ones, not the policy's margins with the reference's"),
    {.name = NULL},
};

static double mixed(const dpo_config *own, int loss) {
  if (own->loss != LOSS_MIX) return loss == own->loss;
  if (own->mix) return own->weights.weight[loss];
  return loss == LOSS_SIGMOID ? 0.8 : loss == LOSS_BCO_PAIR ? 0.2 : loss == LOSS_SFT;
}

static cohort_status check(const void *config, cohort_error *error) {
  const dpo_config *own = config;
  double sum = 0;
  for (int loss = 0; loss < LOSSES; loss++) sum += mixed(own, loss);
  if (own->mix && own->loss != LOSS_MIX)
    return cohort_fail(error, COHORT_BAD_CONFIG, "mix is for loss: mix; set it, or take mix out");
  if (!(sum > 0))
    return cohort_fail(error, COHORT_BAD_CONFIG, "mix: all weights are 0; write as {sigmoid: 1, sft: 0.5}");
  if (mixed(own, LOSS_EXO_PAIR) > 0 && !(own->label_smoothing > 0))
    return cohort_fail(error, COHORT_BAD_CONFIG, "exopair takes the log of label_smoothing; set that above 0, as 1e-3");
  return COHORT_DONE;
}

/* The score of log-ratios: the derivative of the divergence's f at the ratio, 0 at 1. */
static cohort_value score_of(const dpo_config *own, cohort_graph *graph, cohort_value ratio) {
  const double order = own->alpha - 1;
  if (own->divergence == DIVERGENCE_FORWARD_KL || (own->divergence == DIVERGENCE_ALPHA && own->alpha == 0)) {
    const cohort_value inverse = cohort_pair_exponential(graph, cohort_graph_scale(graph, ratio, -1));
    return cohort_graph_shift(graph, cohort_graph_scale(graph, inverse, -1), 1);
  }
  if (own->divergence == DIVERGENCE_JS)
    return cohort_graph_shift(graph, cohort_graph_log_sigmoid(graph, ratio), log(2));
  if (own->divergence == DIVERGENCE_REVERSE_KL || order == 0) return ratio;
  const cohort_value power = cohort_pair_exponential(graph, cohort_graph_scale(graph, ratio, order));
  return cohort_graph_scale(graph, cohort_graph_shift(graph, power, -1), 1 / order);
}

/* What the losses read; all but the last [C]. */
typedef struct columns {
  cohort_value ratio, reward, score;
  cohort_value margin; /* [P]: beta times the scores' */
} columns;

/* -log sigmoid(x). */
static cohort_value logistic(cohort_graph *graph, cohort_value x) { return cohort_preference_smoothed(graph, x, 0); }

static cohort_value negative(cohort_graph *graph, cohort_value x) { return cohort_graph_scale(graph, x, -1); }

/* KL of the policy's preference from the smoothed one. */
static cohort_value exo(cohort_graph *graph, cohort_value margin, double flipped) {
  const cohort_value other = negative(graph, margin);
  const cohort_value right =
      cohort_graph_multiply(graph, cohort_pair_sigmoid(graph, margin),
                            cohort_graph_shift(graph, cohort_graph_log_sigmoid(graph, margin), -log1p(-flipped)));
  const cohort_value wrong =
      cohort_graph_multiply(graph, cohort_pair_sigmoid(graph, other),
                            cohort_graph_shift(graph, cohort_graph_log_sigmoid(graph, other), -log(flipped)));
  return cohort_graph_add(graph, right, wrong);
}

/* From logistic to exponential as the margin turns positive. */
static cohort_value discovered(cohort_graph *graph, cohort_value margin, double tau) {
  const cohort_value share = cohort_pair_sigmoid(graph, cohort_graph_scale(graph, margin, 1 / tau));
  const cohort_value low = logistic(graph, margin), high = cohort_pair_bounded(graph, COHORT_BOUND_EXPONENTIAL, margin);
  return cohort_graph_add(graph, low, cohort_graph_multiply(graph, share, cohort_graph_subtract(graph, high, low)));
}

/* Losses of a margin of the scores' means over tokens: a regression to 1 / (2 beta), or logistic. */
static cohort_value of_means(cohort_graph *graph, const cohort_preference_fields *fields, const dpo_config *own,
                             const columns *c, bool regression) {
  const cohort_value score = own->mean || !regression ? cohort_pair_mean(graph, fields, c->score) : c->score;
  const cohort_value margin = cohort_pair_margin(graph, score);
  if (!regression) return logistic(graph, cohort_graph_scale(graph, margin, own->beta));
  return cohort_pair_square(graph, cohort_graph_shift(graph, margin, -1 / (2 * own->beta)));
}

/* Losses of each side's own log-ratio. */
static cohort_value of_sides(cohort_graph *graph, dpo_loss loss, double beta, const columns *c) {
  const cohort_value ratio[2] = {cohort_preference_side(graph, c->ratio, 0),
                                 cohort_preference_side(graph, c->ratio, 1)};
  const cohort_value chosen = cohort_preference_side(graph, c->reward, 0),
                     rejected = cohort_preference_side(graph, c->reward, 1);
  const cohort_value below = negative(graph, chosen), above = negative(graph, rejected);
  cohort_value good, bad;
  if (loss == LOSS_SPPO_HARD) {
    good = cohort_pair_square(graph, cohort_graph_shift(graph, ratio[0], -0.5 / beta));
    bad = cohort_pair_square(graph, cohort_graph_shift(graph, ratio[1], 0.5 / beta));
  } else if (loss == LOSS_APO_ZERO) {
    good = cohort_pair_sigmoid(graph, below);
    bad = cohort_pair_sigmoid(graph, rejected);
  } else if (loss == LOSS_APO_DOWN) {
    good = cohort_pair_sigmoid(graph, chosen);
    bad = cohort_pair_sigmoid(graph, cohort_graph_subtract(graph, rejected, chosen));
  } else if (loss == LOSS_BCO_PAIR) {
    good = logistic(graph, chosen);
    bad = logistic(graph, above);
  } else { /* NCA */
    good = logistic(graph, chosen);
    bad = cohort_graph_scale(graph, cohort_graph_add(graph, logistic(graph, below), logistic(graph, above)), 0.5);
  }
  return cohort_graph_add(graph, good, bad);
}

static cohort_value transport(cohort_graph *graph, const cohort_preference_fields *fields, const dpo_config *own,
                              const columns *c, bool unpaired) {
  const cohort_value upper =
      unpaired ? cohort_preference_side(graph, c->ratio, 0) : cohort_pair_margin(graph, fields->policy);
  const cohort_value lower =
      unpaired ? cohort_preference_side(graph, c->ratio, 1) : cohort_pair_margin(graph, fields->reference);
  return cohort_pair_transport(graph, fields, upper, lower, own->beta, own->label_smoothing);
}

/* [P]: one loss; not the likelihood's. */
static cohort_value loss_of(cohort_graph *graph, const cohort_preference_fields *fields, const dpo_config *own,
                            const columns *c, dpo_loss loss) {
  const double flipped = own->label_smoothing;
  switch (loss) {
    case LOSS_SIGMOID:
      return cohort_preference_smoothed(graph, c->margin, flipped);
    case LOSS_ROBUST: /* ((1 - e) l(z) - e l(-z)) / (1 - 2 e) */
      return cohort_preference_smoothed(graph, c->margin, -flipped / (1 - 2 * flipped));
    case LOSS_HINGE:
      return cohort_pair_bounded(graph, COHORT_BOUND_HINGE, c->margin);
    case LOSS_EXO_PAIR:
      return exo(graph, c->margin, flipped);
    case LOSS_DISCOPOP:
      return discovered(graph, c->margin, own->tau);
    case LOSS_IPO:
    case LOSS_SIGMOID_NORM:
      return of_means(graph, fields, own, c, loss == LOSS_IPO);
    case LOSS_AOT:
    case LOSS_AOT_UNPAIRED:
      return transport(graph, fields, own, c, loss == LOSS_AOT_UNPAIRED);
    default:
      return of_sides(graph, loss, own->beta, c);
  }
}

static cohort_preference_outputs build_loss(const dpo_config *own, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  columns c = {.ratio = cohort_preference_log_ratio(graph, fields)};
  c.reward = cohort_graph_scale(graph, c.ratio, own->beta);
  c.score = score_of(own, graph, c.ratio);
  c.margin = cohort_pair_margin(graph, c.score == c.ratio ? c.reward : cohort_graph_scale(graph, c.score, own->beta));
  cohort_preference_outputs out = {.loss = COHORT_NO_VALUE, .token_loss = COHORT_NO_VALUE, .reward = c.reward};
  for (dpo_loss loss = 0; loss < LOSSES; loss++) {
    const double weight = mixed(own, loss);
    if (weight == 0) continue;
    if (loss == LOSS_SFT) {
      out.token_loss = cohort_pair_weighed(graph, cohort_pair_likelihood(graph, fields), weight);
      continue;
    }
    const cohort_value term = cohort_pair_weighed(graph, loss_of(graph, fields, own, &c, loss), weight);
    out.loss = out.loss == COHORT_NO_VALUE ? term : cohort_graph_add(graph, out.loss, term);
  }
  if (out.loss == COHORT_NO_VALUE)
    out.loss = cohort_graph_broadcast(graph, cohort_graph_constant(graph, 0), COHORT_SHAPE(fields->completions / 2));
  return out;
}

static cohort_preference_outputs build_dpo(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  dpo_config own = *(const dpo_config *)config;
  own.mean = true;
  return build_loss(&own, graph, fields);
}

static cohort_preference_outputs build_fdpo(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  dpo_config own = *(const dpo_config *)config; /* sigmoid */
  own.alpha = 1 - own.alpha;
  return build_loss(&own, graph, fields);
}

/* The same with a loss that is not chosen. */
static cohort_preference_outputs build_as(dpo_loss loss, const void *config, cohort_graph *graph,
                                          const cohort_preference_fields *fields) {
  dpo_config own = *(const dpo_config *)config;
  own.loss = loss;
  return build_loss(&own, graph, fields);
}

static cohort_preference_outputs build_ipo(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  return build_as(LOSS_IPO, config, graph, fields);
}

static cohort_preference_outputs build_rdpo(const void *config, cohort_graph *graph,
                                            const cohort_preference_fields *fields) {
  return build_as(LOSS_ROBUST, config, graph, fields);
}

static cohort_preference_outputs build_discopop(const void *config, cohort_graph *graph,
                                                const cohort_preference_fields *fields) {
  return build_as(LOSS_DISCOPOP, config, graph, fields);
}

static cohort_preference_outputs build_aot(const void *config, cohort_graph *graph,
                                           const cohort_preference_fields *fields) {
  return build_as(((const dpo_config *)config)->unpaired ? LOSS_AOT_UNPAIRED : LOSS_AOT, config, graph, fields);
}

static const cohort_preference dpo_functions = {.build = build_dpo}, fdpo_functions = {.build = build_fdpo},
                               ipo_functions = {.build = build_ipo}, rdpo_functions = {.build = build_rdpo},
                               discopop_functions = {.build = build_discopop}, aot_functions = {.build = build_aot};

#define RATIO_REWARD "; reward = beta (log pi - log ref)"

static const cohort_identity dpo_identities[] = {
    {"loss=robust label_smoothing=0", "dpo", ""},
    {"divergence=alpha alpha=1", "dpo", ""},
    {"loss=ipo", "ipo", ""},
    {NULL},
};

static const cohort_method dpo = {
    .family = "preference",
    .key = "dpo",
    .summary =
        "direct preference optimization against a frozen reference, with label smoothing (cDPO) and TRL's losses",
    .title = "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    .source =
        "Rafailov et al., Direct Preference Optimization, NeurIPS 2023, equation 7; label smoothing: Mitchell, A note "
        "on DPO with noisy preferences and relationship to IPO, 2023; the other losses, divergences and their sums as "
        "TRL's DPOTrainer 1.16: hinge (SLiC), ipo, exopair (EXO, equation 16), ncapair (NCA), robust (rDPO), bcopair, "
        "sppohard (SPPO), aot, aotunpaired, apozero and apodown (APO, equations 7 and 8), discopop, sft, sigmoidnorm. "
        "There sigmoid takes no label_smoothing",
    .formula =
        "r = log pi - log ref; s = r (reversekl), 1 - e^-r (forwardkl), log 2 + log sigmoid(r) (js) or (e^((alpha - 1) "
        "r) - 1) / (alpha - 1) (alpha); z = beta (s(chosen) - s(rejected)), w = beta r(chosen), l = beta r(rejected), "
        "e = label_smoothing, L(x) = -log sigmoid(x), S = sigmoid. sigmoid: (1 - e) L(z) + e L(-z); hinge: max(0, 1 - "
        "z); ipo: (s(chosen) / |chosen| - s(rejected) / |rejected| - 1 / (2 beta))^2; exopair: S(z) (log S(z) - log(1 "
        "- e)) + S(-z) (log S(-z) - log e); ncapair: L(w) + L(-w) / 2 + L(-l) / 2; robust: ((1 - e) L(z) - e L(-z)) / "
        "(1 - 2 e); bcopair: L(w) + L(-l); sppohard: (r(chosen) - 1 / (2 beta))^2 + (r(rejected) + 1 / (2 beta))^2; "
        "aot, aotunpaired: see aot; apozero: S(-w) + S(l); apodown: S(w) + S(l - w); discopop: (1 - m) L(z) + m e^-z, "
        "m = S(z / tau); sft: -sum log pi(chosen) / tokens of all chosen; sigmoidnorm: L(beta (s(chosen) / |chosen| - "
        "s(rejected) / |rejected|)); exponents are cut at 80" RATIO_REWARD,
    .config_size = sizeof(dpo_config),
    .parameters = dpo_parameters,
    .needs = COHORT_NEEDS_REFERENCE | COHORT_NEEDS_TOKENS,
    .identities = dpo_identities,
    .check = check,
    .functions = &dpo_functions,
};

static const cohort_method ipo = {
    .family = "preference",
    .key = "ipo",
    .summary = "identity preference optimization: the margin of log-ratios is regressed to 1 / (2 beta)",
    .title = "A General Theoretical Paradigm to Understand Learning from Human Preferences",
    .source =
        "Azar et al., A General Theoretical Paradigm to Understand Learning from Human Preferences, AISTATS 2024, "
        "equation 17; means over tokens, as its authors and TRL's DPOTrainer with loss_type ipo have it, or sums",
    .formula =
        "d = (log pi - log ref) / length, or with mean=false log pi - log ref; (d(chosen) - d(rejected) - 1 / (2 "
        "beta))^2" RATIO_REWARD,
    .config_size = sizeof(dpo_config),
    .parameters = ipo_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &ipo_functions,
};

static const cohort_identity fdpo_identities[] = {
    {"divergence=reversekl", "dpo", ""},
    {"divergence=alpha alpha=0", "dpo", ""},
    {NULL},
};

static const cohort_method fdpo = {
    .family = "preference",
    .key = "fdpo",
    .summary = "f-DPO: the reference is held to by another divergence than reverse KL",
    .title = "Beyond Reverse KL: Generalizing Direct Preference Optimization with Diverse Divergence Constraints",
    .source =
        "Wang et al., Beyond Reverse KL: Generalizing Direct Preference Optimization with Diverse Divergence "
        "Constraints, ICLR 2024, theorem 1 and table 1; constants that cancel make every score 0 at the reference",
    .formula =
        "u = pi / ref; f'(u) = log u (reversekl), 1 - 1/u (forwardkl), log(2 u / (1 + u)) (js) or (1 - u^-alpha) / "
        "alpha (alpha); -log sigmoid(beta f'(u(chosen)) - beta f'(u(rejected)))" RATIO_REWARD,
    .config_size = sizeof(dpo_config),
    .parameters = fdpo_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .identities = fdpo_identities,
    .functions = &fdpo_functions,
};

static const cohort_identity rdpo_identities[] = {{"label_smoothing=0", "dpo", ""}, {NULL}};

static const cohort_method rdpo = {
    .family = "preference",
    .key = "rdpo",
    .summary = "provably robust DPO: unbiased for the loss without flips where preferences are flipped at a known rate",
    .title = "Provably Robust DPO: Aligning Language Models with Noisy Feedback",
    .source =
        "Chowdhury, Kini and Natarajan, Provably Robust DPO: Aligning Language Models with Noisy Feedback, ICML 2024, "
        "equation 12; as TRL's DPOTrainer with loss_type robust",
    .formula =
        "h = beta ((log pi/ref)(chosen) - (log pi/ref)(rejected)); e = label_smoothing; (-(1 - e) log sigmoid(h) + e "
        "log sigmoid(-h)) / (1 - 2 e)" RATIO_REWARD,
    .config_size = sizeof(dpo_config),
    .parameters = rdpo_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .identities = rdpo_identities,
    .functions = &rdpo_functions,
};

static const cohort_method discopop = {
    .family = "preference",
    .key = "discopop",
    .summary = "DiscoPOP: logistic and exponential losses, mixed by the margin; found by a language model",
    .title = "Discovering Preference Optimization Algorithms with and for Large Language Models",
    .source =
        "Lu et al., Discovering Preference Optimization Algorithms with and for Large Language Models, NeurIPS 2024, "
        "equation 5 (log-ratio modulated loss); as TRL's DPOTrainer with loss_type discopop",
    .formula =
        "h = beta ((log pi/ref)(chosen) - (log pi/ref)(rejected)); m = sigmoid(h / tau); -(1 - m) log sigmoid(h) + m "
        "e^-h, the exponent cut at 80" RATIO_REWARD,
    .config_size = sizeof(dpo_config),
    .parameters = discopop_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &discopop_functions,
};

static const cohort_method aot = {
    .family = "preference",
    .key = "aot",
    .summary = "alignment via optimal transport: sorted margins of the batch against those of the reference",
    .title = "Distributional Preference Alignment of LLMs via Optimal Transport",
    .source =
        "Melnyk et al., Distributional Preference Alignment of LLMs via Optimal Transport, NeurIPS 2024, equations 6 "
        "to 8 with the logistic loss; as TRL's DPOTrainer with loss_type aot and aot_unpaired",
    .formula =
        "paired: u = log pi(chosen) - log pi(rejected), v the same of ref; unpaired: u = (log pi - log ref)(chosen), v "
        "= (rejected); z = sort(u) - sort(v) over the batch; mean of -(1 - e) log sigmoid(beta z) - e log "
        "sigmoid(-beta z), e = label_smoothing" RATIO_REWARD,
    .config_size = sizeof(dpo_config),
    .parameters = aot_parameters,
    .needs = COHORT_NEEDS_REFERENCE,
    .functions = &aot_functions,
};

const cohort_method *const cohort_preference_dpo[] = {&dpo, &ipo, &fdpo, &rdpo, &discopop, &aot, NULL};
