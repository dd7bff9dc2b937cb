/* f-DPG: the policy is brought to the distribution reference(y) exp(r / beta) / Z in one of four f-divergences, by the
 * score function. Invariant: at the target every pseudo-reward of a prompt is the same. Costs elementwise passes. */
#include <math.h>

#include "method/policy/experience/experience.h"

typedef struct f_dpg_config {
  cohort_shaping shaping;
  double beta;
  int divergence, baseline;
} f_dpg_config;

enum { KL, REVERSE_KL, JS, TV };
static const char *const divergences[] = {"kl", "reverse_kl", "js", "tv", NULL};
static const char *const baselines[] = {"none", "group", "others", NULL}; /* cohort_baseline */

static const cohort_parameter parameters[] = {
    COHORT_CHOICE(f_dpg_config, divergence, "js", divergences, "from the policy to the target"),
    COHORT_REAL_ABOVE(f_dpg_config, beta, "0.1", 0, "of the target: reference exp(r / beta) / Z"),
    COHORT_CHOICE(f_dpg_config, baseline, "others", baselines,
                  "taken off pseudo-rewards: nothing, their mean in the group, that of the others of the group"),
    COHORT_SHAPING(f_dpg_config, shaping, "0"),
    {.name = NULL},
};

static unsigned asks(const void *config) {
  return COHORT_POLICY_SCORED | cohort_shaping_needs(&((const f_dpg_config *)config)->shaping);
}

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const f_dpg_config *)config)->shaping, state);
}

/* f' of t = policy / target. */
static double slope(int divergence, double log_t) {
  switch (divergence) {
    case KL:
      return -exp(-log_t);
    case REVERSE_KL:
      return log_t + 1;
    case JS: /* log 2t / (t + 1) */
      return log(2) - (log_t > 0 ? log1p(exp(-log_t)) : log1p(exp(log_t)) - log_t);
    default:
      return ((log_t > 0) - (log_t < 0)) / 2.0;
  }
}

/* log of the mean of exp(x): of a prompt's weights target / policy, log Z. */
static double log_mean_exp(int64_t count, const double *x) {
  double most = x[0], sum = 0;
  for (int64_t i = 1; i < count; i++) most = fmax(most, x[i]);
  for (int64_t i = 0; i < count; i++) sum += exp(x[i] - most);
  return most + log(sum / (double)count);
}

static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const f_dpg_config *own = config;
  double *policy = out->completion, *target = policy + rollouts->completions;
  cohort_experience_shape(&own->shaping, rollouts, out);
  cohort_experience_totals(rollouts, rollouts->old, policy);
  cohort_experience_totals(rollouts, rollouts->reference, target);
  for (int64_t c = 0; c < rollouts->completions; c++) target[c] += out->score[c] / own->beta - policy[c];
  for (int64_t g = 0; g < rollouts->groups; g++) {
    const int64_t first = rollouts->first[g], last = rollouts->last[g];
    const double z = last > first ? log_mean_exp(last - first, target + first) : 0;
    for (int64_t c = first; c < last; c++) out->score[c] = -slope(own->divergence, z - target[c]);
  }
  cohort_experience_centre((cohort_baseline)own->baseline, rollouts, out->score);
  cohort_experience_spread(rollouts, out->score, out->advantage);
}

/* The ratio to the policy that wrote weighs the score function, without gradient. */
static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  (void)config;
  const cohort_value moved =
      cohort_policy_total(graph, fields, cohort_graph_subtract(graph, fields->policy, fields->old));
  const cohort_value ratio = cohort_graph_unary(graph, COHORT_OP_EXPONENTIAL, moved);
  const cohort_value gain =
      cohort_policy_total(graph, fields, cohort_graph_multiply(graph, fields->advantage, fields->policy));
  return (cohort_policy_outputs){
      .loss =
          cohort_graph_scale(graph, cohort_graph_multiply(graph, cohort_graph_stop_gradient(graph, ratio), gain), -1)};
}

static const cohort_policy functions = {
    .asks = asks, .state = {"policy/kl_coefficient"}, .begin = begin, .experience = experience, .build = build};

static const cohort_method f_dpg = {
    .family = "policy",
    .key = "f_dpg",
    .summary = "the score function of an f-divergence from the policy to reference exp(r / beta) / Z",
    .title = "Aligning Language Models with Preferences through f-divergence Minimization",
    .source = "Go et al., ICML 2023, theorem 1 and table 1; Z of a prompt from its own completions",
    .formula =
        "t = policy / target, log Z = log mean over the group of reference exp(r / beta) / old; A = -f'(t) minus the "
        "baseline: f' = -1 / t (kl), log t + 1 (reverse_kl), log 2t / (t + 1) (js), sign(t - 1) / 2 (tv); -stop(pi / "
        "old) A log pi, mean over completions",
    .config_size = sizeof(f_dpg_config),
    .parameters = parameters,
    .needs = COHORT_POLICY_REFERENCE,
    .functions = &functions,
};

const cohort_method *const cohort_policy_f_dpg[] = {&f_dpg, NULL};
