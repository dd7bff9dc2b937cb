/* REINFORCE and its kin without a critic: returns of tokens minus a baseline (nothing, means of others, the likeliest
 * completion's reward) times the log-probability, or RLOO's clip of a completion's ratio. Invariant: a baseline is no
 * function of the completion that it is taken off, but for a mean that holds it. Costs elementwise passes. */
#include <string.h>

#include "method/policy/clip/clip.h"
#include "method/policy/experience/experience.h"

typedef struct reinforce_config {
  cohort_clip clip;
  cohort_shaping shaping;
  int baseline, sums;
  double gamma;
  bool whiten;
} reinforce_config;

enum { TOKENS, COMPLETIONS };
static const char *const baselines[] = {"none", "group", "others", "batch", NULL}; /* cohort_baseline */
static const char *const sums[] = {"tokens", "completions", NULL};

#define SUMS                                            \
  COHORT_CHOICE(reinforce_config, sums, "tokens", sums, \
                "what a batch's tokens are divided by: their number, or that of completions")

static const cohort_parameter reinforce_parameters[] = {
    COHORT_CHOICE(reinforce_config, baseline, "none", baselines,
                  "taken off returns: nothing, the mean reward of the group, of the others of the group, of the batch"),
    COHORT_REAL_RANGE(reinforce_config, gamma, "1", 0, false, 1, false, "discount of later tokens' rewards"),
    COHORT_BOOLEAN(reinforce_config, whiten, "true", "advantages get mean 0 and variance 1 over the batch's tokens"),
    SUMS,
    COHORT_SHAPING(reinforce_config, shaping, "0"),
    {.name = NULL},
};
static const cohort_parameter remax_parameters[] = {
    SUMS,
    COHORT_SHAPING(reinforce_config, shaping, "0.05"),
    {.name = NULL},
};
static const cohort_parameter rloo_parameters[] = {
    COHORT_CLIP_BOUNDS(reinforce_config, clip, "0.2", "0.2"),
    COHORT_BOOLEAN(reinforce_config, whiten, "false", "advantages get mean 0 and variance 1 over the batch"),
    COHORT_SHAPING(reinforce_config, shaping, "0.05"),
    {.name = NULL},
};

static unsigned asks(const void *config) { return cohort_shaping_needs(&((const reinforce_config *)config)->shaping); }

static void begin(const void *config, double *state) {
  cohort_shaping_begin(&((const reinforce_config *)config)->shaping, state);
}

/* A baseline is what centring takes off a completion's whole reward. */
static void experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const reinforce_config *own = config;
  const int64_t completions = rollouts->completions, tokens = completions * rollouts->width;
  double *centred = out->completion, *spread = out->room + tokens;
  cohort_experience_shape(&own->shaping, rollouts, out);
  memcpy(centred, out->score, (size_t)completions * sizeof *centred);
  cohort_experience_centre((cohort_baseline)own->baseline, rollouts, centred);
  for (int64_t c = 0; c < completions; c++) centred[c] -= out->score[c];
  cohort_experience_spread(rollouts, centred, spread);
  memcpy(out->advantage, out->room, (size_t)tokens * sizeof *out->advantage);
  cohort_experience_returns(rollouts, own->gamma, out->advantage);
  for (int64_t t = 0; t < tokens; t++) out->advantage[t] += spread[t];
  if (own->whiten) cohort_experience_whiten(rollouts, false, out->advantage);
}

static void remax_experience(const void *config, const cohort_policy_rollouts *rollouts,
                             cohort_policy_experience *out) {
  const reinforce_config *own = config;
  double *greedy = out->completion;
  cohort_experience_shape(&own->shaping, rollouts, out);
  memset(greedy, 0, (size_t)rollouts->completions * sizeof *greedy);
  for (int64_t g = 0; g < rollouts->groups; g++)
    for (int64_t c = rollouts->first[g]; c < rollouts->last[g]; c++) greedy[c] = rollouts->greedy[g];
  const int64_t tokens = rollouts->completions * rollouts->width;
  cohort_experience_spread(rollouts, greedy, out->room + tokens);
  memcpy(out->advantage, out->room, (size_t)tokens * sizeof *out->advantage);
  cohort_experience_returns(rollouts, 1, out->advantage);
  for (int64_t t = 0; t < tokens; t++) out->advantage[t] -= out->room[tokens + t];
}

