/* KL-regularised policy gradients: four divergences from the policy that wrote, as a loss to differentiate or as
 * REINFORCE with the same gradient. Invariant: at strength 0 all are importance-weighted policy gradients. Costs
 * elementwise passes. */
#include <string.h>

#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct rpg_config {
  cohort_clip clip;
  cohort_shaping shaping;
  int divergence, form;
  double strength;
} rpg_config;

enum { FKL, RKL, UFKL, URKL };
enum { REINFORCE, DIFFERENTIABLE };
static const char *const divergences[] = {"fkl", "rkl", "ufkl", "urkl", NULL};
static const char *const forms[] = {"reinforce", "differentiable", NULL};

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(rpg_config, divergence, "urkl", divergences,
                  "forward or reverse KL, normalised or (u) for unnormalised policies"),
    COHORT_CHOICE(
        rpg_config, form, "reinforce", forms,
        "the log-probability times a weight without gradient, whose ratio is clamped; or a loss of the ratio"),
    COHORT_REAL_ATLEAST(rpg_config, strength, "1e-4", 0, "weight of the divergence"),
    COHORT_CLIP_BOUNDS(rpg_config, clip, "0.2", "0.28"),
    COHORT_SHAPING(rpg_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) { return cohort_shaping_needs(&((const rpg_config *)config)->shaping); }

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const rpg_config *)config)->shaping, state);
}

static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  double *advantage = out->completion;
  cohort_experience_shape(&((const rpg_config *)config)->shaping, rollouts, out);
  memcpy(advantage, out->score, (size_t)rollouts->completions * sizeof *advantage);
  cohort_experience_centre(COHORT_BASELINE_GROUP, rollouts, advantage);
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

/* What the divergence adds to a token's weight: 1; -w (log w + 1); 1 - w; -w log w. */
static cohort_value weight_of(int divergence, cohort_graph *graph, cohort_value w) {
  const cohort_value log = cohort_graph_unary(graph, COHORT_OP_LOG, w);
  switch (divergence) {
    case FKL:
      return cohort_graph_shift(graph, cohort_graph_scale(graph, w, 0), 1);
    case RKL:
      return cohort_graph_scale(graph, cohort_graph_multiply(graph, w, cohort_graph_shift(graph, log, 1)), -1);
    case UFKL:
      return cohort_graph_shift(graph, cohort_graph_scale(graph, w, -1), 1);
    default:
      return cohort_graph_scale(graph, cohort_graph_multiply(graph, w, log), -1);
  }
}

/* The divergence of a token, from d = log w: -d; w d; w - d - 1; w (d - 1) + 1. */
static cohort_value divergence_of(int divergence, cohort_graph *graph, cohort_value w, cohort_value d) {
  switch (divergence) {
    case FKL:
      return cohort_graph_scale(graph, d, -1);
    case RKL:
      return cohort_graph_multiply(graph, w, d);
    case UFKL:
      return cohort_graph_shift(graph, cohort_graph_subtract(graph, w, d), -1);
    default:
      return cohort_graph_shift(graph, cohort_graph_multiply(graph, w, cohort_graph_shift(graph, d, -1)), 1);
  }
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const rpg_config *own = config;
  const cohort_value d = cohort_graph_subtract(graph, fields->policy, fields->old);
  const cohort_value w = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, d);
  cohort_value loss;
  if (own->form == DIFFERENTIABLE) {
    loss = cohort_graph_subtract(graph,
                                 cohort_graph_scale(graph, divergence_of(own->divergence, graph, w, d), own->strength),
                                 cohort_graph_multiply(graph, w, fields->advantage));
  } else {
    const cohort_value held = cohort_clip_between(graph, w, 1 - own->clip.low, 1 + own->clip.high);
    const cohort_value weight = cohort_graph_stop_gradient(
        graph, cohort_graph_add(graph, cohort_graph_multiply(graph, held, fields->advantage),
                                cohort_graph_scale(graph, weight_of(own->divergence, graph, held), own->strength)));
    loss = cohort_graph_scale(graph, cohort_graph_multiply(graph, weight, fields->policy), -1);
  }
  return (cohort_policy_outputs){.loss = cohort_policy_token_mean(graph, fields, loss)};
}

static const cohort_policy functions = {
    .asks = asks, .state = {"policy/kl_coefficient"}, .begin = begin, .experience = experience, .build = build};

static const cohort_method rpg = {
    .family = "policy",
    .key = "rpg",
    .summary = "policy gradients with a divergence from the policy that wrote, in four forms",
    .title = "On the Design of KL-Regularized Policy Gradient Algorithms for LLM Reasoning",
    .source = "Zhang et al., 2025, tables 1 and 2; clamps as in the authors' code",
    .formula =
        "A = r - mean of the group, w = exp(policy - old). differentiable: -w A + strength D, D = -log w, w log w, w - "
        "log w - 1, w (log w - 1) + 1 (fkl, rkl, ufkl, urkl). reinforce: -stop(v A + strength k) policy, v = clamp(w), "
        "k = 1, -v (log v + 1), 1 - v, -v log v. Mean over all tokens",
    .config_size = sizeof(rpg_config),
    .parameters = parameters,
    .functions = &functions,
};

const cohort_method *const cohort_policy_rpg[] = {&rpg, NULL};