static void rloo_experience(const void *config, const cohort_policy_rollouts *rollouts, cohort_policy_experience *out) {
  const reinforce_config *own = config;
  double *advantage = out->completion;
  cohort_experience_shape(&own->shaping, rollouts, out);
  memcpy(advantage, out->score, (size_t)rollouts->completions * sizeof *advantage);
  cohort_experience_centre(COHORT_BASELINE_OTHERS, rollouts, advantage);
  if (own->whiten) {
    double *of = advantage + rollouts->completions;
    memcpy(of, advantage, (size_t)rollouts->completions * sizeof *of);
    cohort_experience_centre(COHORT_BASELINE_BATCH, rollouts, advantage);
    cohort_experience_scale(COHORT_SCALE_BATCH, rollouts, 1e-4, of, advantage);
  }
  cohort_experience_spread(rollouts, advantage, out->advantage);
}

static cohort_policy_outputs build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  const reinforce_config *own = config;
  const cohort_value loss =
      cohort_graph_scale(graph, cohort_graph_multiply(graph, fields->advantage, fields->policy), -1);
  return (cohort_policy_outputs){.loss = own->sums == TOKENS ? cohort_policy_token_mean(graph, fields, loss)
                                                             : cohort_policy_total(graph, fields, loss)};
}

static cohort_policy_outputs rloo_build(const void *config, cohort_graph *graph, const cohort_policy_fields *fields) {
  cohort_clip clip = ((const reinforce_config *)config)->clip;
  clip.loss = COHORT_CLIP_GRPO;
  clip.ratio = COHORT_RATIO_SUM;
  return cohort_clip_build(&clip, graph, fields);
}

static const cohort_policy reinforce_functions = {
    .asks = asks, .state = {"policy/kl_coefficient"}, .begin = begin, .experience = experience, .build = build};
static const cohort_policy remax_functions = {
    .asks = asks, .state = {"policy/kl_coefficient"}, .begin = begin, .experience = remax_experience, .build = build};
static const cohort_policy rloo_functions = {.asks = asks,
                                             .state = {"policy/kl_coefficient"},
                                             .begin = begin,
                                             .experience = rloo_experience,
                                             .build = rloo_build,
                                             .column = {"policy/clip_ratio"}};

static const cohort_method reinforce = {
    .family = "policy",
    .key = "reinforce",
    .summary = "the score-function gradient, with a baseline or whitened returns (REINFORCE++)",
    .title = NULL,
    .source =
        "Williams, Simple statistical gradient-following algorithms, 1992; whitening: Hu et al., REINFORCE++, 2025",
    .formula =
        "R_t = r_t + gamma R_{t+1} minus the baseline; whitened over the batch's tokens; -R_t policy. Of one update a "
        "rollout: there is no ratio",
    .config_size = sizeof(reinforce_config),
    .parameters = reinforce_parameters,
    .functions = &reinforce_functions,
};

static const cohort_method remax = {
    .family = "policy",
    .key = "remax",
    .summary = "REINFORCE with the reward of the likeliest completion as baseline",
    .title =
        "ReMax: A Simple, Effective, and Efficient Reinforcement Learning Method for Aligning Large Language Models",
    .source = "Li et al., ICML 2024, algorithm 2",
    .formula = "A_t = sum of rewards from t on (the KL among them) - reward of the greedy completion; -A_t policy",
    .config_size = sizeof(reinforce_config),
    .parameters = remax_parameters,
    .needs = COHORT_POLICY_GREEDY,
    .functions = &remax_functions,
};

static const cohort_method rloo = {
    .family = "policy",
    .key = "rloo",
    .summary = "REINFORCE with the mean of the prompt's other completions as baseline",
    .title = "Back to Basics: Revisiting REINFORCE Style Optimization for Learning from Human Feedback in LLMs",
    .source = "Ahmadian et al., ACL 2024, section 3; clip and defaults as TRL's RLOOTrainer",
    .formula =
        "r minus kl times the KL of the completion; A = r - mean of the others of the group; w = exp(sum of policy - "
        "old); -min(w A, clamp(w, 1 - epsilon_low, 1 + epsilon_high) A), mean over completions",
    .config_size = sizeof(reinforce_config),
    .parameters = rloo_parameters,
    .functions = &rloo_functions,
};

const cohort_method *const cohort_policy_reinforce[] = {&reinforce, &remax, &rloo, NULL};
